"""What must not wait for a request: snapshots and thin pools that fill up.

`plan` is pure. Nothing is remembered but for metrics.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import structlog

from core import errors, metrics
from csi.lvm import settings, tags
from csi.lvm.stores.logical import groups, thin_pools
from host import lvm_model
from kube import events

log = structlog.get_logger()

POOL_LABELS = ("group", "pool")
POOL_CLOSED = "ThinPoolClosed"
_FULL = 100.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What is to become larger: to size_bytes, or a pool's metadata by size_bytes."""

    group: str
    name: str
    size_bytes: int
    metadata: bool = False


class Upkeep:
    """Looks at everything at once, and does what is due. Blocking."""

    def __init__(
        self,
        config: settings.LocalSettings,
        allowed: groups.Groups,
        registry: metrics.Metrics,
        recorder: events.Recorder,
    ) -> None:
        self._config = config
        self._groups = allowed
        self._events = recorder
        self._pools: Mapping[tuple[str, ...], lvm_model.LogicalVolume] = {}
        self._closed: frozenset[tuple[str, ...]] = frozenset()
        self._alarms = registry.counter(
            "csi_lvm_pool_full_looks_total",
            "Looks at a thin pool that was fuller than LVM_GROW_PERCENT and could not grow",
            POOL_LABELS,
        )
        registry.gauges(
            "csi_lvm_pool_data_ratio", "How full a thin pool is of data", POOL_LABELS,
            lambda: {key: (row.data_percent or 0.0) / _FULL for key, row in self._pools.items()},
        )  # fmt: skip
        registry.gauges(
            "csi_lvm_pool_metadata_ratio", "How full a thin pool is of metadata", POOL_LABELS,
            lambda: {
                key: (row.metadata_percent or 0.0) / _FULL for key, row in self._pools.items()
            },
        )  # fmt: skip

        registry.gauges(
            "csi_lvm_pool_closed", "Whether a thin pool is too full or too ill for a new volume",
            POOL_LABELS,
            lambda: {key: float(key in self._closed) for key in self._pools},
        )  # fmt: skip

    def look(self) -> None:
        """One look, and what follows from it."""
        if not self._groups.devices():
            return
        with self._groups.planning():  # the older name's driver looks too
            self._look()

    def _look(self) -> None:
        rows = self._groups.volumes()
        for row in rows:
            if row.is_suspended and tags.OWNER in row.tags:
                self._wake(row)
        self._pools = {
            (row.group, row.name): row for row in rows if row.layout is lvm_model.Layout.POOL
        }
        grown = self._grow_all(rows)
        self._tell_closed({key: row for key, row in self._pools.items() if key not in grown})

    def _grow_all(self, rows: Sequence[lvm_model.LogicalVolume]) -> set[tuple[str, str]]:
        """(group, name) of what grew."""
        if not any(_is_filling(row, self._config) for row in rows):
            return set()
        known = {row.name: row for row in self._groups.commands().groups()}
        due = plan(rows, known, self._config)
        failed = {(each.group, each.name) for each in due if not self._grow(each)}
        short = starved(rows, known, self._config)
        for row in (*short, *(row for key, row in self._pools.items() if key in failed)):
            self._alarms.inc(row.group, row.name)
            log.error(
                "thin pool is filling up and cannot grow", group=row.group, pool=row.name,
                percent=row.data_percent, metadata_percent=row.metadata_percent,
            )  # fmt: skip
        return {(each.group, each.name) for each in due} - failed

    def _tell_closed(self, pools: Mapping[tuple[str, ...], lvm_model.LogicalVolume]) -> None:
        """Say of each of *pools* that takes no volume why; in the log only once."""
        closed = {key: why for key, row in pools.items() if (why := thin_pools.why_closed(row))}
        for key, why in closed.items():
            if key not in self._closed:
                log.error("thin pool takes no new volume", pool="/".join(key), why=why)
            self._events.warn_node(
                POOL_CLOSED, f"thin pool {'/'.join(key)} takes no new volume: {why}"
            )
        self._closed = frozenset(closed)

    def _wake(self, row: lvm_model.LogicalVolume) -> None:
        """Lists wait for running commands, so that only one that was killed left the volume so."""
        log.warning("volume was left suspended; it goes on", group=row.group, name=row.name)
        try:
            self._groups.commands().refresh(row.group, row.name)
        except errors.Error as e:
            log.warning("volume stays suspended", group=row.group, name=row.name, error=str(e))

    def _grow(self, growth: Growth) -> bool:
        """Whether it grew."""
        on = self._groups.commands()
        try:
            if growth.metadata:
                on.extend_metadata(growth.group, growth.name, growth.size_bytes)
            else:
                on.extend(growth.group, growth.name, growth.size_bytes)
        except errors.Error as e:
            log.warning("cannot grow", group=growth.group, name=growth.name, error=str(e))
            return False
        return True


def plan(
    rows: Iterable[lvm_model.LogicalVolume],
    known: Mapping[str, lvm_model.VolumeGroup],
    config: settings.LocalSettings,
) -> list[Growth]:
    """What is to grow now, as far as groups have room. Pure."""
    free = {name: group.free_bytes for name, group in known.items()}
    told = []
    for row in rows:
        if row.group not in known:
            continue
        extent = known[row.group].extent_bytes
        for wanted, metadata in _wishes(row, extent, config):
            more = min(max(extent, wanted), free[row.group]) // extent * extent
            if more:
                free[row.group] -= more
                size_bytes = more if metadata else row.size_bytes + more
                told.append(
                    Growth(group=row.group, name=row.name, size_bytes=size_bytes, metadata=metadata)
                )
    return told


def _wishes(
    row: lvm_model.LogicalVolume, extent_bytes: int, config: settings.LocalSettings
) -> Iterator[tuple[int, bool]]:
    """(bytes more, whether of metadata) that *row* should get: of a pool a fifth of its size."""
    if not _is_filling(row, config):
        return
    if row.layout is not lvm_model.Layout.POOL:
        _, _, step = tags.value(row.tags, tags.GROW).partition("+")
        yield int(step), False
        return
    if (row.data_percent or 0.0) >= config.grow_percent:
        yield row.size_bytes // 5, False
    if (row.metadata_percent or 0.0) >= _metadata_percent(row, config):
        yield extent_bytes, True


def starved(
    rows: Iterable[lvm_model.LogicalVolume],
    known: Mapping[str, lvm_model.VolumeGroup],
    config: settings.LocalSettings,
) -> Sequence[lvm_model.LogicalVolume]:
    """Pools that are filling up in groups without any room. Pure."""
    return [
        row
        for row in rows
        if row.layout is lvm_model.Layout.POOL
        and _is_filling(row, config)
        and (row.group not in known or known[row.group].free_extents == 0)
    ]


def _is_filling(row: lvm_model.LogicalVolume, config: settings.LocalSettings) -> bool:
    if row.layout is lvm_model.Layout.POOL:
        is_full = (row.data_percent or 0.0) >= config.grow_percent
        is_short = (row.metadata_percent or 0.0) >= _metadata_percent(row, config)
        return bool(config.grow_percent) and (is_full or is_short)
    percent, _, _ = tags.value(row.tags, tags.GROW).partition("+")
    full = row.data_percent or 0.0
    return bool(percent) and row.is_thick_snapshot and int(percent) <= full < _FULL


def _metadata_percent(pool: lvm_model.LogicalVolume, config: settings.LocalSettings) -> float:
    """The metadata of *pool* grows when it is so full: before LVM makes nothing in it any more."""
    return min(config.grow_percent, thin_pools.metadata_limit_percent(pool))
