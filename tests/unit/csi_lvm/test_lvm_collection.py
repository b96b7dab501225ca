"""Which logical volumes a collection removes, and what it must know before."""

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors, executor, keyed_lock
from core import settings as core_settings
from csi.lvm import (
    collection,
    collector,
    deleted_nodes,
    driver,
    inline_volumes,
    legacy,
    released_volumes,
    settings,
    topology,
)
from csi.lvm import tags as t
from csi.lvm.stores.logical import groups, sweep
from host import lvm_model
from kube import api, events
from kube import volumes as kube_volumes
from tests.fakes import fake_kubernetes, virtual_clock

Fate = collection.Fate
NOW_S, WAIT_S = 1_000_000, 3600.0
OLD, YOUNG = f"{t.STALE}{NOW_S - 3600}", f"{t.STALE}{NOW_S - 3599}"
ALL_KNOWN = collection.Named(
    volumes=frozenset({"pvc-1", "pvc-2"}),
    retained=frozenset({"pvc-2", "snap-2"}),
    snapshots=frozenset({"snap-1", "snap-2"}),
    inline=frozenset({"csi-1"}),
)
PLACE = topology.Place(node_id="node-a", key=topology.HOSTNAME, value="node-a")


def row(name: str, *tags: str, **changes: Any) -> collection.Candidate:
    told = {"where": "vg", "identity": f"uuid-of-{name}", "is_open": False}
    return collection.Candidate(name=name, tags=frozenset(tags), **{**told, **changes})


def fate(found: collection.Candidate, named: collection.Named = ALL_KNOWN) -> Fate:
    return collection.fate(found, named, now_s=NOW_S, wait_s=WAIT_S)


VOLUME, SNAPSHOT = (t.OWNER, t.VOLUME), (t.OWNER, t.SNAPSHOT)
INLINE = (t.OWNER, t.VOLUME, t.EPHEMERAL)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (row("pvc-1", *VOLUME), Fate.KEEP),
        (row("pvc-1", *VOLUME, OLD), Fate.UNMARK),
        (row("pvc-1", *VOLUME, t.RETAINED), Fate.RELEASE),
        (row("pvc-2", *VOLUME), Fate.RETAIN),
        (row("pvc-2", *VOLUME, t.RETAINED), Fate.KEEP),
        (row("pvc-9", *VOLUME), Fate.MARK),
        (row("pvc-9", *VOLUME, YOUNG), Fate.KEEP),
        (row("pvc-9", *VOLUME, OLD), Fate.REMOVE),
        (row("pvc-9", *VOLUME, f"{t.STALE}{NOW_S + 1}"), Fate.MARK),
        (row("pvc-9", *VOLUME, f"{t.STALE}x"), Fate.MARK),
        (row("pvc-9", *VOLUME, OLD, is_open=True), Fate.UNMARK),
        (row("pvc-9", *VOLUME, OLD, t.PROTECTED), Fate.KEEP),
        (row("pvc-9", *VOLUME, OLD, t.RETAINED), Fate.UNMARK),
        (row("pvc-9", t.VOLUME, OLD), Fate.KEEP),
        (row("snap-1", *SNAPSHOT), Fate.KEEP),
        (row("snap-2", *SNAPSHOT), Fate.RETAIN),
        (row("snap-9", *SNAPSHOT, t.RETAINED, OLD), Fate.UNMARK),
        (row("snap-9", *SNAPSHOT), Fate.MARK),
        (row("snap-9", *SNAPSHOT, OLD), Fate.REMOVE),
        (row("snap-9", *SNAPSHOT, OLD, t.PROTECTED), Fate.KEEP),
        (row("snap-9", *SNAPSHOT, f"{t.IS_VOLUME}pvc-1", OLD), Fate.UNMARK),
        (row("csi-1", *INLINE), Fate.KEEP),
        (row("csi-9", *INLINE), Fate.MARK),
        (row("csi-9", *INLINE, OLD), Fate.REMOVE),
        (row("pool", t.OWNER, t.POOL, OLD), Fate.UNMARK),
        (row("pvc-1", *VOLUME, t.MAKING), Fate.MARK),
        (row("pvc-1", *VOLUME, t.GOING, OLD), Fate.REMOVE),
        (row("pvc-1", *VOLUME, t.GOING, OLD, is_open=True), Fate.UNMARK),
        (row("copy", t.OWNER, t.SCRATCH, t.MAKING, OLD), Fate.REMOVE),
        (row("theirs", t.MAKING, OLD), Fate.KEEP),
    ],
)
def test_what_becomes_of_a_logical_volume(found: collection.Candidate, wanted: Fate) -> None:
    assert fate(found) is wanted


