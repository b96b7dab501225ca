"""Disks in the store: reading, writing, and what happens to them by themselves.

Not here: what a caller may do (disk_actions.py, attach_actions.py, spec_actions.py).
"""

import dataclasses

from sim import actions
from sim import cloud as cloud_module
from sim.ecs import behaviour, disk_model, hands, refusals, snapshots
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
    """End creations, attachments, detachments and deletions that are due.

    A disk that leaves an instance that is gone is deleted then, if it was to be released with it.
    """
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
    elif not _is_held(cloud, disk, instance_id) and hands.settle(
        cloud,
        lambda hardware: hardware.detach(
            disk.disk_id, disk.serial_number, instance_id, remaining=disk.others(instance_id)
        ),
    ):
        left = disk_model.finish_detach(disk, instance_id, at=at)
        if _goes_with(cloud, disk, instance_id):
            left = dataclasses.replace(left, delete_due_s=now_s)
        return left
    return disk_model.retry_at(disk, instance_id, due_s=now_s + hands.RETRY_S)


def _goes_with(cloud: cloud_module.Cloud, disk: Disk, instance_id: str) -> bool:
    """Whether the instance is gone, and the disk is to be released with it."""
    return disk.delete_with_instance and cloud.world.instance(instance_id) is None


def _is_held(cloud: cloud_module.Cloud, disk: Disk, instance_id: str) -> bool:
    """Whether it cannot leave yet: the instance hangs, or a snapshot is cut before its end."""
    if cloud.world.instance(instance_id) is not None:
        return instance_id in behaviour.of(cloud).stuck_instance_ids
    return disk.delete_with_instance and snapshots.being_cut(cloud, disk.disk_id)
