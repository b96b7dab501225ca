"""Whether a logical volume is well. Pure. Source: lvmreport(7), `lv_health_status`."""

from collections.abc import Sequence

from csi.lvm import model
from host import lvm_model

_FULL = 100.0
_WORDS = {
    "partial": "a disk of the volume is gone; data that lay there alone cannot be read",
    "refresh needed": "a disk of the mirror failed for a while; run lvchange --refresh",
    "mismatches exist": "the copies of the mirror differ; run lvchange --syncaction repair",
}


def of(row: lvm_model.LogicalVolume, rows: Sequence[lvm_model.LogicalVolume]) -> model.Condition:
    """Condition of *row*. rows: where its pool is looked for."""
    if row.health:
        return _ill(_WORDS.get(row.health, f"LVM says: {row.health}"))
    if row.is_thick_snapshot and (row.data_percent or 0.0) >= _FULL:
        return _ill("the snapshot's room for changes is full, so that it is lost")
    for pool in rows:
        if row.pool and (pool.group, pool.name) == (row.group, row.pool):
            return _of_pool(pool)
    if row.copy_percent is not None and row.copy_percent < _FULL:
        return model.Condition(
            abnormal=False, message=f"the mirror is being made: {row.copy_percent:.0f} %"
        )
    return model.WELL


def _of_pool(pool: lvm_model.LogicalVolume) -> model.Condition:
    if pool.health:
        return _ill(f"LVM says of pool {pool.name}: {pool.health}")
    for percent, what in ((pool.data_percent, "data"), (pool.metadata_percent, "metadata")):
        if percent is not None and percent >= _FULL:
            return _ill(f"pool {pool.name} is full of {what}: writes to new places fail")
    return model.WELL


def _ill(message: str) -> model.Condition:
    return model.Condition(abnormal=True, message=message)
