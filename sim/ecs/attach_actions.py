"""AttachDisk and DetachDisk. The decisions are in attach_rules.py."""

import dataclasses
from typing import Any

from sim import actions, errors
from sim import params as params_module
from sim.ecs import attach_rules, categories, disk_model, disks, hands, instances, refusals
from sim.ecs.disk_model import Disk

VERSION = "2014-05-26"


@actions.action(VERSION, "AttachDisk")
def attach_disk(call: actions.Call) -> dict[str, Any]:
    """Begin to attach a data disk; it is In_use after the world's latency."""
    cloud, params = call.cloud, call.params
    instance_id, disk_id = params.required("InstanceId"), params.required("DiskId")
    instance = instances.require(cloud, instance_id)
    disk = disks.require(cloud, disk_id)
    force = params.boolean("Force") or False
    if params.boolean("Bootable"):
        raise errors.invalid_parameter("Bootable", "true", "false, system disks cannot be attached")
    with_instance = _delete_with_instance(params, disk)
    instances.require_running_or_stopped(cloud, instance_id, status=400)
    attach_rules.require_attachable(
        disk, instance, force=force, max_instances=cloud.world.quotas.multi_attach_instances
    )
    present = disks.on_instance(cloud, instance_id)
    attach_rules.require_room(instance, present)
    attach_rules.require_attach_slot(instance, present)
    now_s = cloud.clock.now_s()
    taken = force and not disk.multi_attach
    kept = disk_model.drop_attachments(disk, at=cloud.clock.timestamp(now_s)) if taken else disk
    begun = disk_model.begin_attach(
        kept,
        instance_id,
        device=attach_rules.choose_device(present, instance_id),
        due_s=now_s + cloud.latency("attach_disk"),
    )
    disks.put(cloud, dataclasses.replace(begun, delete_with_instance=with_instance))
    for old in disk.attachments if taken else ():
        _take_away(call, disk, old.instance_id, instance_id)
    return {}


def _take_away(call: actions.Call, disk: Disk, from_id: str, to_id: str) -> None:
    """Remove the link on the old instance; the device stays for the new one."""
    hands.act(
        call.cloud,
        lambda hardware: hardware.detach(
            disk.disk_id, disk.serial_number, from_id, remaining=(to_id,)
        ),
    )


def _delete_with_instance(params: params_module.Params, disk: Disk) -> bool:
    """Elastic ephemeral disks must have it true; multi-attach disks must not have it at all."""
    value = params.boolean("DeleteWithInstance")
    if value is not None and disk.multi_attach:
        raise refusals.multi_attach_disk(disk.disk_id)
    if categories.find(disk.category).ephemeral and not value:
        raise errors.invalid_parameter(
            "DeleteWithInstance", str(value), f"true for a disk of category {disk.category}"
        )
    return value or False


@actions.action(VERSION, "DetachDisk")
def detach_disk(call: actions.Call) -> dict[str, Any]:
    """Begin to detach a data disk; it is Available after the world's latency.

    With hardware it stays Detaching while the device is mounted or open, which is stricter than
    the real cloud: that one takes the device away from under the file system.
    """
    cloud, params = call.cloud, call.params
    instance_id, disk_id = params.required("InstanceId"), params.required("DiskId")
    instances.require(cloud, instance_id)
    disk = disks.require(cloud, disk_id)
    _delete_with_instance(params, disk)
    attach_rules.require_detachable(disk, instance_id)
    instance = instances.require_running_or_stopped(cloud, instance_id)
    attach_rules.require_detach_slot(instance, disks.on_instance(cloud, instance_id))
    due_s = cloud.clock.now_s() + cloud.latency("detach_disk")
    disks.put(cloud, disk_model.begin_detach(disk, instance_id, due_s=due_s))
    return {}
