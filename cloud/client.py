"""Everything cloud of one process, put together. The SDK is loaded at the first call."""

from cloud import (
    cpfs_filesets,
    cpfs_vsc,
    ecs_disk,
    ecs_snapshot,
    eflo_vsc,
    nas_access_points,
    nas_directories,
    nas_file_systems,
    network,
)
from cloud import settings as cloud_settings
from core import clock, metrics


class Alibaba(network.Network):
    """The cloud's parts.

    ECS: `disks`, `snapshots`, `instances`, `enis`, `vscs`. VPC: `vswitches`. NAS: `file_systems`,
    `directories`, `access_points`, `filesets`. EFLO: `lingjun_vscs`. And `sts`.
    """

    def __init__(
        self,
        settings: cloud_settings.CloudSettings,
        registry: metrics.Metrics,
        time: clock.Clock,
    ) -> None:
        super().__init__(settings, registry, time)
        self.disks = ecs_disk.Disks(self._api, time, describe_qps=settings.describe_qps)
        self.snapshots = ecs_snapshot.Snapshots(self._api, time, describe_qps=settings.describe_qps)
        self.file_systems = nas_file_systems.FileSystems(self._api, time)
        self.directories = nas_directories.Directories(self._api)
        self.access_points = nas_access_points.AccessPoints(self._api, time)
        self.filesets = cpfs_filesets.Filesets(self._api, time)
        self.vscs = cpfs_vsc.Vscs(self._api)
        self.lingjun_vscs = eflo_vsc.LingjunVscs(self._api)

    async def close(self) -> None:
        """Take no more calls."""
        self.disks.close()
        self.snapshots.close()
        self.file_systems.close()
        self.access_points.close()
        self.filesets.close()
        await super().close()
