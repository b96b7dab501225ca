"""ResizeDisk: growing a disk, online or offline. Codes: spec/cloud-api.md 4.2."""

import dataclasses
from typing import Any

from sim import actions, errors
from sim.ecs import categories, disks, hands, instances, refusals, snapshots
from sim.ecs.disk_model import Disk, DiskStatus

VERSION = "2014-05-26"


@actions.action(VERSION, "ResizeDisk", idempotent=True)
def resize_disk(call: actions.Call) -> dict[str, Any]:
    """The size is told at once. An instance sees it at once when online, else after a reboot.

    For the world's resize latency a further call is answered 400 LastOrderProcessing.
    """
    cloud, params = call.cloud, call.params
    disk = disks.require(cloud, params.required("DiskId"))
    size_gib = params.integer("NewSize", minimum=1)
    if size_gib is None:
        raise errors.missing_parameter("NewSize")
    online = params.choice("Type", ("online", "offline"), "offline") == "online"
    now_s = cloud.clock.now_s()
    if now_s < disk.resizing_until_s:
        raise errors.ApiError(
            "LastOrderProcessing", 400, f"The last resize of {disk.disk_id} is still processing."
        )
    if disk.spec_task_id:
        raise errors.ApiError(
            "Operation.Conflict", 403, f"The disk {disk.disk_id} is being modified."
        )
    if snapshots.being_cut(cloud, disk.disk_id):
        raise refusals.creating_snapshot(disk.disk_id)
    _require_state(call, disk, online=online)
    _require_new_size(disk, size_gib)
    grown = dataclasses.replace(
        disk,
        size_gib=size_gib,
        resizing_until_s=now_s + cloud.latency("resize_disk"),
        stale_size=disk.stale_size or (not online and disk.status is DiskStatus.IN_USE),
    )
    if online:
        grown = dataclasses.replace(grown, stale_size=False)
    disks.put(cloud, grown)
    if disk.type != "system":
        hands.act(cloud, lambda hardware: hardware.resize(disk.disk_id, size_gib, online=online))
    return {"OrderId": ""}


def _require_state(call: actions.Call, disk: Disk, *, online: bool) -> None:
    """Available, or In_use by instances that are up (online) or up or stopped (offline)."""
    if disk.status not in {DiskStatus.AVAILABLE, DiskStatus.IN_USE}:
        raise refusals.incorrect_disk_status(disk.disk_id, disk.status, "In_use or Available")
    if not online:
        for attachment in disk.attachments:
            instances.require_running_or_stopped(call.cloud, attachment.instance_id)
        return
    if not categories.find(disk.category).online_resize:
        raise errors.ApiError(
            "InvalidDiskCategory.NotSupported",
            403,
            f"A disk of category {disk.category} cannot be resized online.",
        )
    if disk.status is not DiskStatus.IN_USE:
        raise refusals.incorrect_disk_status(
            disk.disk_id, disk.status, "In_use (a disk that is not attached is resized offline)"
        )
    for attachment in disk.attachments:
        instance = instances.require_running_or_stopped(call.cloud, attachment.instance_id)
        if instance.state.status != instances.RUNNING:
            raise errors.ApiError(
                "InvalidInstanceStatus.NotRunning",
                403,
                f"The instance {instance.instance_id} is {instance.state.status}; an online "
                "resize needs it Running.",
            )


def _require_new_size(disk: Disk, size_gib: int) -> None:
    if size_gib <= disk.size_gib:
        raise errors.ApiError(
            "InvalidDiskSize.TooSmall",
            403,
            f"The new size {size_gib} must be greater than the disk's size, {disk.size_gib} GiB.",
        )
    largest = categories.find(disk.category).max_gib
    if size_gib > largest:
        raise errors.ApiError(
            "InvalidDiskSize.TooLarge",
            403,
            f"The new size {size_gib} exceeds {largest} GiB, the most for {disk.category}.",
        )
