"""Making a snapshot exactly once, by tag and client token; `csi.token_chain` tells how.

Used for the CO's snapshots and for the temporary ones of clones.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import call, clock, errors
from csi import token_chain
from csi.disk.controller import cloud_codes, tags

log = structlog.get_logger()

_LOOKS = 10
"""A new snapshot shows up within seconds; after ten looks an absent one was deleted."""
FAILED = "failed"
"""Value of the API field Status."""

Snapshot = ecs_model.Snapshot


class NeverUsed(errors.Precondition):
    """The disk was never attached, or nothing was ever written to it: there is nothing to keep."""


_MEANINGS: Mapping[str, type[errors.Error]] = {
    "InvalidDiskId.NotFound": errors.NotFound,
    "IncorrectDiskStatus.NeverAttached": NeverUsed,
    "IncorrectDiskStatus.NeverUsed": NeverUsed,
    "InvalidDiskCategory.NotSupported": errors.Precondition,
    "DiskInArrears": errors.Precondition,
}


class SnapshotApi(Protocol):
    """What making a snapshot needs of `cloud.ecs_snapshot.Snapshots`."""

    async def create(
        self,
        *,
        disk_id: str,
        name: str,
        retention_days: int | None,
        resource_group_id: str,
        tags: Mapping[str, str],
        client_token: str | None,
    ) -> str: ...

    async def read(self, snapshot_id: str) -> Snapshot | None: ...

    async def find(
        self,
        *,
        source_disk_id: str = "",
        tags: Mapping[str, str] | None = None,
        name: str = "",
    ) -> list[Snapshot]: ...

    async def wait(
        self, snapshot_id: str, done: Callable[[Snapshot | None], bool], *, what: str
    ) -> Snapshot | None: ...

    async def delete(self, snapshot_id: str) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewSnapshot:
    """One snapshot to make.

    key: what it is called for idempotency. cloud_name: SnapshotName, "" = none.
    identity: tags that only this snapshot carries. tags: all of them, *identity* included.
    """

    key: str
    disk_id: str
    cloud_name: str
    retention_days: int | None
    resource_group_id: str
    identity: Mapping[str, str]
    tags: Mapping[str, str]


class SnapshotMaker:
    """Finds and makes snapshots."""

    def __init__(self, snapshots: SnapshotApi, time: clock.Clock) -> None:
        self._snapshots = snapshots
        self._clock = time

    async def find(self, identity: Mapping[str, str]) -> Snapshot | None:
        """The snapshot with the tags *identity*, None when there is none (yet)."""
        return _best(await self._snapshots.find(tags=identity))

    async def make(self, new: NewSnapshot) -> Snapshot:
        """The snapshot made as *new* says, or an earlier one of that key.

        The caller compares its source. It is cut when this returns, so the disk may change.
        Raises CloudError, and Precondition for a disk that cannot be snapshotted.
        """
        found = await token_chain.make(
            new.key,
            kind="snapshot",
            wish=new.disk_id,
            create=functools.partial(self._create, new),
            is_spent=cloud_codes.is_token_spent,
            find=functools.partial(self._look, new),
            read=self._appeared,
        )
        return await self.wait_cut(found)

    async def wait_cut(self, snapshot: Snapshot) -> Snapshot:
        """*snapshot* once its content is fixed.

        One that failed before it was cut holds nothing, and nobody was told its id: it is deleted,
        and Unavailable raised, so that a retry makes another. Raises Internal when it failed later,
        NotFound when it was deleted meanwhile.
        """
        snapshot_id = snapshot.snapshot_id
        seen: Snapshot | None = snapshot
        if not _is_cut(snapshot):
            what = f"snapshot {snapshot_id} of disk {snapshot.source_disk_id} to be cut"
            seen = await self._snapshots.wait(snapshot_id, _is_cut, what=what)
        if seen is None:
            raise errors.NotFound(f"snapshot {snapshot_id} was deleted while it was made")
        ours = seen.tags.get(tags.CREATED_BY) == tags.CREATED_BY_US
        if seen.status == FAILED and seen.creation_time is None and ours:
            log.warning("deleting a snapshot that could not be made", snapshot_id=snapshot_id)
            with contextlib.suppress(cloud_errors.CloudNotFound):
                await self._snapshots.delete(snapshot_id)
            raise errors.Unavailable(
                f"the cloud could not make snapshot {snapshot_id} of disk {seen.source_disk_id}; "
                "it is deleted, a retry makes another"
            )
        if seen.status == FAILED:
            raise errors.Internal(f"the cloud could not make snapshot {snapshot_id}: delete it")
        return seen

    async def _create(self, new: NewSnapshot, token: str) -> str:
        with cloud_codes.meaning(f"disk {new.disk_id} cannot be snapshotted", _MEANINGS):
            return await self._snapshots.create(
                disk_id=new.disk_id,
                name=new.cloud_name,
                retention_days=new.retention_days,
                resource_group_id=new.resource_group_id,
                tags=new.tags,
                client_token=token,
            )

    async def _look(self, new: NewSnapshot) -> Snapshot | None:
        """By our tags, else by name: the reference driver sets no tag of identity."""
        found = await self.find(new.identity)
        if found is None and new.cloud_name:
            found = _best(await self._snapshots.find(name=new.cloud_name))
        return found

    async def _appeared(self, snapshot_id: str) -> Snapshot | None:
        """The snapshot, looked for with patience; None when it was deleted."""
        call.doing(f"looking for snapshot {snapshot_id}")
        return await token_chain.look(
            functools.partial(self._snapshots.read, snapshot_id), self._clock, times=_LOOKS
        )


def _is_cut(snapshot: Snapshot | None) -> bool:
    """Also true when there is nothing more to wait for."""
    if snapshot is None or snapshot.status == FAILED:
        return True
    return snapshot.creation_time is not None


def _best(found: Sequence[Snapshot]) -> Snapshot | None:
    """The one to go on with: always the same one, and not a failed one if there is a choice."""
    ordered = sorted(found, key=lambda row: (row.status == FAILED, row.snapshot_id))
    return ordered[0] if ordered else None
