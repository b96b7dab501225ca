"""What each disk category can do: tables and pure look-ups.

Source: spec/csi-driver.md 2.3 (sizes), the ECS API page "CreateDisk" (provisioned IOPS). Only what
the table knows is refused here; what a zone really sells is the cloud's answer.
"""

import dataclasses
from collections.abc import Mapping

from core import errors

LARGEST_GIB = 65536
"""Largest size of any category."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One category.

    min_gib, max_gib: sizes that can be bought; `levels` may raise the minimum.
    levels: performance level → its smallest size in GiB; empty = the category has none.
    default_level: what the cloud chooses when no level is asked for.
    instant_access: a snapshot can be restored as soon as it is cut.
    provisions: IOPS can be provisioned and bursting switched.
    regional: not bound to a zone; may be taken from a dead instance by force.
    single_instance: bound to the instance it was first attached to, and released with it.
    """

    name: str
    min_gib: int = 1
    max_gib: int = LARGEST_GIB
    levels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    default_level: str = ""
    instant_access: bool = False
    provisions: bool = False
    group_snapshot: bool = False
    regional: bool = False
    single_instance: bool = False

    def min_gib_of(self, performance_level: str) -> int:
        """Smallest size in GiB with *performance_level*, "" = the default level."""
        return max(self.min_gib, self.levels.get(performance_level or self.default_level, 0))


PERFORMANCE_LEVELS: tuple[str, ...] = ("PL0", "PL1", "PL2", "PL3")

_ALL = (
    Category(name="cloud"),
    Category(name="cloud_efficiency", min_gib=20),
    Category(name="cloud_ssd", min_gib=20),
    Category(
        name="cloud_essd",
        levels={"PL0": 1, "PL1": 20, "PL2": 461, "PL3": 1261},
        default_level="PL1",
        instant_access=True,
        group_snapshot=True,
    ),
    Category(name="cloud_auto", instant_access=True, provisions=True, group_snapshot=True),
    Category(name="cloud_essd_entry", min_gib=10, group_snapshot=True),
    Category(name="cloud_essd_xc0", min_gib=40, group_snapshot=True),
    Category(name="cloud_essd_xc1", min_gib=40, group_snapshot=True),
    Category(
        name="elastic_ephemeral_disk_standard", min_gib=64, max_gib=8192, single_instance=True
    ),
    Category(name="elastic_ephemeral_disk_premium", min_gib=64, max_gib=8192, single_instance=True),
    Category(name="cloud_regional_disk_auto", min_gib=10, instant_access=True, regional=True),
    Category(name="cloud_pperf"),
    Category(name="cloud_sperf"),
)

CATEGORIES: Mapping[str, Category] = {row.name: row for row in _ALL}

AVAILABLE = "available"
DEFAULT_TYPES: tuple[str, ...] = ("cloud_ssd", "cloud_efficiency")
"""Tried in order for `type: available` and for no type. Source: spec/csi-driver.md 2.4."""

_IOPS_NEEDS_GIB = 4
_IOPS_MAX = 50_000


def of(name: str) -> Category:
    """The category of an existing disk; one we do not know has no limits of its own."""
    return CATEGORIES.get(name) or Category(name=name)


def require(field: str, name: str) -> Category:
    """The category called *name*. Raises InvalidField naming *field* and what is allowed."""
    found = CATEGORIES.get(name)
    if found is None:
        raise errors.InvalidField(
            field, "is not a disk category", value=name, allowed=", ".join(CATEGORIES)
        )
    return found


def max_provisioned_iops(size_gib: int) -> int:
    """Most IOPS that can be provisioned on a cloud_auto disk of *size_gib*.

    min(1000 x GiB - baseline, 50000), baseline = max(min(1800 + 50 x GiB, 50000), 3000); nothing
    below 4 GiB. Source: ECS API page "CreateDisk", ProvisionedIops.
    """
    if size_gib < _IOPS_NEEDS_GIB:
        return 0
    baseline = max(min(1800 + 50 * size_gib, 50_000), 3_000)
    return max(0, min(1000 * size_gib - baseline, _IOPS_MAX))


def provisioned_iops_fault(size_gib: int, iops: int) -> str:
    """Why *iops* cannot be provisioned on a disk of *size_gib*, "" when they can."""
    largest = max_provisioned_iops(size_gib)
    if iops <= largest:
        return ""
    return f"{iops} provisioned IOPS are too many for {size_gib} GiB (at most {largest})"
