"""Asynchronous tasks: the rows, their settler, and DescribeTasks with its two ways of asking."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from sim import actions, clock, errors, paging
from sim import cloud as cloud_module
from sim.ecs import behaviour, disk_model, disks
from sim.ecs.disk_model import Disk

VERSION = "2014-05-26"
KIND = "task"
MODIFY_DISK_SPEC = "ModifyDiskSpec"
PROCESSING = "Processing"
FINISHED = "Finished"
FAILED = "Failed"
_MAX_IDS = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task; today only ModifyDiskSpec makes them.

    target: the fields of spec_rules.Spec to apply at the end. due_s: None once it has ended.
    fail: end as Failed instead (a test may set it in the row).
    """

    task_id: str
    action: str
    resource_id: str
    creation_time: str
    target: Mapping[str, Any]
    status: str = PROCESSING
    finished_time: str = ""
    due_s: float | None = None
    fail: bool = False

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Inverse of row()."""
        return cls(**{name: row[name] for name in row if name in cls.__dataclass_fields__})

    def row(self) -> dict[str, Any]:
        """JSON object for the store."""
        return dataclasses.asdict(self)


def put(cloud: cloud_module.Cloud, task: Task) -> None:
    """Store the task."""
    cloud.store.put(KIND, task.task_id, task.row())


@actions.settler
def settle(cloud: cloud_module.Cloud, now_s: float) -> float | None:
    """End the tasks that are due and apply their target."""
    next_due_s: float | None = None
    for row in cloud.store.all(KIND):
        due_s = row["due_s"]
        if due_s is None:
            continue
        if due_s <= now_s:
            _finish(cloud, Task.from_row(row), now_s)
        elif next_due_s is None or due_s < next_due_s:
            next_due_s = due_s
    return next_due_s


def _finish(cloud: cloud_module.Cloud, task: Task, now_s: float) -> None:
    row = cloud.store.get(disk_model.KIND, task.resource_id)
    status = FAILED if task.fail or row is None else FINISHED
    at = cloud.clock.timestamp(now_s)
    put(cloud, dataclasses.replace(task, status=status, finished_time=at, due_s=None))
    if row is None:
        return
    disk = dataclasses.replace(Disk.from_row(row), spec_task_id="")
    if status == FINISHED:
        disk = dataclasses.replace(
            disk,
            category=task.target["category"],
            performance_level=task.target["performance_level"],
            provisioned_iops=task.target["provisioned_iops"],
            bursting_enabled=disk.bursting_enabled and task.target["bursts"],
            cool_until_s=now_s + behaviour.of(cloud).cooling_s,
        )
    disks.put(cloud, disk)


@actions.action(VERSION, "DescribeTasks")
def describe_tasks(call: actions.Call) -> dict[str, Any]:
    """Tasks by id, resource, action and status, newest first."""
    params = call.params
    task_ids = {item for item in params.text("TaskIds").split(",") if item}
    resource_ids = params.strings("ResourceIds")
    if max(len(task_ids), len(resource_ids)) > _MAX_IDS:
        raise errors.invalid_parameter("TaskIds", f"{len(task_ids)} ids", f"up to {_MAX_IDS}")
    action, status = params.text("TaskAction"), params.text("TaskStatus")
    since_s = clock.parse(params.text("StartTime"))
    until_s = clock.parse(params.text("EndTime"))
    found = [
        task
        for task in reversed([Task.from_row(row) for row in call.cloud.view.all(KIND)])
        if (not task_ids or task.task_id in task_ids)
        and (not resource_ids or task.resource_id in resource_ids)
        and action in ("", task.action)
        and (status not in {PROCESSING, FINISHED, FAILED} or status == task.status)
        and _created_between(task, since_s, until_s)
    ]
    page = paging.by_number(params, found)
    tasks = [_to_api(task) for task in page.items]
    return {**page.fields, "RegionId": call.region_id, "TaskSet": {"Task": tasks}}


@actions.action(VERSION, "DescribeTaskAttribute")
def describe_task_attribute(call: actions.Call) -> dict[str, Any]:
    """One task with its progress. 404 InvalidTaskId.NotFound."""
    task_id = call.params.required("TaskId")
    row = call.cloud.view.get(KIND, task_id)
    if row is None:
        raise errors.ApiError(
            "InvalidTaskId.NotFound", 404, f"The specified task {task_id} does not exist."
        )
    task = Task.from_row(row)
    progress = {
        "ErrorCode": "InternalError" if task.status == FAILED else "",
        "ErrorMsg": "the task failed" if task.status == FAILED else "",
        "OperationStatus": task.status,
        "RelatedItemSet": {"RelatedItem": [{"Name": "DiskId", "Value": task.resource_id}]},
    }
    shown = _to_api(task)
    shown.pop("ResourceId")
    return {
        **shown,
        "RegionId": call.region_id,
        "TaskProcess": "0%" if task.status == PROCESSING else "100%",
        "TotalCount": 1,
        "SuccessCount": int(task.status == FINISHED),
        "FailedCount": int(task.status == FAILED),
        "OperationProgressSet": {"OperationProgress": [progress]},
    }


def _to_api(task: Task) -> dict[str, Any]:
    return {
        "TaskId": task.task_id,
        "TaskAction": task.action,
        "TaskStatus": task.status,
        "ResourceId": task.resource_id,
        "CreationTime": task.creation_time,
        "FinishedTime": task.finished_time,
        "SupportCancel": "false",
    }


def _created_between(task: Task, since_s: float | None, until_s: float | None) -> bool:
    at_s = clock.parse(task.creation_time) or 0.0
    return (since_s is None or at_s >= since_s) and (until_s is None or at_s <= until_s)
