"""The disk driver, put together for one process: `build` is what `csi.driver` calls."""

from collections.abc import Mapping
from typing import Any

from cloud import metadata as cloud_metadata
from csi import driver, identity
from csi._pb import csi_pb2

NAME = "diskplugin.csi.alibabacloud.com"
FEATURE_GATES: Mapping[str, bool] = {
    "DiskADController": False,
    "DiskParallelAttach": False,
    "DiskParallelDetach": False,
    "DisableExpandAutoSnapshots": True,
    "EnableDeleteAutoSnapshots": False,
    "EnableVolumeGroupSnapshots": True,
    "DiskHighDensityMode": False,
}
"""Gates and defaults. Group snapshots are on here: the CSI API is stable since 1.11."""

_Service = csi_pb2.PluginCapability.Service
_Expansion = csi_pb2.PluginCapability.VolumeExpansion


def build(context: driver.DriverContext) -> driver.Driver:
    """The disk driver with the services of *context.roles*.

    Faults in its settings are left in *context.reader*.
    """
    roles = context.roles
    controllers = driver.half("csi.disk.controller.wiring", context, wanted=roles.controller)
    controller, group_controller = controllers or (None, None)
    service = driver.half("csi.disk.node.service", context, wanted=roles.node)

    async def close() -> None:
        if service is not None:
            await service.close()

    return driver.Driver(
        name=NAME,
        # The sum over controller and node instances of this version, whatever runs here.
        services=_services(context),
        expansions=[_Expansion.ONLINE],
        ready=_ready(context),
        controller=controller,
        group_controller=group_controller,
        node=service,
        close=close,
    )


def _services(context: driver.DriverContext) -> list[Any]:
    services = [_Service.CONTROLLER_SERVICE, _Service.VOLUME_ACCESSIBILITY_CONSTRAINTS]
    if context.feature_gates["EnableVolumeGroupSnapshots"]:
        services.append(_Service.GROUP_CONTROLLER_SERVICE)
    return services


def _ready(context: driver.DriverContext) -> identity.Ready:
    """What must work before we can: the cloud for the controller, our identity for the node."""

    async def ready() -> None:
        if context.roles.controller:
            await context.cloud().reachable()
        if context.roles.node and not context.node_id:
            await context.metadata.get(cloud_metadata.Key.INSTANCE_ID)

    return ready
