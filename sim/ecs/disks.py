"""Disks in the store: reading, writing, and what happens to them by themselves.

Not here: what a caller may do (disk_actions.py, attach_actions.py, spec_actions.py).
"""

import dataclasses

from sim import actions
from sim import cloud as cloud_module
from sim.ecs import behaviour, disk_model, hands, refusals
from sim.ecs.disk_model import AttachmentState, Disk


def find(cloud: cloud_module.Cloud, disk_id: str) -> Disk | None:
    """The disk, or None when it is absent or being deleted."""
    row = cloud.store.get(disk_model.KIND, disk_id)
    if row is None:
        return None
    disk = Disk.from_row(row)
    return None if disk.delete_due_s is not None else disk


def require(cloud: cloud_module.Cloud, disk_id: str) -> Disk:
    """The disk; 404 InvalidDiskId.NotFound."""
    disk = find(cloud, disk_id)
    if disk is None:
        raise refusals.disk_not_found(disk_id)
    return disk


def put(cloud: cloud_module.Cloud, disk: Disk) -> None:
    """Store the disk."""
    cloud.store.put(disk_model.KIND, disk.disk_id, disk.row())


def on_instance(cloud: cloud_module.Cloud, instance_id: str) -> list[Disk]:
    """Disks attached to the instance, in any state of attachment, system disk first."""
    rows = cloud.store.all(disk_model.KIND)
    mine = [
        Disk.from_row(row)
        for row in rows
        if any(item["instance_id"] == instance_id for item in row["attachments"])
    ]
    return sorted(mine, key=lambda disk: disk.type != "system")


def remove(cloud: cloud_module.Cloud, disk: Disk) -> None:
    """Forget the disk and its image."""
    cloud.store.delete(disk_model.KIND, disk.disk_id)
    hands.act(cloud, lambda hardware: hardware.delete_disk(disk.disk_id))


@actions.settler
def settle(cloud: cloud_module.Cloud, now_s: float) -> float | None:
    """End creations, attachments, detachments and deletions that are due."""
    next_due_s: float | None = None
    for row in cloud.store.all(disk_model.KIND):
        due_s = row["due_s"]
        if due_s is None:
            continue
        if due_s <= now_s:
            due_s = _settle_disk(cloud, Disk.from_row(row), now_s)
        if due_s is not None and (next_due_s is None or due_s < next_due_s):
            next_due_s = due_s
    return next_due_s


def _settle_disk(cloud: cloud_module.Cloud, disk: Disk, now_s: float) -> float | None:
    if disk.delete_due_s is not None and disk.delete_due_s <= now_s:
        if hands.settle(cloud, lambda hardware: hardware.delete_disk(disk.disk_id)):
            cloud.store.delete(disk_model.KIND, disk.disk_id)
            return None
        disk = dataclasses.replace(disk, delete_due_s=now_s + hands.RETRY_S)
    if disk.create_due_s is not None and disk.create_due_s <= now_s:
        disk = disk_model.finish_create(disk)
    for attachment in disk.attachments:
        if attachment.due_s is not None and attachment.due_s <= now_s:
            disk = _settle_attachment(cloud, disk, attachment, now_s)
    put(cloud, disk)
    return disk.due_s


def _settle_attachment(
    cloud: cloud_module.Cloud, disk: Disk, attachment: disk_model.Attachment, now_s: float
) -> Disk:
    instance_id, at = attachment.instance_id, cloud.clock.timestamp(now_s)
    if attachment.state is AttachmentState.ATTACHING:
        if hands.settle(
            cloud, lambda hardware: hardware.attach(disk.disk_id, disk.serial_number, instance_id)
        ):
            return disk_model.finish_attach(disk, instance_id, at=at)
    elif instance_id not in behaviour.of(cloud).stuck_instance_ids and hands.settle(
        cloud,
        lambda hardware: hardware.detach(
            disk.disk_id, disk.serial_number, instance_id, remaining=disk.others(instance_id)
        ),
    ):
        return disk_model.finish_detach(disk, instance_id, at=at)
    return disk_model.retry_at(disk, instance_id, due_s=now_s + hands.RETRY_S)
