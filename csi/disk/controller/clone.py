"""Volumes made from volumes: a temporary snapshot, a disk from it, the snapshot deleted.

The snapshot carries the new volume's name in a tag. So whoever retries finds it, and it is deleted
once the disk stands, or when the volume can never be made. As a last resort it expires by itself
after a day.
"""

import contextlib
from collections.abc import Mapping
from typing import Protocol

import structlog

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import errors
from csi.disk.controller import category, names, snapshot_make, tags

log = structlog.get_logger()

_RETENTION_DAYS = 1
_NEVER_ATTACHED = ("IncorrectDiskStatus.NeverAttached", "IncorrectDiskStatus.NeverUsed")

Disk = ecs_model.Disk
Snapshot = ecs_model.Snapshot


class SnapshotApi(snapshot_make.SnapshotApi, Protocol):
    """What clones need of `cloud.ecs_snapshot.Snapshots`."""


class Cloner:
    """Makes and removes the temporary snapshots of clones. cluster_id: "" = unknown."""

    def __init__(
        self, snapshots: SnapshotApi, maker: snapshot_make.SnapshotMaker, *, cluster_id: str
    ) -> None:
        self._snapshots = snapshots
        self._maker = maker
        self._cluster_id = cluster_id

    async def snapshot_of(self, source: Disk, name: str) -> str:
        """Id of a snapshot with *source*'s content, to make volume *name* from.

        "" = *source* is an empty disk that was never attached, so an empty disk is its clone.
        """
        identity = _identity(name)
        found = await self._maker.find({**identity, tags.CLONE_OF: source.disk_id})
        try:
            found = (
                await self._maker.wait_cut(found)
                if found is not None
                else await self._maker.make(self._new(source, name, identity))
            )
        except errors.Precondition as e:
            cause = e.__cause__
            if isinstance(cause, cloud_errors.CloudError) and cause.code in _NEVER_ATTACHED:
                return await self._content_of_unused(source)
            raise
        return (await self._usable(found, source)).snapshot_id

    async def clean_up(self, name: str) -> None:
        """Delete the temporary snapshots made for volume *name*."""
        for snapshot in await self._snapshots.find(tags=_identity(name)):
            log.info("deleting a clone's snapshot", snapshot_id=snapshot.snapshot_id)
            with contextlib.suppress(cloud_errors.CloudNotFound):
                await self._snapshots.delete(snapshot.snapshot_id)

    def _new(
        self, source: Disk, name: str, identity: Mapping[str, str]
    ) -> snapshot_make.NewSnapshot:
        return snapshot_make.NewSnapshot(
            key=f"clone:{name}",
            disk_id=source.disk_id,
            cloud_name="",
            retention_days=_RETENTION_DAYS,
            resource_group_id=source.resource_group_id,
            identity=identity,
            tags=tags.snapshot_tags(
                cluster_id=self._cluster_id,
                wanted={},
                own={tags.CLONE_OF: source.disk_id, **identity},
            ),
        )

    async def _usable(self, snapshot: Snapshot, source: Disk) -> Snapshot:
        """*snapshot* once disks can be made from it: at once with instant access."""
        if snapshot.available or category.of(source.category).instant_access:
            return snapshot
        seen = await self._snapshots.wait(
            snapshot.snapshot_id,
            lambda s: s is None or s.available or s.status == snapshot_make.FAILED,
            what=f"snapshot {snapshot.snapshot_id} of volume {source.disk_id} to be usable",
        )
        if seen is None or not seen.available:
            raise errors.Unavailable(f"snapshot {snapshot.snapshot_id} was lost; retry")
        return seen

    async def _content_of_unused(self, source: Disk) -> str:
        """What a disk that was never attached holds: nothing, or what it was made from."""
        if not source.source_snapshot_id:
            return ""
        if await self._snapshots.read(source.source_snapshot_id) is None:
            raise errors.Precondition(
                f"volume {source.disk_id} was never attached, so the cloud cannot snapshot it, and "
                f"the snapshot it was made from is gone; attach it once, then clone it"
            )
        return source.source_snapshot_id


def _identity(name: str) -> dict[str, str]:
    return {tags.CLONE_FOR: names.tag_value(name)}