def logical(name: str, *tags: str, **changes: Any) -> lvm_model.LogicalVolume:
    told = {
        "group": "vg", "uuid": f"uuid-of-{name}", "size_bytes": 4 << 20,
        "layout": lvm_model.Layout.LINEAR, "stripes": 1, "is_active": True, "is_open": False,
        "origin": "", "pool": "", "health": "", "data_percent": None,
    }  # fmt: skip
    return lvm_model.LogicalVolume(name=name, tags=frozenset(tags), **{**told, **changes})


class FixedGroups(groups.Groups):
    """Groups with just these volumes."""

    def __init__(self, *rows: lvm_model.LogicalVolume) -> None:
        super().__init__(settings.read(core_settings.Reader({})))
        self._rows = list(rows)

    def volumes(self) -> list[lvm_model.LogicalVolume]:
        return self._rows


def test_a_volume_goes_after_its_thick_snapshots() -> None:
    volume = logical("pvc-9", *VOLUME, OLD)
    snapshot = logical("snap-9", *SNAPSHOT, OLD, origin="pvc-9")
    elsewhere = dataclasses.replace(snapshot, group="other")
    of_pool = dataclasses.replace(snapshot, pool="pool")

    for other, wanted in (
        (snapshot, Fate.KEEP), (elsewhere, Fate.REMOVE), (of_pool, Fate.REMOVE),
    ):  # fmt: skip
        found, beside = sweep.Sweep(FixedGroups(volume, other)).candidates()
        assert fate(found) is wanted
        assert fate(beside) is Fate.REMOVE


@pytest.mark.parametrize(
    ("found", "unknown"),
    [
        (row("pvc-9", *VOLUME, OLD), "volumes"),
        (row("snap-9", *SNAPSHOT, OLD), "snapshots"),
        (row("csi-9", *INLINE, OLD), "inline"),
    ],
)
def test_what_is_not_known_is_never_nobody(found: collection.Candidate, unknown: str) -> None:
    assert fate(found) is Fate.REMOVE
    assert fate(found, dataclasses.replace(ALL_KNOWN, **{unknown: None})) is Fate.UNMARK


_TAGS = [
    t.OWNER, t.VOLUME, t.SNAPSHOT, t.SCRATCH, t.POOL, t.EPHEMERAL, t.PROTECTED, t.RETAINED,
    t.MAKING, t.GOING, t.FRESH, OLD, YOUNG,
]  # fmt: skip


@given(
    tags=st.sets(st.sampled_from(_TAGS)),
    name=st.sampled_from(["pvc-1", "pvc-2", "snap-1", "csi-1", "other"]),
    is_open=st.booleans(),
    known=st.builds(
        collection.Named,
        volumes=st.sampled_from([None, ALL_KNOWN.volumes, frozenset()]),
        snapshots=st.sampled_from([None, ALL_KNOWN.snapshots, frozenset()]),
        inline=st.sampled_from([None, ALL_KNOWN.inline, frozenset()]),
    ),
)
def test_whatever_is_removed_is_ours_unused_seen_before_and_named_by_nobody(
    tags: set[str], name: str, known: collection.Named, *, is_open: bool
) -> None:
    found = row(name, *tags, is_open=is_open)
    if fate(found, known) is not Fate.REMOVE:
        return

    assert t.OWNER in tags
    assert t.PROTECTED not in tags
    assert not is_open
    assert OLD in tags or YOUNG in tags
    if not tags & {t.MAKING, t.GOING}:
        told = {
            t.EPHEMERAL: known.inline, t.VOLUME: known.volumes, t.SNAPSHOT: known.snapshots,
        }  # fmt: skip
        names = next(names for tag, names in told.items() if tag in tags)
        assert names is not None
        assert name not in names
        assert t.RETAINED not in tags or t.EPHEMERAL in tags


_KEYS = st.sampled_from("abc")
_OBJECTS = st.dictionaries(
    _KEYS,
    st.recursive(st.text(), lambda inner: st.dictionaries(_KEYS, inner, max_size=3), max_leaves=8),
)


