"""Volumes of the old drivers that are not there: which are made, and in which order."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors, executor
from csi.lvm import driver, legacy, model, old_volumes, params, topology
from csi.lvm.node import taking_over
from kube import api
from kube import volumes as kube_volumes
from tests.fakes import fake_kubernetes

GIB = 1 << 30
PLACE = topology.Place(node_id="node-a", key=topology.HOSTNAME, value="node-a")
HERE = {
    "required": {
        "nodeSelectorTerms": [
            {
                "matchExpressions": [
                    {"key": topology.HOSTNAME, "operator": "In", "values": ["node-a"]}
                ]
            }
        ]
    }
}
KEY = (api.Kind.PERSISTENT_VOLUME, "local-1")


def an_object(  # what differs between PersistentVolumes
    *,
    driver_name: str = driver.NAME,
    affinity: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    storage: str = "1Gi",
    is_going: bool = False,
    handle: str = "local-1",
    **attributes: str,
) -> dict[str, Any]:
    """A PersistentVolume as the old provisioner leaves it."""
    told = {"volumeType": "LVM", "vgName": "vg1", "lvmType": "striping", "fsType": "ext4"}
    metadata: dict[str, Any] = {
        "name": "local-1", "resourceVersion": "7",
        "annotations": {kube_volumes.PROVISIONED_BY: driver_name, **(annotations or {})},
    }  # fmt: skip
    if is_going:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    csi = {
        "driver": driver_name,
        "volumeHandle": handle,
        "volumeAttributes": {key: text for key, text in {**told, **attributes}.items() if text},
    }
    spec = {"capacity": {"storage": storage}, "csi": csi}
    return {
        "metadata": metadata,
        "spec": {**spec, **({"nodeAffinity": affinity} if affinity else {})},
    }


def plan(*, has_unclaimed: bool = False, **told: Any) -> old_volumes.Plan:
    volume = kube_volumes.parse(an_object(**told))
    return old_volumes.plan(volume, PLACE, has_unclaimed=has_unclaimed)


WORD = {old_volumes.TO_BE_MADE: "true"}


def made_on(node: str) -> dict[str, str]:
    return {old_volumes.MADE_ON: node}


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"annotations": WORD},
        {"annotations": WORD, "affinity": HERE},
        {"annotations": WORD, "nodeAffinity": "false"},
        {"annotations": WORD, "driver_name": legacy.NAME},
        {"annotations": WORD, "driver_name": legacy.NAME, "volumeType": ""},
        {"nodeAffinity": "true"},
        {"has_unclaimed": True},
    ],
)
def test_a_volume_that_nobody_used_is_made(told: dict[str, Any]) -> None:
    found = plan(**told)

    assert found.step is old_volumes.Step.MAKE
    wish = found.wish
    assert wish is not None
    assert (wish.volume_id, wish.required_bytes, wish.unclaimed) == ("local-1", GIB, True)
    assert (wish.parameters.group, wish.parameters.lvm_type) == ("vg1", params.LvmType.STRIPING)


@pytest.mark.parametrize(
    ("told", "kind", "words"),
    [
        ({"affinity": HERE}, old_volumes.VolumeLost, "its nodeAffinity tells that it was made"),
        ({"annotations": made_on("node-a")}, old_volumes.VolumeLost, "made on node node-a"),
        ({"annotations": made_on("node-b")}, old_volumes.VolumeLost, "made on node node-b"),
        (
            {"annotations": made_on("node-b"), "has_unclaimed": True},
            old_volumes.VolumeLost, "made on node node-b",
        ),
        (
            {"annotations": {**made_on("node-a"), **WORD}}, old_volumes.VolumeLost, "node-a",
        ),
        ({"driver_name": legacy.NAME}, old_volumes.VolumeUnknown, "noted no publish"),
        (
            {"driver_name": legacy.NAME, "affinity": HERE},
            old_volumes.VolumeUnknown, "make-volume=true",
        ),
        ({"nodeAffinity": "false"}, old_volumes.VolumeUnknown, "nodeAffinity: false"),
        ({"annotations": {old_volumes.TO_BE_MADE: "yes"}, "nodeAffinity": "false"},
         old_volumes.VolumeUnknown, "nothing tells"),
        ({"is_going": True}, errors.NotFound, "being deleted"),
        ({"volumeType": "LoopDevice"}, errors.NotFound, "local-1.img must be in LOCAL_SPARSE"),
        ({"volumeType": "QuotaPath"}, errors.NotFound, "LOCAL_QUOTA_PATHS"),
        ({"volumeType": "MountPoint"}, errors.Precondition, "does not tell its mount point"),
        ({"volumeType": "MountPoint", "MountPoint": "mnt/a"}, errors.Precondition, "mount point"),
        (
            {"volumeType": "MountPoint", "MountPoint": "/mnt/a", "affinity": HERE},
            old_volumes.VolumeUnknown, "/mnt/a has no note of it",
        ),
        (
            {"volumeType": "MountPoint", "MountPoint": "/mnt/a", "annotations": made_on("node-a")},
            old_volumes.VolumeLost, "node-a",
        ),
        ({"volumeType": "Device"}, errors.NotFound, "by-id"),
        ({"volumeType": "Device", "annotations": {old_volumes.TAKE_DEVICE: "/dev/vdb"}},
         errors.NotFound, "by-id"),
        ({"volumeType": "Device", "annotations": {old_volumes.TAKE_DEVICE: "/dev/disk/../vdb"}},
         errors.NotFound, "by-id"),
        ({"volumeType": "PMEM"}, errors.NotFound, "not supported"),
        ({"volumeType": "Device", "annotations": WORD}, errors.NotFound, "by-id"),
        ({"volumeType": ""}, errors.NotFound, "volumeType '' is not known"),
        ({"vgName": ""}, errors.Precondition, "names no volume group"),
        ({"storage": "0"}, errors.Precondition, "no capacity"),
        ({"lvmType": "raid6"}, errors.InvalidField, "lvmType"),
    ],
)  # fmt: skip
def test_others_are_not_made_and_it_is_said_why(
    told: dict[str, Any], kind: type[errors.Error], words: str
) -> None:
    with pytest.raises(kind, match=words):
        plan(**told)


def test_what_was_claimed_and_not_used_yet_is_used() -> None:
    found = plan(annotations=made_on("node-a"), affinity=HERE, has_unclaimed=True)

    assert found == old_volumes.Plan(step=old_volumes.Step.CLAIM)


@given(
    driver_name=st.sampled_from([driver.NAME, legacy.NAME]),
    affinity=st.sampled_from([None, HERE]),
    bound=st.sampled_from(["", "true", "false"]),
    word=st.booleans(),
    has_unclaimed=st.booleans(),
)
def test_a_volume_that_was_claimed_is_never_made_again(
    driver_name: str, affinity: dict[str, Any] | None, bound: str, *, word: bool,
    has_unclaimed: bool,
) -> None:  # fmt: skip
    found = an_object(
        driver_name=driver_name,
        affinity=affinity,
        annotations=WORD if word else {},
        nodeAffinity=bound,
    )
    patch = old_volumes.claim(kube_volumes.parse(found), PLACE)
    claimed = kube_volumes.parse(fake_kubernetes.merged(found, patch))

    with pytest.raises(old_volumes.VolumeLost):
        old_volumes.plan(claimed, PLACE, has_unclaimed=False)
    assert old_volumes.plan(claimed, PLACE, has_unclaimed=True).wish is None
    other = dataclasses.replace(PLACE, node_id="node-b", value="node-b")
    with pytest.raises(old_volumes.VolumeLost):
        old_volumes.plan(claimed, other, has_unclaimed=has_unclaimed)


@pytest.mark.parametrize("bound", ["true", "false"])
def test_a_claim_binds_the_volume_to_its_node_as_the_old_driver_did(bound: str) -> None:
    volume = kube_volumes.parse(an_object(nodeAffinity=bound))

    patch = old_volumes.claim(volume, PLACE)

    assert patch["metadata"]["resourceVersion"] == "7"
    assert patch.get("spec") == ({"nodeAffinity": HERE} if bound == "true" else None)
    assert "spec" not in old_volumes.claim(kube_volumes.parse(an_object(affinity=HERE)), PLACE)


def test_our_own_volumes_say_when_they_are_not_bound() -> None:
    told = {"volumeType": "LVM", "nodeAffinity": "false"}

    assert params.parse(told).volume_context["nodeAffinity"] == "false"
    assert "nodeAffinity" not in params.parse({"volumeType": "LVM"}).volume_context


@dataclasses.dataclass
class Node:
    """What a node has of one volume: nothing, an unclaimed one, or one that counts."""

    has_unclaimed: bool = False
    counts: bool = False
    steps: list[str] = dataclasses.field(default_factory=list)

    def has(self, volume_id: str) -> bool:
        assert volume_id == "local-1"
        return self.has_unclaimed

    def make(self, want: model.VolumeWish) -> None:
        assert want.unclaimed
        self.has_unclaimed = True
        self.steps.append("make")

    def claim(self, volume_id: str) -> None:
        assert volume_id == "local-1"
        self.counts |= self.has_unclaimed
        self.has_unclaimed = False
        self.steps.append("claim")

    def discard(self, volume_id: str) -> None:
        assert volume_id == "local-1"
        if self.has_unclaimed:
            self.has_unclaimed = False
            self.steps.append("discard")


@dataclasses.dataclass
class Taken:
    """Mount points, or disks."""

    taken: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    def take(self, volume_id: str, path: str) -> None:
        self.taken.append((volume_id, path))


class Rig:
    def __init__(self, pool: executor.BoundedExecutor) -> None:
        self.kubernetes = fake_kubernetes.FakeKubernetes()
        self.kubernetes.objects[KEY] = an_object()
        self.node = Node()
        self.mounts, self.disks = Taken(), Taken()
        self.pool = pool
        self.over = self.on(self.kubernetes)

    def on(self, kubernetes: api.VolumeApi) -> taking_over.TakingOver:
        return taking_over.TakingOver(
            kubernetes=kubernetes,
            recorder=fake_kubernetes.silent_recorder(),
            driver_name=driver.NAME,
            place=PLACE,
            volumes=self.node,
            stores={
                old_volumes.Step.TAKE_MOUNT_POINT: self.mounts,
                old_volumes.Step.TAKE_DEVICE: self.disks,
            },
            pool=self.pool,
        )

    @property
    def annotations(self) -> dict[str, str]:
        told: dict[str, str] = self.kubernetes.objects[KEY]["metadata"]["annotations"]
        return told


@pytest.fixture
def rig() -> Iterator[Rig]:
    pool = executor.BoundedExecutor("test-lvm", 1)
    yield Rig(pool)
    pool.close()


async def test_a_volume_is_made_then_told_then_used(rig: Rig) -> None:
    assert await rig.over.make("local-1", read_only=False)

    assert rig.node == Node(counts=True, steps=["make", "claim"])
    assert rig.annotations[old_volumes.MADE_ON] == "node-a"
    assert rig.kubernetes.objects[KEY]["spec"]["nodeAffinity"] == HERE


@pytest.mark.parametrize("fault", [errors.Busy("409"), errors.Unavailable("away")])
async def test_nobody_uses_it_before_the_cluster_knows(rig: Rig, fault: errors.Error) -> None:
    rig.kubernetes.volume_fault = fault
    with pytest.raises(type(fault)):
        await rig.over.make("local-1", read_only=False)
    assert (rig.node.counts, rig.node.has_unclaimed) == (False, True)

    rig.kubernetes.volume_fault = None
    assert await rig.over.make("local-1", read_only=False)
    assert rig.node.counts


async def test_a_claim_whose_answer_was_lost_is_finished_without_making_it_again(rig: Rig) -> None:
    rig.kubernetes.objects[KEY] = an_object(annotations=made_on("node-a"), affinity=HERE)
    rig.node.has_unclaimed = True

    assert await rig.over.make("local-1", read_only=False)

    assert rig.node == Node(counts=True, steps=["claim"])
    assert rig.kubernetes.volume_patches == []


async def test_what_another_node_has_claimed_does_not_stay_here(rig: Rig) -> None:
    rig.kubernetes.objects[KEY] = an_object(annotations=made_on("node-b"))
    rig.node.has_unclaimed = True

    with pytest.raises(old_volumes.VolumeLost, match="node-b"):
        await rig.over.make("local-1", read_only=False)
    assert rig.node == Node(steps=["discard"])


@pytest.mark.parametrize(
    "objects",
    [
        {},
        {KEY: an_object(handle="other")},
        {KEY: an_object(driver_name="diskplugin.csi.alibabacloud.com")},
    ],
)
async def test_without_a_persistent_volume_of_ours_nothing_is_made(
    rig: Rig, objects: dict[tuple[api.Kind, str], api.Object]
) -> None:
    rig.kubernetes.objects = objects

    assert not await rig.over.make("local-1", read_only=False)
    assert rig.node.steps == []


async def test_an_api_server_that_is_away_makes_and_removes_nothing(rig: Rig) -> None:
    rig.kubernetes.fault = errors.Unavailable("away")
    rig.node.has_unclaimed = True

    with pytest.raises(errors.Unavailable):
        await rig.over.make("local-1", read_only=False)
    await rig.over.note("local-1")
    assert rig.node.steps == []


async def test_without_an_api_server_a_volume_that_is_not_there_is_not_there(rig: Rig) -> None:
    over = rig.on(api.Nowhere())

    assert not await over.make("local-1", read_only=False)
    await over.note("local-1")
    assert rig.node.steps == []


async def test_readers_of_a_volume_that_nobody_wrote_are_refused_before_it_is_made(
    rig: Rig,
) -> None:
    with pytest.raises(errors.Precondition, match="read-only"):
        await rig.over.make("local-1", read_only=True)
    assert rig.node.steps == []


async def test_where_a_volume_of_the_old_driver_is_gets_noted_once(rig: Rig) -> None:
    for _ in range(2):
        await rig.over.note("local-1")

    assert len(rig.kubernetes.volume_patches) == 1
    assert rig.annotations[old_volumes.MADE_ON] == "node-a"
    rig.node.counts = False
    with pytest.raises(old_volumes.VolumeLost):
        await rig.over.make("local-1", read_only=False)


async def test_a_note_that_fails_holds_nobody_up(rig: Rig) -> None:
    rig.kubernetes.volume_fault = errors.Denied("403")

    await rig.over.note("local-1")

    assert old_volumes.MADE_ON not in rig.annotations


@pytest.mark.parametrize("affinity", [None, HERE])
async def test_the_mount_point_that_a_volume_names_is_taken_and_noted(
    rig: Rig, affinity: dict[str, Any] | None
) -> None:
    rig.kubernetes.objects[KEY] = an_object(
        affinity=affinity,
        **{
            "volumeType": "MountPoint",
            "MountPoint": "/mnt/disk1",
            "volume.kubernetes.io/selected-node": "node-a",
        },
    )

    assert await rig.over.make("local-1", read_only=True)

    assert rig.mounts.taken == [("local-1", "/mnt/disk1")]
    assert rig.node.steps == []
    assert rig.annotations[old_volumes.MADE_ON] == "node-a"
    with pytest.raises(old_volumes.VolumeLost):
        await rig.over.make("local-1", read_only=False)


async def test_the_disk_that_an_operator_tells_is_taken_and_noted(rig: Rig) -> None:
    link = "/dev/disk/by-id/virtio-1"
    rig.kubernetes.objects[KEY] = an_object(
        volumeType="Device", annotations={old_volumes.TAKE_DEVICE: link}, affinity=HERE
    )

    assert await rig.over.make("local-1", read_only=False)

    assert (rig.disks.taken, rig.mounts.taken) == ([("local-1", link)], [])
    assert rig.annotations[old_volumes.MADE_ON] == "node-a"
    with pytest.raises(old_volumes.VolumeLost):
        await rig.over.make("local-1", read_only=False)
