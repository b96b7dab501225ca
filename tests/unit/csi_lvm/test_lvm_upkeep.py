"""What a look at everything does, with an LVM that only notes what it is told."""

import contextlib
import dataclasses

from core import errors, metrics
from core import settings as core_settings
from csi.lvm import settings, tags
from csi.lvm.stores.logical import groups, upkeep
from host import lvm, lvm_model
from tests.fakes import noted_events

EXTENT = 4 << 20


class NotedLvm(lvm.Lvm):
    """Notes refreshes, and refuses to grow anything."""

    def __init__(self) -> None:
        super().__init__(["/dev/vdb"])
        self.refreshed: list[str] = []

    def groups(self) -> list[lvm_model.VolumeGroup]:
        return [
            lvm_model.VolumeGroup(
                name="vg", uuid="u", size_bytes=0, extent_bytes=EXTENT, free_extents=10, disks=1,
                missing=0, tags=frozenset(),
            )
        ]  # fmt: skip

    def extend(self, group: str, name: str, size_bytes: int) -> None:
        raise errors.Internal(f"{group}/{name} cannot have {size_bytes} bytes")

    def refresh(self, group: str, name: str) -> None:
        self.refreshed.append(f"{group}/{name}")


class FixedGroups(groups.Groups):
    """Groups with just these volumes."""

    def __init__(self, config: settings.LocalSettings, rows: list[lvm_model.LogicalVolume]) -> None:
        super().__init__(config)
        self.rows = rows
        self.lvm = NotedLvm()

    def planning(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def devices(self) -> list[str]:
        return ["/dev/vdb"]

    def commands(self) -> lvm.Lvm:
        return self.lvm

    def volumes(self) -> list[lvm_model.LogicalVolume]:
        return self.rows


VOLUME = lvm_model.LogicalVolume(
    name="pvc-1", group="vg", uuid="u", size_bytes=EXTENT, layout=lvm_model.Layout.LINEAR,
    stripes=1, tags=frozenset({tags.OWNER, tags.VOLUME}), is_active=True, is_open=True, origin="",
    pool="", health="", data_percent=None,
)  # fmt: skip


class Node:
    """A node with just these volumes. growing: whether pools may grow."""

    def __init__(self, *rows: lvm_model.LogicalVolume, growing: bool = True) -> None:
        environ = {"LVM_DEVICES": "/dev/vdb", "LVM_GROW_PERCENT": "80" if growing else "0"}
        config = settings.read(core_settings.Reader(environ))
        self._registry = metrics.Metrics()
        self.there = FixedGroups(config, list(rows))
        self.events = noted_events.NotedEvents()
        self.work = upkeep.Upkeep(config, self.there, self._registry, self.events)

    def page(self) -> str:
        return self._registry.exposition().decode()


def look(*rows: lvm_model.LogicalVolume) -> tuple[NotedLvm, str]:
    """What LVM was told, and the metrics' page."""
    node = Node(*rows)
    node.work.look()
    return node.there.lvm, node.page()


def test_only_our_volumes_are_woken_when_they_are_suspended() -> None:
    asleep = dataclasses.replace(VOLUME, name="asleep", is_suspended=True)
    theirs = dataclasses.replace(asleep, name="theirs", tags=frozenset())

    told, _ = look(VOLUME, asleep, theirs)

    assert told.refreshed == ["vg/asleep"]


def test_a_pool_that_cannot_grow_raises_the_alarm_though_its_group_has_room() -> None:
    pool = dataclasses.replace(
        VOLUME, name="pool", layout=lvm_model.Layout.POOL, size_bytes=10 * EXTENT, data_percent=90.0
    )

    _, page = look(pool)

    assert 'csi_lvm_pool_full_looks_total{group="vg",pool="pool"} 1' in page


def test_a_pool_that_takes_no_new_volume_is_told_until_it_does_again() -> None:
    pool = dataclasses.replace(
        VOLUME, name="pool", layout=lvm_model.Layout.POOL, data_percent=10.0,
        metadata_percent=76.0, metadata_bytes=EXTENT,
    )  # fmt: skip
    node = Node(pool, growing=False)

    node.work.look()

    ((reason, message),) = node.events.told
    assert reason == "ThinPoolClosed"
    assert "vg/pool takes no new volume: its metadata is 76 % full" in message
    assert "lvextend --poolmetadatasize +64m vg/pool" in message
    assert 'csi_lvm_pool_closed{group="vg",pool="pool"} 1' in node.page()
    node.there.rows = [dataclasses.replace(pool, metadata_bytes=16 * EXTENT)]
    node.work.look()
    assert len(node.events.told) == 1
    assert 'csi_lvm_pool_closed{group="vg",pool="pool"} 0' in node.page()
