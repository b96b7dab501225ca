"""DeleteVolume. Never on a guess: a disk in use and a system disk stay."""

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import call, clock, errors
from csi.disk.controller import (
    attach_plan,
    category,
    clone,
    cloud_codes,
    detach,
    names,
    settings,
    snapshot_make,
    tags,
)

log = structlog.get_logger()

Disk = ecs_model.Disk
State = ecs_model.DiskState

_INITIALIZING = "IncorrectDiskStatus.Initializing"
_INITIALIZING_RETRY_S = 5.0
_INITIALIZING_TRIES = 60
"""Every 5 s for 5 minutes, or the call's time. Source: spec/csi-driver.md 2.8."""
_OTHER_OWNERS = ("eci-", "acs-")
"""Instances of serverless pods: their disks are detached by their own controllers."""
_MEANINGS: Mapping[str, type[errors.Error]] = {
    "InvalidDiskStatus.DeleteProtection": errors.Precondition,
    "DiskStillAttached": errors.Precondition,
}


class DiskApi(Protocol):
    """What deleting needs of `cloud.ecs_disk.Disks`."""

    async def read(self, disk_id: str) -> Disk | None: ...

    async def wait(
        self, disk_id: str, done: Callable[[Disk | None], bool], *, what: str
    ) -> Disk | None: ...

    async def delete(self, disk_id: str) -> None: ...


class Deleter:
    """Deletes volumes."""

    def __init__(
        self,
        *,
        disks: DiskApi,
        detacher: detach.Detacher,
        maker: snapshot_make.SnapshotMaker,
        cloner: clone.Cloner,
        time: clock.Clock,
        config: settings.DiskSettings,
    ) -> None:
        self._disks = disks
        self._detacher = detacher
        self._maker = maker
        self._cloner = cloner
        self._clock = time
        self._config = config

    async def delete(self, volume_id: str) -> None:
        """Return when the disk is gone; one that never was is fine.

        Raises Precondition for a disk in use (unless DISK_DETACH_BEFORE_DELETE), a system disk,
        one of another cluster, and one under deletion protection.
        """
        disk = await self._disks.read(volume_id)
        if disk is None:
            return
        if disk.disk_type != "data":
            raise errors.Precondition(f"disk {volume_id} is a system disk; it is never deleted")
        tags.require_own(f"disk {volume_id}", disk.tags, cluster_id=self._config.cluster_id)
        await self._release(disk)
        if self._wants_snapshot(disk):
            await self._keep_content(disk)
        await self._delete(disk)
        if tags.CLONE_OF in disk.tags:
            # Left over when the volume was given up while it was being made.
            await self._cloner.clean_up(disk.tags.get(tags.VOLUME_NAME, ""))

    async def _release(self, disk: Disk) -> None:
        """Make sure that no instance has *disk*."""
        if disk.state in (State.CREATING, State.DETACHING):
            what = f"disk {disk.disk_id}, which is {disk.state}, before it can be deleted"
            now = await self._disks.wait(disk.disk_id, attach_plan.is_settled, what=what)
            # Somebody may have attached it meanwhile: then it is theirs, and judged anew.
            if now is not None and disk.state is State.DETACHING:
                await self._release(now)
            return
        holders = attach_plan.instances_of(disk)
        if not holders and disk.state is not State.ATTACHING:
            return
        where = ", ".join(holders) or "an instance"
        foreign = any(holder.startswith(_OTHER_OWNERS) for holder in holders)
        if not self._config.detach_on_delete or foreign:
            raise errors.Precondition(
                f"disk {disk.disk_id} is attached to {where}; detach it before deleting it"
            )
        await self._detacher.detach(disk.disk_id)

    def _wants_snapshot(self, disk: Disk) -> bool:
        return (
            self._config.snapshot_on_delete
            and category.of(disk.category).instant_access
            and tags.DELETE_RETENTION_DAYS in disk.tags
        )

    async def _keep_content(self, disk: Disk) -> None:
        """Snapshot *disk* for as long as its retention tag says.

        The key holds when the disk was last detached: a volume that was not deleted after all, and
        was written to again, gets a snapshot of what it holds now. Whatever keeps the snapshot from
        being made keeps the disk, too.
        """
        key = f"{disk.disk_id}-delprotect"
        if disk.detached_time is not None:
            key += f"-{disk.detached_time:%Y%m%d%H%M%S}"
        identity = {tags.SNAPSHOT_NAME: key}
        days = disk.tags[tags.DELETE_RETENTION_DAYS]
        try:
            made = await self._maker.make(
                snapshot_make.NewSnapshot(
                    key=key,
                    disk_id=disk.disk_id,
                    cloud_name=names.snapshot_name(key),
                    retention_days=int(days) if days.isdigit() and int(days) else None,
                    resource_group_id=disk.resource_group_id,
                    identity=identity,
                    tags=tags.snapshot_tags(
                        cluster_id=self._config.cluster_id, wanted={}, own=identity
                    ),
                )
            )
        except snapshot_make.NeverUsed as e:
            log.info("nothing to keep of a disk", disk_id=disk.disk_id, reason=str(e))
            return
        log.info("content kept", disk_id=disk.disk_id, snapshot_id=made.snapshot_id, days=days)

    async def _delete(self, disk: Disk) -> None:
        for _ in range(_INITIALIZING_TRIES):
            try:
                with cloud_codes.meaning(f"disk {disk.disk_id} cannot be deleted", _MEANINGS):
                    await self._disks.delete(disk.disk_id)
            except cloud_errors.CloudNotFound:
                return
            except cloud_errors.CloudError as e:
                if e.code != _INITIALIZING:
                    raise
                call.doing(f"waiting for disk {disk.disk_id} to be initialized")
                await self._clock.sleep(_INITIALIZING_RETRY_S)
                continue
            # Lists must not show it any more when we have said that it is gone.
            await self._disks.wait(
                disk.disk_id, lambda d: d is None, what=f"disk {disk.disk_id} to be deleted"
            )
            return
        raise errors.Busy(f"disk {disk.disk_id} is still being initialized; retry later")
