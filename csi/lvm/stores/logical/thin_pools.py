"""When a thin pool takes no new volume, although it has promised less than it may. Pure.

LVM makes no volume and no snapshot in a pool that is out of data, or so short of metadata that an
operation of the kernel might not fit. What is in the pool goes on.
"""

from core import units
from host import lvm_model

_FULL = 100.0
_METADATA_FREE_MIN_BYTES = 4 * units.MIB
_METADATA_FREE_MIN_PERCENT = 25.0
"""LVM wants the lesser of both free. Source: LVM2 lib/metadata/thin_manip.c, `pool_metadata_min_
threshold`; its words are "free space in thin pool … reached threshold" (2.03.16)."""


def metadata_limit_percent(pool: lvm_model.LogicalVolume) -> float:
    """LVM makes nothing in *pool* when its metadata is so full: 75 up to 16 MiB of it."""
    free = _METADATA_FREE_MIN_PERCENT
    if pool.metadata_bytes:
        free = min(free, _FULL * _METADATA_FREE_MIN_BYTES / pool.metadata_bytes)
    return _FULL - free


def why_closed(pool: lvm_model.LogicalVolume) -> str:
    """Why *pool* takes no new volume, and what to do; "" = it takes some, as far as is known."""
    return why_stuck(pool) or _why_short(pool, metadata_limit_percent(pool))


def why_stuck(pool: lvm_model.LogicalVolume) -> str:
    """Why volumes that are in *pool* cannot grow either, and what to do; "" = they can."""
    name = f"{pool.group}/{pool.name}"
    if pool.health:
        return f"LVM says of it: {pool.health}; look at lvs -o+lv_health_status {name}"
    if (pool.data_percent or 0.0) >= _FULL:
        return (
            f"it is full of data; give it more: lvextend --size +SIZE {name}, with a disk more in "
            f"the group if that has no room: vgextend {pool.group} DISK"
        )
    return _why_short(pool, _FULL)


def _why_short(pool: lvm_model.LogicalVolume, limit: float) -> str:
    """What is told of *pool* when its metadata is full to *limit* percent."""
    if (pool.metadata_percent or 0.0) < limit:
        return ""
    return (
        f"its metadata is {pool.metadata_percent:.0f} % full, and from {limit:.0f} % on LVM makes "
        f"nothing in it; give it more: lvextend --poolmetadatasize +64m {pool.group}/{pool.name}, "
        f"with a disk more in the group if that has no room: vgextend {pool.group} DISK"
    )
