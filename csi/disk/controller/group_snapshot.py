"""Group snapshots: several volumes cut at one moment. Source: spec/csi-driver.md 2.12."""

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import call, clock, errors
from csi import token_chain
from csi.disk.controller import (
    category,
    cloud_codes,
    controller_requests,
    names,
    settings,
    settled,
    tags,
)

Disk = ecs_model.Disk
Group = ecs_model.SnapshotGroup
Snapshot = ecs_model.Snapshot

_LOOKS = 10
_DONE, _FAILED = "accomplished", "failed"
_MAX_DISKS = 16
_MAX_TOTAL_GIB = 32 * 1024
"""Limits of one group. Source: spec/csi-driver.md 2.12 and the ECS page of CreateSnapshotGroup."""
_MEANINGS: Mapping[str, type[errors.Error]] = {
    "InvalidDiskId.NotFound": errors.NotFound,
    "InvalidDiskCategory*": errors.Precondition,
    "IncorrectDiskStatus.Never*": errors.Precondition,
    "InvalidParameter*": errors.Precondition,
}


class SnapshotApi(Protocol):
    """What group snapshots need of `cloud.ecs_snapshot.Snapshots`."""

    async def read(self, snapshot_id: str) -> Snapshot | None: ...

    async def wait(
        self, snapshot_id: str, done: Callable[[Snapshot | None], bool], *, what: str
    ) -> Snapshot | None: ...

    async def create_group(
        self,
        *,
        disk_ids: Sequence[str],
        name: str,
        description: str,
        resource_group_id: str,
        tags: Mapping[str, str],
        client_token: str | None,
    ) -> str: ...

    async def read_group(self, group_id: str) -> Group | None: ...

    async def find_groups(self, name: str) -> list[Group]: ...

    async def delete_group(self, group_id: str) -> None: ...


class GroupSnapshotter:
    """Creates, reads and deletes group snapshots. A group's name is its identity."""

    def __init__(
        self,
        *,
        disks: settled.DiskApi,
        snapshots: SnapshotApi,
        time: clock.Clock,
        config: settings.DiskSettings,
    ) -> None:
        self._disks = disks
        self._snapshots = snapshots
        self._clock = time
        self._config = config

    async def create(self, want: controller_requests.GroupRequest) -> Group:
        """The group of *want* with its snapshots, all cut.

        Raises NotFound for a volume, Precondition for volumes that cannot be grouped, Exists when
        the name is taken by a group of other volumes, Busy while not all its members are shown.
        """
        group = await self._find(want)
        if group is None:
            disks = await asyncio.gather(*(self._read_disk(d) for d in want.disk_ids))
            fault = choose_fault(disks)
            if fault:
                raise errors.Precondition(f"group snapshot {want.name}: {fault}")
            group = await self._make(want)
        group = await self._whole(group, want)
        conflict = choose_conflict(group, want)
        if conflict:
            raise errors.Exists(
                f"group snapshot {want.name} exists as {group.group_id} and differs: {conflict}"
            )
        return await self._complete(group)

    async def get(self, group_id: str, snapshot_ids: Sequence[str]) -> Group:
        """The group. Raises NotFound, and Invalid when *snapshot_ids* are not its own."""
        group = await self._read(group_id)
        if group is None:
            raise errors.NotFound(f"group snapshot {group_id} not found")
        _require_members(group, snapshot_ids)
        return await self._complete(group)

    async def delete(self, group_id: str, snapshot_ids: Sequence[str]) -> None:
        """Return when the group and its snapshots are gone; one that never was is fine.

        Raises Invalid when the group has snapshots that *snapshot_ids* does not name, Precondition
        for another cluster's.
        """
        group = await self._read(group_id)
        if group is None:
            return
        _require_members(group, snapshot_ids)
        what = f"group snapshot {group_id}"
        tags.require_own(what, group.tags, cluster_id=self._config.cluster_id)
        try:
            await self._snapshots.delete_group(group_id)
        except cloud_errors.CloudNotFound:
            return
        for member in group.snapshots:
            await self._snapshots.wait(
                member.snapshot_id,
                lambda s: s is None,
                what=f"snapshot {member.snapshot_id} of group {group_id} to be deleted",
            )

    async def _find(self, want: controller_requests.GroupRequest) -> Group | None:
        found = await self._snapshots.find_groups(names.group_name(want.name))
        if len(found) > 1:
            ids = ", ".join(sorted(group.group_id for group in found))
            raise errors.Internal(f"snapshot groups {ids} are all called {want.name}")
        return found[0] if found else None

    async def _make(self, want: controller_requests.GroupRequest) -> Group:
        """A new group, or an earlier one of that name."""
        return await token_chain.make(
            want.name,
            kind="group snapshot",
            wish=",".join(sorted(want.disk_ids)),
            create=functools.partial(self._create, want),
            is_spent=cloud_codes.is_token_spent,
            find=lambda: self._look(functools.partial(self._find, want)),
            read=lambda group_id: self._look(functools.partial(self._read, group_id)),
        )

    async def _whole(self, group: Group, want: controller_requests.GroupRequest) -> Group:
        """*group* with all its members: one that is still being made may lack some in lists."""
        for _ in range(_LOOKS):
            if not is_partial(group, want):
                return group
            call.doing(f"waiting for the members of group snapshot {want.name}")
            await self._clock.sleep(token_chain.LOOK_EVERY_S)
            group = await self._read(group.group_id) or group
        raise errors.Busy(f"group snapshot {want.name} is still being made; retry later")

    async def _create(self, want: controller_requests.GroupRequest, token: str) -> str:
        with cloud_codes.meaning(f"group snapshot {want.name}", _MEANINGS):
            return await self._snapshots.create_group(
                disk_ids=want.disk_ids,
                name=names.group_name(want.name),
                description="",
                resource_group_id=want.parameters.resource_group_id,
                tags=tags.snapshot_tags(
                    cluster_id=self._config.cluster_id, wanted=want.parameters.tags, own={}
                ),
                client_token=token,
            )

    async def _look(self, read: Callable[[], Awaitable[Group | None]]) -> Group | None:
        """What *read* finds, looked for with patience: a new group shows up within seconds."""
        call.doing("looking for a new snapshot group")
        return await token_chain.look(read, self._clock, times=_LOOKS)

    async def _read(self, group_id: str) -> Group | None:
        """The group, None when there is none, also for an id that cannot be one."""
        try:
            return await self._snapshots.read_group(group_id)
        except cloud_errors.CloudError as e:
            if e.code.startswith(("InvalidSnapshotGroupId", "InvalidSnapshotId")):
                return None
            raise

    async def _read_disk(self, disk_id: str) -> Disk:
        return await settled.require(
            self._disks, disk_id, purpose="it can be snapshotted", role="source volume"
        )

    async def _complete(self, group: Group) -> Group:
        """*group* with all that is known about its snapshots, which are cut now."""
        members = await asyncio.gather(
            *(self._member(group, row.snapshot_id) for row in group.snapshots)
        )
        return dataclasses.replace(group, snapshots=tuple(members))

    async def _member(self, group: Group, snapshot_id: str) -> Snapshot:
        member = await self._snapshots.wait(
            snapshot_id,
            lambda s: s is None or s.creation_time is not None or s.status == _FAILED,
            what=f"snapshot {snapshot_id} of group {group.group_id} to be cut",
        )
        if member is None:
            raise errors.Internal(
                f"snapshot {snapshot_id} of group snapshot {group.group_id} was deleted alone; "
                f"delete the group"
            )
        if member.status == _FAILED:
            raise errors.Internal(
                f"the cloud could not make snapshot {snapshot_id} of group {group.group_id}; "
                f"delete the group"
            )
        return member


