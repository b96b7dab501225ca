"""What each disk category can do, as tables and pure checks on them.

Sources: the field comments of the SDK's CreateDisk, ResizeDisk and ModifyDiskSpec request models
(alibabacloud_ecs20140526 7.11) and spec/csi-driver.md 2.3. Where the two differ the narrower range
is used. Not here: what is on sale in a zone (stock.py).
"""

import dataclasses
from collections.abc import Mapping

from sim import errors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One category.

    levels: performance level → smallest size in GiB. auto: provisioned IOPS and bursting.
    instant_access: a snapshot can be restored as soon as it is cut. changes_to: categories that
    ModifyDiskSpec accepts. ephemeral: bound to one instance, no snapshots.
    """

    min_gib: int
    max_gib: int
    levels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    auto: bool = False
    instant_access: bool = False
    group_snapshot: bool = False
    multi_attach: bool = False
    regional: bool = False
    ephemeral: bool = False
    online_resize: bool = True
    changes_to: tuple[str, ...] = ()


_ESSD_LEVELS = {"PL0": 1, "PL1": 20, "PL2": 461, "PL3": 1261}
DEFAULT_LEVEL = "PL1"
DEFAULT_CATEGORY = "cloud"

CATEGORIES: Mapping[str, Category] = {
    "cloud": Category(min_gib=5, max_gib=2000, online_resize=False),
    "cloud_efficiency": Category(
        min_gib=20, max_gib=32768, changes_to=("cloud_ssd", "cloud_essd", "cloud_auto")
    ),
    "cloud_ssd": Category(min_gib=20, max_gib=32768, changes_to=("cloud_essd", "cloud_auto")),
    "cloud_essd": Category(
        min_gib=1,
        max_gib=65536,
        levels=_ESSD_LEVELS,
        instant_access=True,
        group_snapshot=True,
        multi_attach=True,
        changes_to=("cloud_essd", "cloud_auto"),
    ),
    "cloud_auto": Category(
        min_gib=1,
        max_gib=65536,
        auto=True,
        instant_access=True,
        group_snapshot=True,
        changes_to=("cloud_auto", "cloud_essd"),
    ),
    "cloud_essd_entry": Category(
        min_gib=10, max_gib=32768, group_snapshot=True, changes_to=("cloud_essd", "cloud_auto")
    ),
    "cloud_essd_xc0": Category(min_gib=40, max_gib=65536, group_snapshot=True),
    "cloud_essd_xc1": Category(min_gib=40, max_gib=65536, group_snapshot=True),
    "cloud_regional_disk_auto": Category(
        min_gib=10, max_gib=65536, instant_access=True, regional=True
    ),
    "elastic_ephemeral_disk_standard": Category(min_gib=64, max_gib=8192, ephemeral=True),
    "elastic_ephemeral_disk_premium": Category(min_gib=64, max_gib=8192, ephemeral=True),
    "cloud_pperf": Category(min_gib=1, max_gib=65536),
    "cloud_sperf": Category(min_gib=1, max_gib=65536),
}


def find(name: str) -> Category:
    """The category; 400 InvalidDataDiskCategory.ValueNotSupported for an unknown name."""
    found = CATEGORIES.get(name)
    if found is None:
        raise errors.ApiError(
            "InvalidDataDiskCategory.ValueNotSupported",
            400,
            f"The specified disk category {name} is not supported "
            f"(known: {', '.join(sorted(CATEGORIES))}).",
        )
    return found


def choose_level(category: str, wanted: str) -> str:
    """Performance level of a new disk; "" for categories without levels.

    400 InvalidPerformanceLevel.Malformed for an unknown level, and for any level given to a
    category without levels.
    """
    levels = find(category).levels
    if not levels and not wanted:
        return ""
    level = wanted or DEFAULT_LEVEL
    if level not in levels:
        allowed = ", ".join(levels) or f"none, {category} has no performance levels"
        raise errors.invalid_parameter(
            "PerformanceLevel", wanted, allowed, "InvalidPerformanceLevel.Malformed"
        )
    return level


def require_size(category: str, level: str, size_gib: int) -> None:
    """Refuse a size outside the category's range, or too small for the performance level.

    400 InvalidDataDiskSize.ValueNotSupported, 403 OperationDenied.PerformanceLevelNotMatch.
    """
    found = find(category)
    if not found.min_gib <= size_gib <= found.max_gib:
        raise errors.ApiError(
            "InvalidDataDiskSize.ValueNotSupported",
            400,
            f"The specified DataDisk.n.Size {size_gib} is beyond the permitted range of "
            f"{category}, {found.min_gib} to {found.max_gib} GiB; the disk size is not supported.",
        )
    require_level_size(category, level, size_gib)


def require_level_size(category: str, level: str, size_gib: int) -> None:
    """403 OperationDenied.PerformanceLevelNotMatch when the disk is too small for *level*."""
    smallest = find(category).levels.get(level, 0)
    if size_gib < smallest:
        raise errors.ApiError(
            "OperationDenied.PerformanceLevelNotMatch",
            403,
            f"The performance level {level} needs a disk of at least {smallest} GiB, "
            f"this one has {size_gib}.",
        )


def baseline_iops(size_gib: int) -> int:
    """IOPS of a cloud_auto disk before provisioning: max(min(1800 + 50 GiB, 50000), 3000)."""
    return max(min(1800 + 50 * size_gib, 50_000), 3_000)


def max_provisioned_iops(size_gib: int) -> int:
    """Most IOPS that can be provisioned on top: min(1000 GiB - baseline, 50000), 0 below 4 GiB."""
    if size_gib < 4:  # "less than or equal to 3 GiB cannot be configured"
        return 0
    return max(0, min(1000 * size_gib - baseline_iops(size_gib), 50_000))


def require_provisioned_iops(category: str, size_gib: int, iops: int | None) -> None:
    """400 InvalidProvisionedIops.LimitExceed, or 400 InvalidParameter for other categories."""
    if iops is None:
        return
    if not find(category).auto:
        raise errors.invalid_parameter(
            "ProvisionedIops", str(iops), f"absent, {category} has no provisioned performance"
        )
    largest = max_provisioned_iops(size_gib)
    if not 0 <= iops <= largest:
        raise errors.ApiError(
            "InvalidProvisionedIops.LimitExceed",
            400,
            f"The provisioned IOPS {iops} exceed the limit of 0 to {largest} for a disk of "
            f"{size_gib} GiB.",
        )


def performance(category: str, level: str, size_gib: int, provisioned: int) -> tuple[int, int]:
    """(IOPS, throughput in MB/s) that DescribeDisks tells.

    Formulas of the product pages "ESSDs", "ESSD AutoPL disks" and "Block storage performance".
    """
    if category == "cloud_essd":
        base, step, top, rate, rate_top = {
            "PL0": (1800, 12, 10_000, 100, 180),
            "PL1": (1800, 50, 50_000, 120, 350),
            "PL2": (4000, 50, 100_000, 120, 750),
            "PL3": (4000, 50, 1_000_000, 120, 4000),
        }[level]
        return min(base + step * size_gib, top), min(int(rate + 0.5 * size_gib), rate_top)
    if category in {"cloud_auto", "cloud_regional_disk_auto"}:
        iops = baseline_iops(size_gib) + provisioned
        rate = max(min(int(120 + 0.5 * size_gib), 350), 125)
        return iops, rate + min(provisioned * 16 // 1024, 1131)
    if category == "cloud_ssd":
        return min(1800 + 30 * size_gib, 25_000), min(int(120 + 0.5 * size_gib), 300)
    if category == "cloud":
        return 1000, 40
    return min(1800 + 8 * size_gib, 6_000), min(int(100 + 0.15 * size_gib), 280)
