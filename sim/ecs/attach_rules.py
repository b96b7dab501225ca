"""May this disk go to this instance, or leave it: pure decisions.

Sources: AttachDisk and DetachDisk field comments of the SDK, spec/cloud-api.md 4.2, the reference
driver's pull requests 930, 1026 and 1216 for what concurrent calls are answered.
"""

import string
from collections.abc import Iterable, Sequence

from sim import errors
from sim.ecs import categories, instances, refusals
from sim.ecs.disk_model import AttachmentState, Disk, DiskStatus

ATTACH_TAG = "supportConcurrencyAttach"
DETACH_TAG = "supportConcurrencyDetach"
_MAX_PARALLEL_ATTACHES = 32
_MAX_PARALLEL_DETACHES = 5
"""Both from the reference driver's pull request 1216."""


def require_attachable(
    disk: Disk, instance: instances.Instance, *, force: bool, max_instances: int
) -> None:
    """Everything about the pair that does not depend on other disks."""
    limits = categories.find(disk.category)
    instance_id = instance.instance_id
    if disk.type == "system" or not disk.portable:
        raise errors.ApiError(
            "DiskNotPortable", 403, f"The disk {disk.disk_id} is not a portable disk."
        )
    if "financial" in disk.operation_locks:
        raise errors.ApiError("DiskInArrears", 403, f"The disk {disk.disk_id} is in arrears.")
    if disk.zone_id and disk.zone_id != instance.declared.zone_id:
        raise errors.ApiError(
            "ResourcesNotInSameZone",
            403,
            f"The disk {disk.disk_id} is in {disk.zone_id}, the instance {instance_id} in "
            f"{instance.declared.zone_id}.",
        )
    if force and not limits.regional:
        raise errors.invalid_parameter("Force", "true", "true only for cloud_regional_disk_auto")
    _require_instance_type(disk, instance)
    if limits.ephemeral and disk.origin_instance_id not in ("", instance_id):
        raise errors.ApiError(
            "DiskNotPortable",
            403,
            f"The elastic ephemeral disk {disk.disk_id} can only be attached to the instance it "
            f"was first attached to, {disk.origin_instance_id}.",
        )
    _require_status(disk, instance_id, force=force, max_instances=max_instances)


def _require_instance_type(disk: Disk, instance: instances.Instance) -> None:
    kind = instance.type
    if kind.disk_categories and disk.category not in kind.disk_categories:
        raise refusals.unsupported_by_instance_type(disk.category, kind.instance_type_id)
    if disk.multi_attach and kind.nvme == "unsupported":
        raise errors.ApiError(
            "InvalidInstanceType.NotSupportMultiAttachDisk",
            403,
            f"The instance type {kind.instance_type_id} does not support multi-attach disks, "
            "which need NVMe.",
        )


def _require_status(disk: Disk, instance_id: str, *, force: bool, max_instances: int) -> None:
    available = disk.status is DiskStatus.AVAILABLE
    if disk.multi_attach and disk.status is not DiskStatus.CREATING:
        attachment = disk.on(instance_id)
        if attachment is not None and attachment.state is AttachmentState.ATTACHED:
            raise errors.ApiError(
                "InvalidDisk.InUse",
                404,
                f"The disk {disk.disk_id} is already attached to {instance_id}.",
            )
        if len(disk.attachments) >= max_instances:
            raise errors.ApiError(
                "DiskAttachedNumberExceeded",
                403,
                f"The disk {disk.disk_id} is attached to {max_instances} instances already.",
            )
        available = attachment is None
    elif force and disk.status is not DiskStatus.CREATING:
        available = disk.on(instance_id) is None
    if not available or disk.spec_task_id:
        status = "being modified" if disk.spec_task_id else disk.status
        raise refusals.incorrect_disk_status(disk.disk_id, status, "Available")


