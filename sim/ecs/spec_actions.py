"""ModifyDiskSpec: the action around the decisions of spec_rules.py. Its task runs in tasks.py."""

import dataclasses
from typing import Any

from sim import actions, errors
from sim import cloud as cloud_module
from sim.ecs import (
    categories,
    disks,
    instances,
    lists,
    refusals,
    spec_rules,
    stock,
    tasks,
)
from sim.ecs.disk_model import Disk

VERSION = "2014-05-26"


@actions.action(VERSION, "ModifyDiskSpec")
def modify_disk_spec(call: actions.Call) -> dict[str, Any]:
    """Start a task that changes category, level or provisioned IOPS.

    DryRun=true that would pass is answered 400 DryRunOperation.
    """
    cloud, params = call.cloud, call.params
    disk = disks.require(cloud, params.required("DiskId"))
    now_s = cloud.clock.now_s()
    if "DestinationZoneId" in params:
        raise errors.invalid_parameter(
            "DestinationZoneId", params.text("DestinationZoneId"), "absent, not supported"
        )
    spec_rules.require_modifiable(disk, now_s=now_s)
    target = spec_rules.choose_target(
        disk,
        category=params.text("DiskCategory"),
        level=params.text("PerformanceLevel"),
        iops=params.integer("ProvisionedIops", minimum=0),
    )
    _require_instances(cloud, disk, target)
    _require_stock(cloud, disk, target)
    if params.boolean("DryRun"):
        raise lists.dry_run_passed()
    task = tasks.Task(
        task_id=cloud.ids.new("t"),
        action=tasks.MODIFY_DISK_SPEC,
        resource_id=disk.disk_id,
        creation_time=cloud.clock.timestamp(now_s),
        target={
            **dataclasses.asdict(target),
            "bursts": categories.find(target.category).auto,
        },
        due_s=now_s + cloud.latency("modify_task"),
    )
    tasks.put(cloud, task)
    disks.put(cloud, dataclasses.replace(disk, spec_task_id=task.task_id))
    return {"TaskId": task.task_id, "OrderId": ""}


def _require_instances(cloud: cloud_module.Cloud, disk: Disk, target: spec_rules.Spec) -> None:
    """Instances that have the disk must be up or stopped and take the new category."""
    for attachment in disk.attachments:
        instance = instances.require_running_or_stopped(cloud, attachment.instance_id)
        allowed = instance.type.disk_categories
        if allowed and target.category not in allowed:
            raise refusals.unsupported_by_instance_type(
                target.category, instance.type.instance_type_id
            )


def _require_stock(cloud: cloud_module.Cloud, disk: Disk, target: spec_rules.Spec) -> None:
    """A new category or level needs stock; every lack of it is 403 OperationDenied.NoStock."""
    if (target.category, target.performance_level) == (disk.category, disk.performance_level):
        return
    try:
        stock.require_sold(
            cloud.world,
            zone_id=disk.zone_id,
            category=target.category,
            level=target.performance_level,
            size_gib=disk.size_gib,
        )
    except errors.ApiError as e:
        raise refusals.no_stock(target.category, disk.zone_id) from e
