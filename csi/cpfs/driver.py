"""The CPFS driver, put together for one process: `build` is what `csi.driver` calls."""

from collections.abc import Mapping

from cloud import metadata as cloud_metadata
from csi import driver, identity
from csi._pb import csi_pb2

NAME = "bmcpfsplugin.csi.alibabacloud.com"
FEATURE_GATES: Mapping[str, bool] = {}

_Service = csi_pb2.PluginCapability.Service
_Expansion = csi_pb2.PluginCapability.VolumeExpansion


def build(context: driver.DriverContext) -> driver.Driver:
    """The CPFS driver with the services of *context.roles*.

    Faults in its settings are left in *context.reader*.
    """
    halves = driver.halves("csi.cpfs", context)
    return driver.Driver(
        name=NAME,
        services=[_Service.CONTROLLER_SERVICE],
        expansions=[_Expansion.ONLINE],
        ready=_ready(context),
        controller=halves.controller,
        node=halves.node,
        close=halves.close,
    )


def _ready(context: driver.DriverContext) -> identity.Ready:
    """The controller needs the cloud; a node must know whether it has storage channels."""

    async def ready() -> None:
        if context.roles.controller:
            await context.cloud().reachable()
        if context.roles.node:
            await context.metadata.find(cloud_metadata.Key.VSC_ENABLED)

    return ready