def require_room(instance: instances.Instance, on_instance: Sequence[Disk]) -> None:
    """403 InstanceDiskLimitExceeded; the system disk and disks on their way count."""
    limit = instance.type.disk_quantity
    if len(on_instance) >= limit:
        raise errors.ApiError(
            "InstanceDiskLimitExceeded",
            403,
            f"The amount of the disk on instance {instance.instance_id} in question reach its "
            f"limits, {limit} including the system disk.",
        )


def require_attach_slot(instance: instances.Instance, on_instance: Iterable[Disk]) -> None:
    """Refuse an attach while the instance is busy.

    Without the tag supportConcurrencyAttach=true one attach or detach at a time:
    403 InvalidOperation.Conflict. With it 32: 400 OperationConflict.DisksAttachingParallellyExceed.
    """
    attaching, detaching = _in_flight(instance.instance_id, on_instance)
    if _has(instance, ATTACH_TAG):
        if attaching >= _MAX_PARALLEL_ATTACHES:
            raise errors.ApiError(
                "OperationConflict.DisksAttachingParallellyExceed",
                400,
                f"{attaching} disks are being attached to {instance.instance_id} already, at most "
                f"{_MAX_PARALLEL_ATTACHES} are allowed.",
            )
    elif attaching or (detaching and not _has(instance, DETACH_TAG)):
        raise _conflict(instance, attaching, detaching)


def require_detach_slot(instance: instances.Instance, on_instance: Iterable[Disk]) -> None:
    """As require_attach_slot for supportConcurrencyDetach: 5, 400 DisksDetachingOnEcsExceeded."""
    attaching, detaching = _in_flight(instance.instance_id, on_instance)
    if _has(instance, DETACH_TAG):
        if detaching >= _MAX_PARALLEL_DETACHES:
            raise errors.ApiError(
                "DisksDetachingOnEcsExceeded",
                400,
                f"The number of disks detaching on {instance.instance_id} exceeds "
                f"{_MAX_PARALLEL_DETACHES}.",
            )
    elif detaching or (attaching and not _has(instance, ATTACH_TAG)):
        raise _conflict(instance, attaching, detaching)


def require_detachable(disk: Disk, instance_id: str) -> None:
    """403 DiskTypeViolation, IncorrectDiskStatus, or DependencyViolation."""
    if disk.type == "system":
        raise errors.ApiError(
            "DiskTypeViolation",
            403,
            f"The specified disk {disk.disk_id} is a system disk and cannot support the operation.",
        )
    attachment = disk.on(instance_id)
    if attachment is None and disk.attachments:
        raise errors.ApiError(
            "DependencyViolation",
            403,
            f"The specified disk {disk.disk_id} has not been attached on the specified instance "
            f"{instance_id}.",
        )
    if attachment is None or attachment.state is not AttachmentState.ATTACHED:
        raise refusals.incorrect_disk_status(disk.disk_id, disk.status, "In_use")


def choose_device(on_instance: Iterable[Disk], instance_id: str) -> str:
    """First free name from /dev/xvdb to /dev/xvdz, then /dev/xvdaa and on."""
    taken = {item.device for disk in on_instance if (item := disk.on(instance_id)) is not None}
    letters = string.ascii_lowercase
    tails = [*letters[1:], *(a + b for a in letters for b in letters)]
    return next(name for tail in tails if (name := f"/dev/xvd{tail}") not in taken)


def _in_flight(instance_id: str, on_instance: Iterable[Disk]) -> tuple[int, int]:
    """(attaches, detaches) under way on the instance."""
    states = [item.state for disk in on_instance if (item := disk.on(instance_id)) is not None]
    return states.count(AttachmentState.ATTACHING), states.count(AttachmentState.DETACHING)


def _has(instance: instances.Instance, tag: str) -> bool:
    return instance.state.tags.get(tag, "").lower() == "true"


def _conflict(instance: instances.Instance, attaching: int, detaching: int) -> errors.ApiError:
    return errors.ApiError(
        "InvalidOperation.Conflict",
        403,
        f"The operation conflicts with {attaching} attach and {detaching} detach operations under "
        f"way on instance {instance.instance_id}.",
    )
