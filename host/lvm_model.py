"""What LVM tells of groups, disks and volumes. Sizes in bytes. Source: lvmreport(7)."""

import dataclasses
import enum


class Layout(enum.StrEnum):
    """How a volume lies on its disks; the values are words of lvs' `lv_layout`."""

    LINEAR = "linear"
    STRIPED = "striped"
    RAID1 = "raid1"
    MIRROR = "mirror"
    THIN = "thin"
    POOL = "pool"
    OTHER = "other"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VolumeGroup:
    """A volume group. missing: disks that are gone."""

    name: str
    uuid: str
    size_bytes: int
    extent_bytes: int
    free_extents: int
    disks: int
    missing: int
    tags: frozenset[str]

    @property
    def free_bytes(self) -> int:
        """Room for one more linear volume; exact."""
        return self.free_extents * self.extent_bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PhysicalVolume:
    """A disk of a group. device: its path, "[unknown]" when it is missing."""

    device: str
    group: str
    extents: int
    used_extents: int
    is_missing: bool
    is_allocatable: bool

    @property
    def free_extents(self) -> int:
        """Extents a volume can get on it."""
        return self.extents - self.used_extents if self.is_allocatable else 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogicalVolume:
    """A volume. stripes: disks side by side. health: "" = well, else LVM's word, such as "partial".

    data_percent: how full a snapshot or a thin volume or pool is, None for others.
    metadata_percent: of a pool, whose metadata has room for metadata_bytes, 0 for others.
    copy_percent: of a mirror, 100 = both copies are the same.
    origin: what it is a snapshot of, "" = none. origin_bytes: the size that a thick snapshot
    shows, whose size_bytes is its room for changes; 0 for others. is_suspended: whoever uses it
    waits, as for a command of LVM that was killed.
    """

    name: str
    group: str
    uuid: str
    size_bytes: int
    layout: Layout
    stripes: int
    tags: frozenset[str]
    is_active: bool
    is_open: bool
    origin: str
    pool: str
    health: str
    data_percent: float | None
    metadata_percent: float | None = None
    copy_percent: float | None = None
    origin_bytes: int = 0
    is_suspended: bool = False
    metadata_bytes: int = 0

    @property
    def is_thick_snapshot(self) -> bool:
        """Whether it keeps what its origin held, in room of its own."""
        return bool(self.origin) and not self.pool

    @property
    def content_bytes(self) -> int:
        """Size of what can be read from it."""
        return self.origin_bytes if self.is_thick_snapshot else self.size_bytes

    @property
    def device(self) -> str:
        """Its path, when it is active."""
        return f"/dev/{self.group}/{self.name}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A volume to be made. The size is rounded up to whole extents.

    stripes: 1 = not striped. mirrors: further copies, 0 or 1. disks: where it may lie, none = LVM
    chooses. pool: a thin volume of that pool, "" = thick.
    """

    name: str
    group: str
    size_bytes: int
    stripes: int = 1
    mirrors: int = 0
    disks: tuple[str, ...] = ()
    pool: str = ""
    tags: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotWish:
    """A snapshot of *origin* to be made. size_bytes: room for changes; 0 = of a thin volume."""

    name: str
    group: str
    origin: str
    size_bytes: int = 0
    tags: tuple[str, ...] = ()
