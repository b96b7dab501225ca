"""`cloud.ecs_disk.Disks` in memory, for unit tests of those who use it.

Changes that take the cloud time are started by a call and stay in between (Creating, Attaching,
Detaching, Processing) until somebody waits, or `settle` is called. `tests/contract` runs the same
tests on this fake and on the real thing over the simulator.
"""

import asyncio
import dataclasses
import datetime
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from cloud import ecs_model
from core import errors
from tests.fakes import fake_refusals

Disk = ecs_model.Disk
State = ecs_model.DiskState

_MAX_ATTACHED = 16
_CREATED = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class FakeDisks:
    """Disks of one region. `record` has the calls; `disks` may be changed by the test.

    stuck: ids of disks that never leave the state in between: whoever waits runs out of time.
    """

    def __init__(self, disks: Iterable[Disk] = ()) -> None:
        self.disks: dict[str, Disk] = {disk.disk_id: disk for disk in disks}
        self.tasks: dict[str, tuple[str, ecs_model.SpecTask]] = {}
        self.snapshot_ids: set[str] | None = None
        self.stuck: set[str] = set()
        self.record = fake_refusals.Record()
        self._tokens: dict[str, tuple[ecs_model.NewDisk, str]] = {}
        self._numbers = itertools.count(1)
        self._pending: dict[str, Callable[[], None]] = {}

    # -- the test's side

    def settle(self, disk_id: str) -> None:
        """End what the cloud is doing with a disk."""
        if disk_id not in self.stuck and disk_id in self._pending:
            self._pending.pop(disk_id)()

    def change(self, disk_id: str, **fields: object) -> None:
        """Change a disk behind everybody's back."""
        self.disks[disk_id] = dataclasses.replace(self.disks[disk_id], **fields)  # type: ignore[arg-type]

    # -- the side of `Disks`

    async def create(self, new: ecs_model.NewDisk, *, client_token: str | None) -> str:
        self.record.note("create", new=new, client_token=client_token)
        known = self._tokens.get(client_token or "")
        if known is not None:
            if known[0] != new:
                raise fake_refusals.refusal("CreateDisk", "IdempotentParameterMismatch")
            return known[1]
        if (
            new.snapshot_id
            and self.snapshot_ids is not None
            and new.snapshot_id not in self.snapshot_ids
        ):
            raise fake_refusals.refusal("CreateDisk", "InvalidSnapshotId.NotFound")
        disk_id = f"d-fake{next(self._numbers):06}"
        self.disks[disk_id] = _disk_of(new, disk_id)
        self._pending[disk_id] = lambda: self.change(disk_id, state=State.AVAILABLE)
        if client_token:
            self._tokens[client_token] = (new, disk_id)
        return disk_id

    async def read(self, disk_id: str) -> Disk | None:
        self.record.note("read", disk_id=disk_id)
        await asyncio.sleep(0)
        return self.disks.get(disk_id)

    async def read_many(self, disk_ids: Sequence[str]) -> dict[str, Disk]:
        self.record.note("read_many", disk_ids=tuple(disk_ids))
        return {key: self.disks[key] for key in disk_ids if key in self.disks}

    async def list_page(
        self,
        *,
        tags: Mapping[str, str],
        instance_id: str = "",
        max_results: int = 100,
        next_token: str = "",
    ) -> ecs_model.Page[Disk]:
        self.record.note("list_page", tags=dict(tags), max_results=max_results, token=next_token)
        start = int(next_token or 0)
        found = self._matching(tags, instance_id)
        more = start + max_results < len(found)
        return ecs_model.Page(
            items=tuple(found[start : start + max_results]),
            next_token=str(start + max_results) if more else "",
        )

    async def find(
        self, *, tags: Mapping[str, str] | None = None, instance_id: str = ""
    ) -> list[Disk]:
        self.record.note("find", tags=dict(tags or {}), instance_id=instance_id)
        return self._matching(tags or {}, instance_id)

    def becomes(self, disk_id: str, **fields: object) -> None:
        """The disk gets *fields* the next time somebody waits for it."""
        self._pending[disk_id] = lambda: self.change(disk_id, **fields)

    async def wait(
        self, disk_id: str, done: Callable[[Disk | None], bool], *, what: str
    ) -> Disk | None:
        self.record.note("wait", disk_id=disk_id, what=what)
        for _ in range(2):
            seen = self.disks.get(disk_id)
            if done(seen):
                return seen
            await asyncio.sleep(0)
            self.settle(disk_id)
        seen = self.disks.get(disk_id)
        if done(seen):
            return seen
        raise errors.DeadlineExceeded(f"time is up while waiting for {what}; retry")

    async def attach(
        self,
        disk_id: str,
        instance_id: str,
        *,
        force: bool = False,
        delete_with_instance: bool = False,
    ) -> None:
        self.record.note("attach", disk_id=disk_id, instance_id=instance_id, force=force)
        disk = self._disk("AttachDisk", disk_id)
        movable = disk.multi_attach and instance_id not in disk.attached_instance_ids
        if not (disk.state is State.AVAILABLE or (force and disk.instance_id) or movable):
            raise fake_refusals.refusal("AttachDisk", "IncorrectDiskStatus")
        if sum(instance_id in d.attached_instance_ids for d in self.disks.values()) >= (
            _MAX_ATTACHED
        ):
            raise fake_refusals.refusal("AttachDisk", "InstanceDiskLimitExceeded")
        now = (*disk.attached_instance_ids, instance_id) if movable else (instance_id,)
        self.change(
            disk_id,
            state=State.ATTACHING,
            attached_instance_ids=now,
            instance_id="" if disk.multi_attach else instance_id,
        )
        self._pending[disk_id] = lambda: self.change(disk_id, state=State.IN_USE)

    async def detach(
        self, disk_id: str, instance_id: str, *, delete_with_instance: bool = False
    ) -> None:
        self.record.note("detach", disk_id=disk_id, instance_id=instance_id)
        disk = self._disk("DetachDisk", disk_id)
        free = disk.state is State.IN_USE or (disk.state is State.DETACHING and disk.multi_attach)
        if not free or instance_id not in disk.attached_instance_ids:
            raise fake_refusals.refusal("DetachDisk", "IncorrectDiskStatus")
        left = tuple(i for i in disk.attached_instance_ids if i != instance_id)
        self.change(disk_id, state=State.DETACHING)
        self._pending[disk_id] = lambda: self.change(
            disk_id,
            state=State.IN_USE if left else State.AVAILABLE,
            attached_instance_ids=left,
            instance_id="",
        )

    async def delete(self, disk_id: str) -> None:
        self.record.note("delete", disk_id=disk_id)
        disk = self._disk("DeleteDisk", disk_id)
        if disk.state is not State.AVAILABLE:
            raise fake_refusals.refusal("DeleteDisk", "IncorrectDiskStatus")
        self._pending[disk_id] = lambda: self.disks.__delitem__(disk_id)

    async def resize(
        self, disk_id: str, size_gib: int, *, online: bool, client_token: str | None = None
    ) -> None:
        self.record.note("resize", disk_id=disk_id, size_gib=size_gib, online=online)
        disk = self._disk("ResizeDisk", disk_id)
        if size_gib <= disk.size_gib:
            raise fake_refusals.refusal("ResizeDisk", "InvalidDiskSize.TooSmall")
        if disk.state not in (State.AVAILABLE, State.IN_USE):
            raise fake_refusals.refusal("ResizeDisk", "IncorrectDiskStatus")
        self.change(disk_id, size_gib=size_gib)

    async def modify_spec(
        self,
        disk_id: str,
        *,
        category: str = "",
        performance_level: str = "",
        provisioned_iops: int | None = None,
        dry_run: bool = False,
    ) -> str:
        self.record.note(
            "modify_spec", disk_id=disk_id, category=category, level=performance_level, dry=dry_run
        )
        disk = self._disk("ModifyDiskSpec", disk_id)
        wanted = dataclasses.replace(
            disk,
            category=category or disk.category,
            performance_level=performance_level or disk.performance_level,
            provisioned_iops=disk.provisioned_iops
            if provisioned_iops is None
            else provisioned_iops,
        )
        if wanted == disk:
            raise fake_refusals.refusal(
                "ModifyDiskSpec", "NoChangeInDiskCategoryAndPerformanceLevel"
            )
        if dry_run:
            raise fake_refusals.refusal("ModifyDiskSpec", "DryRunOperation")
        task_id = f"t-fake{next(self._numbers):06}"
        self.tasks[task_id] = (disk_id, ecs_model.SpecTask(task_id=task_id, status="Processing"))
        self.disks[disk_id] = wanted
        return task_id

    async def modify_bursting(self, disk_id: str, *, enabled: bool) -> None:
        self.record.note("modify_bursting", disk_id=disk_id, enabled=enabled)
        self._disk("ModifyDiskAttribute", disk_id)
        self.change(disk_id, bursting_enabled=enabled)

    async def tag(self, disk_id: str, tags: Mapping[str, str]) -> None:
        self.record.note("tag", disk_id=disk_id, tags=dict(tags))
        disk = self._disk("TagResources", disk_id)
        self.change(disk_id, tags={**disk.tags, **tags})

    async def untag(self, disk_id: str, keys: Sequence[str]) -> None:
        self.record.note("untag", disk_id=disk_id, keys=tuple(keys))
        disk = self._disk("UntagResources", disk_id)
        self.change(disk_id, tags={k: v for k, v in disk.tags.items() if k not in keys})

    async def latest_spec_task(self, disk_id: str) -> ecs_model.SpecTask | None:
        self.record.note("latest_spec_task", disk_id=disk_id)
        found = [task for owner, task in self.tasks.values() if owner == disk_id]
        return found[-1] if found else None

    async def wait_spec_task(self, task_id: str) -> ecs_model.SpecTask:
        self.record.note("wait_spec_task", task_id=task_id)
        if task_id not in self.tasks or task_id in self.stuck:
            raise errors.DeadlineExceeded(
                f"time is up while waiting for task {task_id} to change the disk; retry"
            )
        disk_id, task = self.tasks[task_id]
        if task.status == "Processing":
            task = ecs_model.SpecTask(task_id=task_id, status="Finished")
            self.tasks[task_id] = (disk_id, task)
        return task

    def _disk(self, action: str, disk_id: str) -> Disk:
        disk = self.disks.get(disk_id)
        if disk is None:
            raise fake_refusals.refusal(action, "InvalidDiskId.NotFound")
        return disk

    def _matching(self, tags: Mapping[str, str], instance_id: str) -> list[Disk]:
        return [
            disk
            for disk in self.disks.values()
            if tags.items() <= disk.tags.items()
            and instance_id in ("", *disk.attached_instance_ids)
        ]


def _disk_of(new: ecs_model.NewDisk, disk_id: str) -> Disk:
    return Disk(
        disk_id=disk_id,
        region_id=new.region_id,
        zone_id=new.zone_id,
        state=State.CREATING,
        category=new.category,
        performance_level=new.performance_level,
        size_gib=new.size_gib,
        serial_number=disk_id.removeprefix("d-"),
        multi_attach=new.multi_attach,
        encrypted=new.encrypted,
        kms_key_id=new.kms_key_id,
        resource_group_id=new.resource_group_id,
        storage_cluster_id=new.storage_cluster_id,
        provisioned_iops=new.provisioned_iops,
        bursting_enabled=bool(new.bursting_enabled),
        name=new.name,
        source_snapshot_id=new.snapshot_id,
        tags=dict(new.tags),
        creation_time=_CREATED,
    )
