"""`cloud.ecs_snapshot.Snapshots` in memory, for unit tests of those who use it.

A new snapshot has no creation time until it is "cut" and is not available until it is uploaded:
each look of somebody who waits takes it one step further, as does `settle`.
"""

import asyncio
import dataclasses
import datetime
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cloud import ecs_model
from core import errors
from tests.fakes import fake_disks, fake_refusals

Snapshot = ecs_model.Snapshot
Group = ecs_model.SnapshotGroup

CUT_AT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
_STEPS = 3


class FakeSnapshots:
    """Snapshots of one region. disks: where their sources are. stuck: ids that never change."""

    def __init__(
        self, disks: fake_disks.FakeDisks | None = None, snapshots: Iterable[Snapshot] = ()
    ) -> None:
        self._disks = disks or fake_disks.FakeDisks()
        self.snapshots: dict[str, Snapshot] = {s.snapshot_id: s for s in snapshots}
        self.groups: dict[str, Group] = {}
        self.stuck: set[str] = set()
        self.record = fake_refusals.Record()
        self._tokens: dict[str, tuple[Mapping[str, Any], str]] = {}
        self._numbers = itertools.count(1)
        self._deleting: set[str] = set()

    def settle(self, snapshot_id: str) -> None:
        """One step: cut, then available; or gone when it is being deleted."""
        snapshot = self.snapshots.get(snapshot_id)
        if snapshot is None or snapshot_id in self.stuck:
            return
        if snapshot_id in self._deleting:
            del self.snapshots[snapshot_id]
        elif snapshot.creation_time is None:
            self.snapshots[snapshot_id] = dataclasses.replace(snapshot, creation_time=CUT_AT)
        else:
            self.snapshots[snapshot_id] = dataclasses.replace(
                snapshot, available=True, status="accomplished"
            )

    async def create(
        self,
        *,
        disk_id: str,
        name: str,
        retention_days: int | None,
        resource_group_id: str,
        tags: Mapping[str, str],
        client_token: str | None,
        instant_access: bool = False,
    ) -> str:
        wanted = {
            "disk_id": disk_id,
            "name": name,
            "retention_days": retention_days,
            "resource_group_id": resource_group_id,
            "tags": dict(tags),
            "instant_access": instant_access,
        }
        self.record.note("create", **wanted, client_token=client_token)
        known = self._tokens.get(client_token or "")
        if known is not None:
            if known[0] != wanted:
                raise fake_refusals.refusal("CreateSnapshot", "IdempotentParameterMismatch")
            return known[1]
        snapshot_id = self._make("CreateSnapshot", disk_id, name, tags)
        if client_token:
            self._tokens[client_token] = (wanted, snapshot_id)
        return snapshot_id

    async def read(self, snapshot_id: str) -> Snapshot | None:
        self.record.note("read", snapshot_id=snapshot_id)
        await asyncio.sleep(0)
        return self.snapshots.get(snapshot_id)

    async def read_many(self, snapshot_ids: Sequence[str]) -> dict[str, Snapshot]:
        self.record.note("read_many", snapshot_ids=tuple(snapshot_ids))
        return {key: self.snapshots[key] for key in snapshot_ids if key in self.snapshots}

    async def list_page(
        self,
        *,
        source_disk_id: str = "",
        tags: Mapping[str, str] | None = None,
        name: str = "",
        max_results: int = 100,
        next_token: str = "",
    ) -> ecs_model.Page[Snapshot]:
        self.record.note("list_page", source_disk_id=source_disk_id, token=next_token)
        start = int(next_token or 0)
        found = self._matching(source_disk_id, tags or {}, name)
        more = start + max_results < len(found)
        return ecs_model.Page(
            items=tuple(found[start : start + max_results]),
            next_token=str(start + max_results) if more else "",
        )

    async def find(
        self,
        *,
        source_disk_id: str = "",
        tags: Mapping[str, str] | None = None,
        name: str = "",
    ) -> list[Snapshot]:
        self.record.note("find", source_disk_id=source_disk_id, tags=dict(tags or {}), name=name)
        return self._matching(source_disk_id, tags or {}, name)

    async def delete(self, snapshot_id: str) -> None:
        self.record.note("delete", snapshot_id=snapshot_id)
        if snapshot_id not in self.snapshots:
            raise fake_refusals.refusal("DeleteSnapshot", "InvalidSnapshotId.NotFound")
        self._deleting.add(snapshot_id)

    async def wait(
        self, snapshot_id: str, done: Callable[[Snapshot | None], bool], *, what: str
    ) -> Snapshot | None:
        self.record.note("wait", snapshot_id=snapshot_id, what=what)
        for _ in range(_STEPS):
            seen = self.snapshots.get(snapshot_id)
            if done(seen):
                return seen
            await asyncio.sleep(0)
            self.settle(snapshot_id)
        raise errors.DeadlineExceeded(f"time is up while waiting for {what}; retry")

    async def create_group(
        self,
        *,
        disk_ids: Sequence[str],
        name: str,
        description: str,
        resource_group_id: str,
        tags: Mapping[str, str],
        client_token: str | None,
    ) -> str:
        wanted = {"disk_ids": tuple(disk_ids), "name": name, "tags": dict(tags)}
        self.record.note("create_group", **wanted, client_token=client_token)
        known = self._tokens.get(client_token or "")
        if known is not None:
            if known[0] != wanted:
                raise fake_refusals.refusal("CreateSnapshotGroup", "IdempotentParameterMismatch")
            return known[1]
        members = [self._make("CreateSnapshotGroup", d, name, tags) for d in disk_ids]
        group_id = f"ssg-fake{next(self._numbers):06}"
        self.groups[group_id] = Group(
            group_id=group_id,
            name=name,
            status="progressing",
            creation_time=CUT_AT,
            snapshots=tuple(self.snapshots[m] for m in members),
            tags=dict(tags),
        )
        if client_token:
            self._tokens[client_token] = (wanted, group_id)
        return group_id

    async def read_group(self, group_id: str) -> Group | None:
        self.record.note("read_group", group_id=group_id)
        group = self.groups.get(group_id)
        return None if group is None else self._as_described(group)

    async def find_groups(self, name: str) -> list[Group]:
        self.record.note("find_groups", name=name)
        return [self._as_described(g) for g in self.groups.values() if g.name == name]

    async def delete_group(self, group_id: str) -> None:
        self.record.note("delete_group", group_id=group_id)
        group = self.groups.pop(group_id, None)
        if group is None:
            raise fake_refusals.refusal("DeleteSnapshotGroup", "InvalidSnapshotGroupId.NotFound")
        self._deleting.update(s.snapshot_id for s in group.snapshots)

    def _make(self, action: str, disk_id: str, name: str, tags: Mapping[str, str]) -> str:
        disk = self._disks.disks.get(disk_id)
        if disk is None:
            raise fake_refusals.refusal(action, "InvalidDiskId.NotFound")
        snapshot_id = f"s-fake{next(self._numbers):06}"
        self.snapshots[snapshot_id] = Snapshot(
            snapshot_id=snapshot_id,
            source_disk_id=disk_id,
            source_disk_size_gib=disk.size_gib,
            name=name,
            status="progressing",
            tags=dict(tags),
        )
        if self._disks.snapshot_ids is not None:
            self._disks.snapshot_ids.add(snapshot_id)
        return snapshot_id

    def _as_described(self, group: Group) -> Group:
        """A group shows little of its members."""
        members = [self.snapshots[s.snapshot_id] for s in group.snapshots]
        return dataclasses.replace(
            group,
            status="accomplished" if all(m.available for m in members) else "progressing",
            snapshots=tuple(
                Snapshot(
                    snapshot_id=m.snapshot_id,
                    source_disk_id=m.source_disk_id,
                    available=m.available,
                )
                for m in members
            ),
        )

    def _matching(self, source_disk_id: str, tags: Mapping[str, str], name: str) -> list[Snapshot]:
        return [
            snapshot
            for snapshot in self.snapshots.values()
            if source_disk_id in ("", snapshot.source_disk_id)
            and name in ("", snapshot.name)
            and tags.items() <= snapshot.tags.items()
        ]
