"""Everything cloud of one process, put together. The SDK is loaded at the first call."""

import asyncio

from cloud import (
    cpfs_filesets,
    cpfs_vsc,
    credentials,
    ecs_disk,
    ecs_eni,
    ecs_instance,
    ecs_snapshot,
    eflo_vsc,
    imds,
    metadata,
    nas_access_points,
    nas_directories,
    nas_file_systems,
    openapi,
    sts,
    vpc,
)
from cloud import settings as cloud_settings
from core import clock, errors, metrics

_REACHABLE_KEEP_S = 5.0
_UNREACHABLE_KEEP_S = 2.0


class Alibaba:
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
        self._settings = settings
        self._clock = time
        self._region = settings.region_id
        self._api = openapi.OpenApi(settings, registry, time, region=self._read_region)
        self.disks = ecs_disk.Disks(self._api, time, describe_qps=settings.describe_qps)
        self.snapshots = ecs_snapshot.Snapshots(self._api, time, describe_qps=settings.describe_qps)
        self.instances = ecs_instance.Instances(self._api, time)
        self.enis = ecs_eni.Enis(self._api)
        self.vswitches = vpc.VSwitches(self._api)
        self.file_systems = nas_file_systems.FileSystems(self._api, time)
        self.directories = nas_directories.Directories(self._api)
        self.access_points = nas_access_points.AccessPoints(self._api, time)
        self.filesets = cpfs_filesets.Filesets(self._api, time)
        self.vscs = cpfs_vsc.Vscs(self._api)
        self.lingjun_vscs = eflo_vsc.LingjunVscs(self._api)
        self.sts = sts.Sts(self._api)
        self._checking = asyncio.Lock()
        self._checked_until_s = float("-inf")
        self._failure: errors.Error | None = None

    async def region_id(self) -> str:
        """The region all calls go to."""
        return await self._api.region_id()

    def credential(self) -> credentials.Credentials:
        """Who we are, for what is no OpenAPI. Blocking. Raises Unauthenticated, Unavailable."""
        return self._api.credential()

    async def reachable(self) -> None:
        """Return when the cloud answers us; raises what keeps it from doing so.

        Asks STS who we are, which needs no permission. The outcome is kept for some seconds, so
        that probes cost next to nothing.
        """
        async with self._checking:
            if self._clock.monotonic_s() >= self._checked_until_s:
                await self._check()
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    async def close(self) -> None:
        """Take no more calls."""
        self.disks.close()
        self.snapshots.close()
        self.file_systems.close()
        self.access_points.close()
        self.filesets.close()
        self._api.close()

    async def _check(self) -> None:
        try:
            await self.sts.account_id()
        except errors.Error as e:
            self._failure, keep_s = e, _UNREACHABLE_KEEP_S
        else:
            self._failure, keep_s = None, _REACHABLE_KEEP_S
        self._checked_until_s = self._clock.monotonic_s() + keep_s

    def _read_region(self) -> str:
        """Our region: from settings, a Lingjun machine's file, or the metadata service.

        Blocking; in a thread. Raises Precondition when nobody knows it: disks must not be made in
        a region that was guessed.
        """
        if not self._region:
            found = metadata.read_lingjun().get("RegionId")
            if not found and self._settings.use_imds:
                found = imds.Imds(self._settings.imds_endpoint).read("meta-data/region-id")
            if not found:
                raise errors.Precondition("the region is unknown; set REGION_ID")
            self._region = str(found)
        return self._region
