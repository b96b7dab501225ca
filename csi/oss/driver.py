"""The OSS driver, put together for one process: `build` is what `csi.driver` calls."""

from collections.abc import Mapping

from csi import driver
from csi._pb import csi_pb2

NAME = "ossplugin.csi.alibabacloud.com"
FEATURE_GATES: Mapping[str, bool] = {}

_Service = csi_pb2.PluginCapability.Service


def build(context: driver.DriverContext) -> driver.Driver:
    """The OSS driver with the services of *context.roles*.

    Faults in its settings are left in *context.reader*.
    """
    halves = driver.halves("csi.oss", context)
    return driver.Driver(
        name=NAME,
        services=[_Service.CONTROLLER_SERVICE],
        expansions=[],
        ready=_ready,
        controller=halves.controller,
        node=halves.node,
        close=halves.close,
    )


async def _ready() -> None:
    """Neither half needs the cloud: volumes bring their own credentials."""
