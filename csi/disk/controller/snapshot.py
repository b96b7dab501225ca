"""Snapshots of the CO: create, delete, read, list. Source: spec/csi-driver.md 2.12."""

from collections.abc import Mapping
from typing import Protocol

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import errors
from csi import paging
from csi.disk.controller import (
    controller_requests,
    names,
    settings,
    settled,
    snapshot_make,
    tags,
)

Snapshot = ecs_model.Snapshot

GROUP_MEMBER_PREFIX = "Created_from_"
"""Name and description of a group's member: this and the group's id."""
_GROUP_ID_PREFIX = "ssg-"


class SnapshotApi(snapshot_make.SnapshotApi, Protocol):
    """What snapshots need of `cloud.ecs_snapshot.Snapshots`."""

    async def list_page(
        self,
        *,
        source_disk_id: str = "",
        tags: Mapping[str, str] | None = None,
        max_results: int = paging.PAGE_SIZE,
        next_token: str = "",
    ) -> ecs_model.Page[Snapshot]: ...


class Snapshotter:
    """The snapshots of the CO."""

    def __init__(
        self,
        *,
        disks: settled.DiskApi,
        snapshots: SnapshotApi,
        maker: snapshot_make.SnapshotMaker,
        config: settings.DiskSettings,
    ) -> None:
        self._disks = disks
        self._snapshots = snapshots
        self._maker = maker
        self._config = config

    async def create(self, want: controller_requests.SnapshotRequest) -> Snapshot:
        """The snapshot of *want*, cut: the volume may change again.

        Raises NotFound for the volume, Exists when the name is that of another volume's snapshot,
        Exhausted, Precondition for a disk that cannot be snapshotted.
        """
        identity = {tags.SNAPSHOT_NAME: names.tag_value(want.name)}
        found = await self._maker.find(identity)
        if found is not None:
            _require_source(found, want)
            return await self._maker.wait_cut(found)
        await settled.require(
            self._disks, want.disk_id, purpose="it can be snapshotted", role="source volume"
        )
        made = await self._maker.make(
            snapshot_make.NewSnapshot(
                key=want.name,
                disk_id=want.disk_id,
                cloud_name=names.snapshot_name(want.name),
                retention_days=want.parameters.retention_days,
                resource_group_id=want.parameters.resource_group_id,
                identity=identity,
                tags=tags.snapshot_tags(
                    cluster_id=self._config.cluster_id,
                    wanted=want.parameters.tags,
                    own=identity,
                ),
            )
        )
        _require_source(made, want)
        return made

    async def delete(self, snapshot_id: str) -> None:
        """Return when the snapshot is gone; one that never was is fine.

        Raises Invalid for a member of a group: groups are deleted as a whole. Raises Precondition
        for another cluster's.
        """
        found = await self.read(snapshot_id)
        if found is None:
            return
        group_id = group_id_of(found)
        if group_id:
            raise errors.Invalid(
                f"snapshot {snapshot_id} belongs to group snapshot {group_id}; delete the group"
            )
        tags.require_own(f"snapshot {snapshot_id}", found.tags, cluster_id=self._config.cluster_id)
        try:
            await self._snapshots.delete(snapshot_id)
        except cloud_errors.CloudNotFound:
            return
        # Lists must not show it any more when we have said that it is gone.
        await self._snapshots.wait(
            snapshot_id, lambda s: s is None, what=f"snapshot {snapshot_id} to be deleted"
        )

    async def get(self, snapshot_id: str) -> Snapshot:
        """The snapshot, ready or not. Raises NotFound."""
        found = await self.read(snapshot_id)
        if found is None:
            raise errors.NotFound(f"snapshot {snapshot_id} not found")
        return found

    async def read(self, snapshot_id: str) -> Snapshot | None:
        """The snapshot, None when there is none, also for an id that cannot be one."""
        try:
            return await self._snapshots.read(snapshot_id)
        except cloud_errors.CloudError as e:
            if e.code.startswith("InvalidSnapshotId"):
                return None
            raise

    async def list(
        self, *, snapshot_id: str, source_disk_id: str, max_entries: int, starting_token: str
    ) -> paging.Listed[Snapshot]:
        """Snapshots that are cut, without the temporary ones of clones.

        snapshot_id: only this one. source_disk_id: only of this volume, however they were made.
        Neither: those that this driver made (in this cluster, when CLUSTER_ID is known).
        Raises paging.BadToken.
        """
        paging.parse_token(starting_token)
        if snapshot_id:
            found = await self.read(snapshot_id)
            shown = found is not None and is_listed(found)
            fits = found is not None and source_disk_id in ("", found.source_disk_id)
            items = (found,) if found is not None and shown and fits else ()
            return paging.Listed(items=items, next_token="")
        wanted = {} if source_disk_id else self._ours()

        async def fetch(token: str) -> ecs_model.Page[Snapshot]:
            return await self._snapshots.list_page(
                source_disk_id=source_disk_id,
                tags=wanted,
                max_results=paging.PAGE_SIZE,
                next_token=token,
            )

        return await paging.collect(
            fetch,
            max_entries=max_entries,
            starting_token=starting_token,
            keep=is_listed,
            identify=lambda found: found.snapshot_id,
        )

    def _ours(self) -> dict[str, str]:
        told = {tags.CREATED_BY: tags.CREATED_BY_US}
        if self._config.cluster_id:
            told[tags.CLUSTER] = self._config.cluster_id
        return told


def is_listed(snapshot: Snapshot) -> bool:
    """Whether a list shows *snapshot*: it is cut, and not a clone's temporary one. Pure."""
    return snapshot.creation_time is not None and tags.CLONE_FOR not in snapshot.tags


def group_id_of(snapshot: Snapshot) -> str:
    """Group that *snapshot* belongs to, "" = none. Pure. Source: spec/csi-driver.md 2.12."""
    for text in (snapshot.name, snapshot.description):
        told = text.removeprefix(GROUP_MEMBER_PREFIX)
        if told != text and told.startswith(_GROUP_ID_PREFIX):
            return told
    return ""


def _require_source(found: Snapshot, want: controller_requests.SnapshotRequest) -> None:
    if found.source_disk_id != want.disk_id:
        raise errors.Exists(
            f"snapshot {want.name} exists as {found.snapshot_id} of volume {found.source_disk_id}, "
            f"not of {want.disk_id}"
        )