@given(
    whole=_OBJECTS,
    keep=st.lists(st.lists(_KEYS, min_size=1, max_size=3).map(tuple), max_size=4),
)
def test_what_is_pruned_is_part_of_the_object(
    whole: dict[str, Any], keep: list[tuple[str, ...]]
) -> None:
    def is_part(part: Any, whole: Any) -> bool:
        if part == whole:
            return True
        both = isinstance(part, dict) and isinstance(whole, dict)
        return both and all(key in whole and is_part(part[key], whole[key]) for key in part)

    assert is_part(api.pruned(whole, keep), whole)


def test_pruning_keeps_what_is_named_and_nothing_else() -> None:
    found = {"metadata": {"name": "a", "uid": "b"}, "spec": {"csi": {"driver": "d"}}}
    keep = [("metadata", "name"), ("spec", "csi", "driver"), ("status", "phase")]

    assert api.pruned(found, keep) == {"metadata": {"name": "a"}, "spec": {"csi": {"driver": "d"}}}


def volume(name: str, **told: Any) -> dict[str, Any]:
    """A PersistentVolume of ours. told: `spec`, `metadata` and `status` that differ."""
    metadata = {"name": name, "annotations": {kube_volumes.PROVISIONED_BY: driver.NAME},
                "resourceVersion": "7"}  # fmt: skip
    spec = {
        "csi": {"driver": driver.NAME, "volumeHandle": name},
        "persistentVolumeReclaimPolicy": "Delete",
    }
    return {
        "metadata": {**metadata, **told.get("metadata", {})},
        "spec": {**spec, **told.get("spec", {})},
        "status": {"phase": "Bound", **told.get("status", {})},
    }


def test_every_name_that_may_mean_a_logical_volume_keeps_it() -> None:
    found = [
        volume("pv-1", spec={"csi": {"driver": legacy.NAME, "volumeHandle": "handle-1"}}),
        {"metadata": {"name": "pv-2"}, "spec": {"local": {"path": "/dev/vg1/pvc-3"}}},
        {"metadata": {"name": "pv-3"}, "spec": {"hostPath": {"path": "/dev/vg1/pvc-4"}}},
        {"metadata": {}, "spec": {}},
    ]

    assert collection.handles(found) == {
        "pv-1", "handle-1", "pv-2", "pvc-3", "pv-3", "pvc-4",
    }  # fmt: skip
    kept = volume("pv-5", spec={"persistentVolumeReclaimPolicy": "Retain"})
    assert collection.retained([*found, kept]) == {"pv-5"}


def test_snapshots_are_named_by_what_was_made_and_by_what_was_brought() -> None:
    found = [
        {"spec": {"source": {"volumeHandle": "pvc-1"}}, "status": {"snapshotHandle": "s-1"}},
        {"spec": {"source": {"snapshotHandle": "s-2"}, "deletionPolicy": "Retain"}},
        {"spec": {"deletionPolicy": "Retain"}},
    ]

    told = collection.snapshot_handles(found)

    assert (told.snapshots, told.volumes, told.retained) == ({"s-1", "s-2"}, {"pvc-1"}, {"s-2"})


def kubelet(directory: pathlib.Path, text: str) -> pathlib.Path:
    at = directory / "pods/uid/volumes/kubernetes.io~csi/scratch/vol_data.json"
    at.parent.mkdir(parents=True)
    at.write_text(text)
    return directory


def test_inline_volumes_are_those_that_kubelet_knows(tmp_path: pathlib.Path) -> None:
    assert inline_volumes.handles(tmp_path) is None
    (tmp_path / "pods").mkdir()
    assert inline_volumes.handles(tmp_path) == frozenset()
    kubelet(tmp_path, json.dumps({"volumeHandle": "csi-1", "driverName": driver.NAME}))
    assert inline_volumes.handles(tmp_path) == {"csi-1"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"volumeHandle": 1}'])
def test_a_file_of_kubelet_that_makes_no_sense_is_not_taken_for_none(
    tmp_path: pathlib.Path, text: str
) -> None:
    assert inline_volumes.handles(kubelet(tmp_path, text)) is None


@dataclasses.dataclass
class Group:
    """Logical volumes, and what was done to them."""

    found: list[collection.Candidate]
    done: list[tuple[str, Fate]] = dataclasses.field(default_factory=list)

    def candidates(self) -> list[collection.Candidate]:
        return self.found

    def carry_out(self, found: collection.Candidate, fate: Fate) -> None:
        self.done.append((found.name, fate))


