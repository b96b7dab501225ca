"""The controller half of the NAS driver, put together."""

import pathlib
from typing import Any

from csi import driver
from csi.nas import roots
from csi.nas.controller import (
    accesspoint,
    adoption,
    file_systems,
    filesystem,
    removal,
    service,
    settings,
    subpath,
    volumes,
)

_NAME = "nasplugin.csi.alibabacloud.com"
_WORK_DIR = pathlib.Path("/run/csi-plugin/nas")


class _Zones:
    """Zones of vSwitches, each asked for until it is there."""

    def __init__(self, vswitches: Any) -> None:
        self._vswitches = vswitches
        self._known: dict[str, str] = {}

    async def of_vswitch(self, vswitch_id: str) -> str:
        """The vSwitch's zone, "" when there is no such vSwitch."""
        if vswitch_id not in self._known:
            found = await self._vswitches.read(vswitch_id)
            if found is None:
                return ""
            self._known[vswitch_id] = found.zone_id
        return self._known[vswitch_id]


def build(context: driver.DriverContext) -> service.ControllerServicer:
    """The service of this process. Faults in the settings are left in *context.reader*."""
    config = settings.read_nas(context.reader)
    work_dir = pathlib.Path(context.reader.text("NAS_WORK_DIR", str(_WORK_DIR)))
    cloud = context.cloud()
    mounted = roots.Roots(work_dir / "controller")
    subpaths = subpath.Subpaths(
        catalogue=file_systems.Catalogue(cloud.file_systems, context.clock),
        directories=cloud.directories,
        roots=mounted,
        remover=removal.Remover(
            mounted, context.clock, context.events, cluster_id=config.cluster_id
        ),
        config=config,
    )
    filesystems = filesystem.Filesystems(
        api=cloud.file_systems,
        points=cloud.access_points,
        zones=_Zones(cloud.vswitches),
        time=context.clock,
        config=config,
    )
    accesspoints = accesspoint.Accesspoints(
        api=cloud.access_points,
        directories=cloud.directories,
        time=context.clock,
        config=config,
    )
    taking_over = adoption.Adoption(
        kubernetes=context.kubernetes,
        driver_name=_NAME,
        subpaths=subpaths,
        filesystems=filesystems,
        accesspoints=accesspoints,
    )
    return service.ControllerServicer(
        volumes.Volumes(
            subpaths=subpaths,
            filesystems=filesystems,
            accesspoints=accesspoints,
            adoption=taking_over,
        ),
        zonal=config.topology,
        kubernetes=context.kubernetes,
    )