def choose_fault(disks: Sequence[Disk]) -> str:
    """Why *disks* cannot be snapshotted together, "" when nothing is known against it. Pure."""
    for disk in disks:
        if not category.of(disk.category).group_snapshot:
            return f"volume {disk.disk_id} is {disk.category}; groups take the ESSD family only"
        if disk.multi_attach:
            return f"volume {disk.disk_id} has multiAttach"
    if len({disk.zone_id for disk in disks}) > 1:
        return "the volumes are in several zones"
    if len(disks) > _MAX_DISKS:
        return f"{len(disks)} volumes are too many, at most {_MAX_DISKS}"
    total_gib = sum(disk.size_gib for disk in disks)
    if total_gib > _MAX_TOTAL_GIB:
        return f"{total_gib} GiB in all are too many, at most {_MAX_TOTAL_GIB}"
    return ""


def is_partial(group: Group, want: controller_requests.GroupRequest) -> bool:
    """Whether *group* may become the one of *want* by itself. Pure."""
    found = {member.source_disk_id for member in group.snapshots}
    return group.status not in (_DONE, _FAILED) and found < set(want.disk_ids)


def choose_conflict(group: Group, want: controller_requests.GroupRequest) -> str:
    """What of *group* contradicts *want*, "" when nothing does. Pure."""
    found = {member.source_disk_id for member in group.snapshots}
    if found != set(want.disk_ids):
        return f"it is of volumes {', '.join(sorted(found)) or 'none'}"
    for key, value in want.parameters.tags.items():
        if group.tags.get(key) != value:
            return f"its tag {key} is {group.tags.get(key, 'not there')}"
    return ""


def _require_members(group: Group, snapshot_ids: Sequence[str]) -> None:
    """Raise Invalid when *group* has a snapshot that is not named."""
    unnamed = {member.snapshot_id for member in group.snapshots} - set(snapshot_ids)
    if unnamed:
        raise errors.InvalidField(
            "snapshot_ids",
            f"lack {', '.join(sorted(unnamed))} of group snapshot {group.group_id}",
            allowed="all snapshots of the group",
        )
