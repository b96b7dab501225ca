"""The NAS driver, put together for one process: `build` is what `csi.driver` calls."""

from collections.abc import Mapping
from typing import Any

from csi import driver, identity
from csi._pb import csi_pb2
from csi.nas import topology

NAME = "nasplugin.csi.alibabacloud.com"
FEATURE_GATES: Mapping[str, bool] = {}

_Service = csi_pb2.PluginCapability.Service
_Expansion = csi_pb2.PluginCapability.VolumeExpansion


def build(context: driver.DriverContext) -> driver.Driver:
    """The NAS driver with the services of *context.roles*.

    Faults in its settings are left in *context.reader*.
    """
    halves = driver.halves("csi.nas", context)

    async def prepare() -> None:
        for part in halves:
            await part.prepare()

    return driver.Driver(
        name=NAME,
        services=_services(context),
        expansions=[_Expansion.ONLINE],
        ready=_ready(context),
        controller=halves.controller,
        node=halves.node,
        prepare=prepare,
        close=halves.close,
    )


def _services(context: driver.DriverContext) -> list[Any]:
    services = [_Service.CONTROLLER_SERVICE]
    if topology.is_wanted(context.reader):
        services.append(_Service.VOLUME_ACCESSIBILITY_CONSTRAINTS)
    return services


def _ready(context: driver.DriverContext) -> identity.Ready:
    """The controller needs the cloud; a node needs nothing but its kernel."""

    async def ready() -> None:
        if context.roles.controller:
            await context.cloud().reachable()

    return ready