class Rig:
    """A collector with an API server that has one volume of ours in use, and node-a."""

    def __init__(self, pool: executor.BoundedExecutor, root: pathlib.Path) -> None:
        self.time = virtual_clock.VirtualClock()
        self.kubernetes = fake_kubernetes.FakeKubernetes()
        self.put(api.Kind.NODE, {"metadata": {"name": "node-a"}})
        self.put(api.Kind.PERSISTENT_VOLUME, volume("pvc-1"))
        (root / "pods").mkdir()
        old = f"{t.STALE}{int(self.time.now().timestamp()) - 3600}"
        self.group = Group([row("pvc-1", *VOLUME), row("pvc-9", *VOLUME, old)])
        self.locks = keyed_lock.KeyedLock()
        self.events = events.Recorder(
            self.kubernetes, component=driver.NAME, host="node-a", time=self.time
        )
        self._pool, self._root = pool, root
        self.collector = self.on(self.kubernetes)

    def put(self, kind: api.Kind, found: dict[str, Any]) -> None:
        self.kubernetes.objects[kind, found["metadata"]["name"]] = found

    def on(self, kubernetes: api.VolumeApi, place: topology.Place = PLACE) -> collector.Collector:
        released = released_volumes.ReleasedVolumes(
            driver_name=driver.NAME,
            place=place,
            wait_s=WAIT_S,
            kubernetes=kubernetes,
            recorder=self.events,
            time=self.time,
        )
        return collector.Collector(
            kubelet_root=self._root,
            wait_s=WAIT_S,
            kubernetes=kubernetes,
            locks=self.locks,
            volumes=self.group,
            released=released,
            pool=self._pool,
            time=self.time,
        )


@pytest.fixture
def rig(tmp_path: pathlib.Path) -> Iterator[Rig]:
    pool = executor.BoundedExecutor("test-lvm", 1)
    yield Rig(pool, tmp_path)
    pool.close()


async def test_what_no_persistent_volume_names_goes(rig: Rig) -> None:
    await rig.collector.collect()

    assert rig.group.done == [("pvc-9", Fate.REMOVE)]


async def test_a_volume_that_is_named_while_others_are_wiped_stays(rig: Rig) -> None:
    """A backup's PersistentVolumes come back during a pass that takes hours."""
    rig.group.found.append(dataclasses.replace(rig.group.found[1], name="pvc-8"))

    def wipe(found: collection.Candidate, fate: Fate) -> None:
        rig.group.done.append((found.name, fate))
        rig.time.now_s += 3600
        rig.put(api.Kind.PERSISTENT_VOLUME, volume("pvc-8"))

    rig.group.carry_out = wipe  # type: ignore[method-assign]

    await rig.collector.collect()

    assert rig.group.done == [("pvc-9", Fate.REMOVE), ("pvc-8", Fate.UNMARK)]


async def test_a_volume_that_somebody_works_on_waits_for_the_next_time(rig: Rig) -> None:
    with rig.locks.hold("pvc-9"):
        await rig.collector.collect()

    assert rig.group.done == []


AWAY = errors.Unavailable("away")


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (api.Kind.PERSISTENT_VOLUME, AWAY),
        (api.Kind.PERSISTENT_VOLUME, errors.Denied("403")),
        (api.Kind.PERSISTENT_VOLUME, errors.Precondition("404")),
        (api.Kind.VOLUME_SNAPSHOT_CONTENT, AWAY),
        (api.Kind.VOLUME_SNAPSHOT_CONTENT, errors.Unauthenticated("401")),
    ],
)
async def test_an_api_server_that_does_not_tell_removes_nothing(
    rig: Rig, kind: api.Kind, fault: errors.Error
) -> None:
    rig.kubernetes.faults[kind] = fault

    await rig.collector.collect()

    assert rig.group.done == [("pvc-9", Fate.UNMARK)]


@pytest.mark.parametrize("fault", [errors.Denied("403"), errors.Precondition("no such kind")])
async def test_a_cluster_without_snapshots_has_its_volumes_collected_and_no_snapshot(
    rig: Rig, fault: errors.Error
) -> None:
    rig.kubernetes.faults[api.Kind.VOLUME_SNAPSHOT_CONTENT] = fault
    rig.group.found.append(row("snap-9", *SNAPSHOT))

    await rig.collector.collect()

    assert rig.group.done == [("pvc-9", Fate.REMOVE)]


async def test_without_an_api_server_only_leftovers_go(rig: Rig) -> None:
    rig.group.found.append(row("half", *VOLUME, t.MAKING))

    await rig.on(api.Nowhere()).collect()

    assert rig.group.done == [("pvc-9", Fate.UNMARK), ("half", Fate.MARK)]


