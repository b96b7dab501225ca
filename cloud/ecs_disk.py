"""Disks of ECS."""

from collections.abc import Callable, Mapping, Sequence

from cloud import batch, describe, ecs_model, ecs_wire, openapi, wait
from core import clock

_PAGE = 100
_POLL_S = 2.0
_TASK_POLL_S = 3.0


class Disks:
    """Actions on disks. Errors are `cloud.errors`; nothing is retried but throttled calls."""

    def __init__(self, api: openapi.OpenApi, time: clock.Clock, *, describe_qps: float) -> None:
        self._api = api
        self._batcher = batch.DescribeBatcher(
            "disks", self.read_many, time, calls_per_s=describe_qps
        )
        self._waiter = wait.StatusWaiter(
            "disks",
            self.read_many,
            time,
            first_s=1 / describe_qps,
            interval_s=_POLL_S,
            show=lambda disk: disk.state,
        )
        self._tasks = wait.StatusWaiter(
            "disk tasks",
            self._read_tasks,
            time,
            first_s=1 / describe_qps,
            interval_s=_TASK_POLL_S,
            show=lambda task: task.status,
        )

    def close(self) -> None:
        """Stop polling; whoever waits is cancelled."""
        self._batcher.close()
        self._waiter.close()
        self._tasks.close()

    async def create(self, new: ecs_model.NewDisk, *, client_token: str | None) -> str:
        """Id of the new disk. The same token and input give the same disk for 24 hours."""
        body = await self._api.call(
            openapi.ECS,
            "CreateDisk",
            {
                "RegionId": new.region_id or None,
                "ZoneId": new.zone_id or None,
                "Size": new.size_gib,
                "DiskCategory": new.category,
                "PerformanceLevel": new.performance_level or None,
                "DiskName": new.name or None,
                "SnapshotId": new.snapshot_id or None,
                "Encrypted": new.encrypted or None,
                "KMSKeyId": new.kms_key_id or None,
                "Arn": [
                    {
                        "RoleType": a.role_type,
                        "Rolearn": a.role_arn,
                        "AssumeRoleFor": a.assume_role_for,
                    }
                    for a in new.arns
                ]
                or None,
                "ResourceGroupId": new.resource_group_id or None,
                "StorageClusterId": new.storage_cluster_id or None,
                "MultiAttach": "Enabled" if new.multi_attach else None,
                "ProvisionedIops": new.provisioned_iops,
                "BurstingEnabled": new.bursting_enabled,
                "Tag": ecs_wire.tags(new.tags),
                "ClientToken": client_token,
            },
        )
        return str(body.disk_id)

    async def read(self, disk_id: str) -> ecs_model.Disk | None:
        """The disk now, None when ECS has none; look-ups of a moment share one call."""
        return await self._batcher.read(disk_id)

    async def read_many(self, disk_ids: Sequence[str]) -> dict[str, ecs_model.Disk]:
        """What exists of at most 100 *disk_ids*, by id."""
        return await describe.by_id(self._describe, disk_ids, malformed="InvalidDiskId")

    async def _describe(self, disk_ids: Sequence[str]) -> dict[str, ecs_model.Disk]:
        """Source: ECS DescribeDisks."""
        body = await self._api.call(
            openapi.ECS,
            "DescribeDisks",
            {"DiskIds": ecs_wire.id_list(disk_ids), "PageSize": _PAGE},
        )
        found = [ecs_wire.disk(raw) for raw in body.disks.disk or []]
        return {disk.disk_id: disk for disk in found}

    async def list_page(
        self,
        *,
        tags: Mapping[str, str],
        instance_id: str = "",
        max_results: int = _PAGE,
        next_token: str = "",
    ) -> ecs_model.Page[ecs_model.Disk]:
        """One page. max_results: ECS takes 10 to 500."""
        body = await self._api.call(
            openapi.ECS,
            "DescribeDisks",
            {
                "Tag": ecs_wire.tags(tags),
                "InstanceId": instance_id or None,
                "MaxResults": max_results,
                "NextToken": next_token or None,
            },
        )
        return ecs_model.Page(
            items=tuple(ecs_wire.disk(raw) for raw in body.disks.disk or []),
            next_token=body.next_token or "",
        )

    async def find(
        self, *, tags: Mapping[str, str] | None = None, instance_id: str = ""
    ) -> list[ecs_model.Disk]:
        """Every disk with all of *tags*, attached to *instance_id* when given."""
        found: list[ecs_model.Disk] = []
        token = ""
        while True:
            page = await self.list_page(tags=tags or {}, instance_id=instance_id, next_token=token)
            found += page.items
            token = page.next_token
            if not token:
                return found

    async def wait(
        self, disk_id: str, done: Callable[[ecs_model.Disk | None], bool], *, what: str
    ) -> ecs_model.Disk | None:
        """The disk once *done* accepts it, None when there is none and that is accepted.

        Raises DeadlineExceeded naming *what* and the state seen last.
        """
        return await self._waiter.wait(disk_id, done, what=what)

    async def attach(
        self,
        disk_id: str,
        instance_id: str,
        *,
        force: bool = False,
        delete_with_instance: bool = False,
    ) -> None:
        """Start attaching; ECS answers before it is done."""
        await self._api.call(
            openapi.ECS,
            "AttachDisk",
            {
                "DiskId": disk_id,
                "InstanceId": instance_id,
                "Force": force or None,
                "DeleteWithInstance": delete_with_instance or None,
            },
        )

    async def detach(
        self, disk_id: str, instance_id: str, *, delete_with_instance: bool = False
    ) -> None:
        """Start detaching; ECS answers before it is done."""
        await self._api.call(
            openapi.ECS,
            "DetachDisk",
            {
                "DiskId": disk_id,
                "InstanceId": instance_id,
                "DeleteWithInstance": delete_with_instance or None,
            },
        )

    async def delete(self, disk_id: str) -> None:
        """Delete for good."""
        await self._api.call(openapi.ECS, "DeleteDisk", {"DiskId": disk_id})

    async def resize(
        self, disk_id: str, size_gib: int, *, online: bool, client_token: str | None = None
    ) -> None:
        """Grow. online: the disk is attached to a running instance."""
        await self._api.call(
            openapi.ECS,
            "ResizeDisk",
            {
                "DiskId": disk_id,
                "NewSize": size_gib,
                "Type": "online" if online else None,
                "ClientToken": client_token,
            },
        )

    async def modify_spec(
        self,
        disk_id: str,
        *,
        category: str = "",
        performance_level: str = "",
        provisioned_iops: int | None = None,
        dry_run: bool = False,
    ) -> str:
        """Id of the task that changes category, level or IOPS. A dry run always raises."""
        body = await self._api.call(
            openapi.ECS,
            "ModifyDiskSpec",
            {
                "DiskId": disk_id,
                "DiskCategory": category or None,
                "PerformanceLevel": performance_level or None,
                "ProvisionedIops": provisioned_iops,
                "DryRun": dry_run or None,
            },
        )
        return ecs_wire.text(body.task_id)

    async def modify_bursting(self, disk_id: str, *, enabled: bool) -> None:
        """Switch performance bursting."""
        await self._api.call(
            openapi.ECS, "ModifyDiskAttribute", {"DiskId": disk_id, "BurstingEnabled": enabled}
        )

    async def tag(self, disk_id: str, tags: Mapping[str, str]) -> None:
        """Add or replace tags."""
        await self._api.call(
            openapi.ECS,
            "TagResources",
            {"ResourceType": "disk", "ResourceId": [disk_id], "Tag": ecs_wire.tags(tags)},
        )

    async def untag(self, disk_id: str, keys: Sequence[str]) -> None:
        """Remove tags by key."""
        await self._api.call(
            openapi.ECS,
            "UntagResources",
            {"ResourceType": "disk", "ResourceId": [disk_id], "TagKey": list(keys)},
        )

    async def latest_spec_task(self, disk_id: str) -> ecs_model.SpecTask | None:
        """The newest ModifyDiskSpec task of a disk, None when it never had one."""
        body = await self._api.call(
            openapi.ECS,
            "DescribeTasks",
            {"ResourceIds": [disk_id], "TaskAction": "ModifyDiskSpec", "PageSize": 1},
        )
        for raw in body.task_set.task or []:
            return ecs_model.SpecTask(task_id=str(raw.task_id), status=str(raw.task_status))
        return None

    async def wait_spec_task(self, task_id: str) -> ecs_model.SpecTask:
        """The task once it has ended, well or badly. Raises DeadlineExceeded."""
        task = await self._tasks.wait(
            task_id,
            lambda t: t is not None and t.status != "Processing",
            what=f"task {task_id} to change the disk",
        )
        if task is None:
            raise RuntimeError("the waiter only accepts a task that exists")
        return task

    async def _read_tasks(self, task_ids: Sequence[str]) -> dict[str, ecs_model.SpecTask]:
        body = await self._api.call(
            openapi.ECS, "DescribeTasks", {"TaskIds": ",".join(task_ids), "PageSize": _PAGE}
        )
        found = body.task_set.task or []
        return {
            str(raw.task_id): ecs_model.SpecTask(
                task_id=str(raw.task_id), status=str(raw.task_status)
            )
            for raw in found
        }
