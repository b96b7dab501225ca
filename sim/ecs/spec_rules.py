"""ModifyDiskSpec: what a disk may become, as pure decisions.

Sources: the SDK's ModifyDiskSpec field comments, its API page ("cannot downgrade to PL0",
"multi-attach disks are not supported"), "Change the category of a disk", spec/cloud-api.md 4.2.
"""

import dataclasses

from sim import errors
from sim.ecs import categories, refusals
from sim.ecs.disk_model import Disk, DiskStatus


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What ModifyDiskSpec changes."""

    category: str
    performance_level: str
    provisioned_iops: int | None


def of(disk: Disk) -> Spec:
    """The disk's present spec."""
    return Spec(
        category=disk.category,
        performance_level=disk.performance_level,
        provisioned_iops=disk.provisioned_iops,
    )


def choose_target(disk: Disk, *, category: str, level: str, iops: int | None) -> Spec:
    """The spec asked for; "" and None mean unchanged, or the default of a new category.

    400 InvalidDiskCategory.ValueNotSupported, InvalidPerformanceLevel.Malformed,
    InvalidProvisionedIops.LimitExceed; 403 InvalidDiskCategory.NotSupported,
    OperationDenied.PerformanceLevelNotMatch, NoChangeInDiskCategoryAndPerformanceLevel.
    """
    target_category = category or disk.category
    if target_category not in categories.CATEGORIES:
        raise errors.ApiError(
            "InvalidDiskCategory.ValueNotSupported",
            400,
            f"The specified disk category {category} is not supported.",
        )
    changes = target_category != disk.category
    if target_category not in categories.find(disk.category).changes_to:
        raise errors.ApiError(
            "InvalidDiskCategory.NotSupported",
            403,
            f"A disk of category {disk.category} cannot become {target_category}.",
        )
    wanted_level = level or ("" if changes else disk.performance_level)
    target_level = categories.choose_level(target_category, wanted_level)
    if target_level == "PL0" and disk.performance_level not in ("", "PL0"):
        raise errors.ApiError(
            "OperationDenied.PerformanceLevelNotMatch",
            403,
            f"The performance level cannot be lowered from {disk.performance_level} to PL0.",
        )
    categories.require_level_size(target_category, target_level, disk.size_gib)
    if changes:
        categories.require_size(target_category, target_level, disk.size_gib)
    categories.require_provisioned_iops(target_category, disk.size_gib, iops)
    auto = categories.find(target_category).auto
    target = Spec(
        category=target_category,
        performance_level=target_level,
        provisioned_iops=(disk.provisioned_iops if iops is None else iops) if auto else None,
    )
    if _same(target, of(disk)):
        raise errors.ApiError(
            "NoChangeInDiskCategoryAndPerformanceLevel",
            403,
            f"Neither category, performance level nor provisioned IOPS of {disk.disk_id} change.",
        )
    return target


def require_modifiable(disk: Disk, *, now_s: float) -> None:
    """Refuse a disk that cannot change now.

    403: InvalidOperation.MultiAttachDisk, InvalidStatus.DiskNotReady, IncorrectDiskStatus,
    DiskInCoolingPeriod.
    """
    if disk.multi_attach:
        raise refusals.multi_attach_disk(disk.disk_id)
    if disk.spec_task_id:
        raise errors.ApiError(
            "InvalidStatus.DiskNotReady",
            403,
            f"The disk {disk.disk_id} is not ready: task {disk.spec_task_id} is processing.",
        )
    if disk.status not in {DiskStatus.AVAILABLE, DiskStatus.IN_USE}:
        raise refusals.incorrect_disk_status(disk.disk_id, disk.status, "In_use or Available")
    if now_s < disk.cool_until_s:
        raise errors.ApiError(
            "DiskInCoolingPeriod",
            403,
            f"The disk {disk.disk_id} was modified lately; try again in "
            f"{disk.cool_until_s - now_s:.0f} s.",
        )


def _same(a: Spec, b: Spec) -> bool:
    return (a.category, a.performance_level, a.provisioned_iops or 0) == (
        b.category,
        b.performance_level,
        b.provisioned_iops or 0,
    )