async def test_a_cluster_that_knows_no_volume_of_ours_is_taken_for_another(rig: Rig) -> None:
    of_disk = {"csi": {"driver": "diskplugin.csi.alibabacloud.com", "volumeHandle": "d-1"}}
    rig.put(api.Kind.PERSISTENT_VOLUME, volume("pvc-1", spec=of_disk))

    await rig.collector.collect()

    assert rig.group.done == [("pvc-9", Fate.UNMARK)]


def bound_to(*names: str, key: str = topology.HOSTNAME, operator: str = "In") -> dict[str, Any]:
    told = {"key": key, "operator": operator, "values": list(names)}
    return {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [told]}]}}}


RELEASED = {"phase": "Released"}
FINALIZERS = {"finalizers": [deleted_nodes.FINALIZER, "kubernetes.io/pv-protection"]}


async def two_passes(rig: Rig, collecting: collector.Collector | None = None) -> None:
    collecting = collecting or rig.collector
    await collecting.collect()
    assert rig.kubernetes.deleted == []
    rig.time.now_s += WAIT_S
    await collecting.collect()


async def test_a_released_volume_of_a_deleted_node_goes_at_the_second_pass_and_it_is_told(
    rig: Rig,
) -> None:
    gone = volume("pvc-2", spec=bound_to("node-b"), status=RELEASED, metadata=FINALIZERS)
    rig.put(api.Kind.PERSISTENT_VOLUME, gone)
    rig.events.start()

    await two_passes(rig)

    assert rig.kubernetes.deleted == ["pvc-2"]
    ((name, patch),) = rig.kubernetes.volume_patches
    assert (name, patch["metadata"]) == (
        "pvc-2", {"resourceVersion": "7", "finalizers": ["kubernetes.io/pv-protection"]},
    )  # fmt: skip
    await virtual_clock.settle()
    told = [event for _, event in rig.kubernetes.events]
    assert [event["reason"] for event in told] == [released_volumes.ON_DELETED_NODE]
    await rig.events.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": bound_to("node-a"), "status": RELEASED},
        {"spec": bound_to("node-c"), "status": RELEASED},
        {"spec": bound_to("node-b", "node-c"), "status": RELEASED},
        {"spec": bound_to("node-b"), "status": {"phase": "Bound"}},
        {"spec": bound_to("node-b", operator="NotIn"), "status": RELEASED},
        {"spec": bound_to("node-b", key="zone"), "status": RELEASED},
        {"status": RELEASED},
        {
            "spec": {**bound_to("node-b"), "persistentVolumeReclaimPolicy": "Retain"},
            "status": RELEASED,
        },
        {
            "spec": bound_to("node-b"), "status": RELEASED,
            "metadata": {"annotations": {kube_volumes.PROVISIONED_BY: legacy.NAME}},
        },
        {"spec": bound_to("node-b"), "status": RELEASED, "metadata": {"annotations": {}}},
    ],
)  # fmt: skip
async def test_others_stay(rig: Rig, changes: dict[str, Any]) -> None:
    rig.put(api.Kind.NODE, {"metadata": {"name": "node-c"}})
    rig.put(api.Kind.PERSISTENT_VOLUME, volume("pvc-2", **changes))

    await two_passes(rig)

    assert rig.kubernetes.deleted == []
    assert rig.kubernetes.volume_patches == []


async def test_a_node_that_came_back_is_waited_for_anew(rig: Rig) -> None:
    rig.put(api.Kind.PERSISTENT_VOLUME, volume("pvc-2", spec=bound_to("node-b"), status=RELEASED))
    await rig.collector.collect()
    rig.put(api.Kind.NODE, {"metadata": {"name": "node-b"}})
    rig.time.now_s += WAIT_S
    await rig.collector.collect()
    del rig.kubernetes.objects[api.Kind.NODE, "node-b"]

    await two_passes(rig)

    assert rig.kubernetes.deleted == ["pvc-2"]


@pytest.mark.parametrize("lacking", ["name", "object"])
async def test_where_volumes_do_not_tell_names_of_nodes_no_node_is_taken_for_deleted(
    rig: Rig, lacking: str
) -> None:
    rig.put(api.Kind.PERSISTENT_VOLUME, volume("pvc-2", spec=bound_to("host-b"), status=RELEASED))
    place = PLACE
    if lacking == "name":
        place = dataclasses.replace(PLACE, value="host-a")
    else:
        del rig.kubernetes.objects[api.Kind.NODE, "node-a"]

    await two_passes(rig, rig.on(rig.kubernetes, place))

    assert rig.kubernetes.deleted == []
