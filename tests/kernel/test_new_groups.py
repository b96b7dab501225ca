"""Groups that the settings ask for, on real disks, with an LVM that only notes what it is told."""

import contextlib
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

import pytest

from core import errors, metrics
from core import settings as core_settings
from csi.lvm import model, params, settings
from csi.lvm.attached_disks import Attached
from csi.lvm.stores import blank_disks, disk_names
from csi.lvm.stores.logical import group_records, groups, logical_volumes, new_groups
from csi.node import disk_mark
from host import block, lvm, lvm_model
from tests.fakes import noted_events
from tests.support.machine import run
from tests.support.volume_group import linked, loop_device

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices"),
]
SIZE_MIB = 64


class NotedLvm(lvm.Lvm):
    """made: names of groups and pools. on: a disk of each. pools_fail: none can be made."""

    def __init__(self) -> None:
        super().__init__(["/dev/vdb"])
        self.made: list[str] = []
        self.on: dict[str, str] = {}
        self.pools_fail = False

    def groups(self) -> list[lvm_model.VolumeGroup]:
        return [
            lvm_model.VolumeGroup(
                name=name, uuid=name, size_bytes=0, extent_bytes=4 << 20, free_extents=10, disks=1,
                missing=0, tags=frozenset(),
            )
            for name in self.made if "/" not in name
        ]  # fmt: skip

    def groups_and_disks(
        self,
    ) -> tuple[list[lvm_model.VolumeGroup], list[lvm_model.PhysicalVolume]]:
        disks = [
            lvm_model.PhysicalVolume(
                device=device, group=group, extents=10, used_extents=0, is_missing=False,
                is_allocatable=True,
            )
            for group, device in self.on.items()
        ]  # fmt: skip
        return self.groups(), disks

    def volumes(self, *, group: str = "", tag: str = "") -> list[lvm_model.LogicalVolume]:
        return []

    def create(self, wish: lvm_model.Wish) -> None:
        raise errors.NotFound(wish.group)

    def create_group(self, name: str, devices: Sequence[str], *, tag: str) -> None:
        self.made.append(name)

    def create_pool(self, group: str, name: str, size_bytes: int, *, tag: str) -> None:
        if self.pools_fail:
            raise errors.Exhausted("no room for metadata")
        self.made.append(f"{group}/{name}")


class NotedGroups(groups.Groups):
    def __init__(self, config: settings.LocalSettings) -> None:
        super().__init__(config)
        self.lvm = NotedLvm()

    def planning(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def making(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def commands(self) -> lvm.Lvm:
        return self.lvm


class Node:
    """A node with a blank disk for vga, and one for vgb with a file system on it.

    directory: of its records, and of kubelet.
    """

    def __init__(self, directory: pathlib.Path, blank: str, used: str, **environ: str) -> None:
        self.blank, self.used = blank, used
        run("mkfs.ext4", "-q", used)
        told = {
            "LVM_DEVICES": f"{blank},{used}", "LVM_CREATE_GROUPS": f"vgb={used};vga={blank}",
            "LVM_CREATE_POOLS": "vga/pool=50%,vgb/pool=50%",
            "LOCAL_STATE_DIR": str(directory / "state"),
            "KUBELET_ROOT_DIR": str(directory / "kubelet"), **environ,
        }  # fmt: skip
        self.config = settings.read(core_settings.Reader(told))
        self.registry = metrics.Metrics()
        self.events = noted_events.NotedEvents()
        self.groups = NotedGroups(self.config)
        self.making = new_groups.NewGroups(self.config, self.groups, self.registry, self.events)
        self.volumes = logical_volumes.LogicalVolumes(self.config, self.groups)

    def settle_but_one(self) -> None:
        """The start, and the first look after it at disks that nothing tells from others."""
        self.making.make()
        self.making.make_again()

    def settle(self) -> None:
        """The start, and the two looks after it."""
        self.settle_but_one()
        self.making.make_again()

    def not_made(self, group: str, pool: str = "") -> float:
        for line in self.registry.exposition().decode().splitlines():
            if line.startswith(f'csi_lvm_group_not_made{{group="{group}",pool="{pool}"}} '):
                return float(line.rpartition(" ")[2])
        raise AssertionError(self.registry.exposition())

    def checksum(self) -> str:
        return hashlib.sha256(pathlib.Path(self.used).read_bytes()).hexdigest()


@pytest.fixture
def node(tmp_path: pathlib.Path) -> Iterator[Node]:
    with loop_device(tmp_path, SIZE_MIB) as blank, loop_device(tmp_path, SIZE_MIB) as used:
        yield Node(tmp_path, blank, used)


@pytest.fixture
def slot() -> Iterator[pathlib.Path]:
    """A path in /dev where a disk may come and go."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:  # settings want /dev
        yield pathlib.Path(directory, "vdb")


def wish(**parameters: str) -> model.VolumeWish:
    return model.VolumeWish(
        name="pvc-1",
        volume_id="pvc-1",
        required_bytes=4 << 20,
        limit_bytes=0,
        parameters=params.parse({"volumeType": "LVM", **parameters}),
    )


def test_a_disk_with_content_holds_up_its_own_group_alone_and_is_not_touched(node: Node) -> None:
    before = node.checksum()

    node.settle()

    assert node.groups.lvm.made == ["vga", "vga/pool"]
    assert node.checksum() == before
    event, *again = node.events.told
    assert set(again) == {event}
    assert event[0] == "VolumeGroupNotMade"
    assert f"volume group vgb is not made: {node.used} has ext4 on it" in event[1]
    assert "blkdiscard --zeroout" in event[1]
    made = [node.not_made(group, pool) for group in ("vga", "vgb") for pool in ("", "pool")]
    assert made == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "parameters",
    [
        {"vgName": "vgb"},
        {"vgName": "vgb", "lvmType": "striping"},
        {"vgName": "vgb", "lvmType": "thin", "thinPool": "pool"},
    ],
)
def test_a_group_that_is_not_made_has_no_room_and_calls_are_told_why(
    node: Node, parameters: dict[str, str]
) -> None:
    node.making.make()
    wanted = wish(**parameters)

    room = node.volumes.capacity(wanted.parameters)

    assert (room.available_bytes, room.maximum_bytes) == (0, 0)
    with pytest.raises(errors.Exhausted, match=f"{node.used} has ext4 on it"):
        node.volumes.create(wanted)


def test_a_disk_that_becomes_blank_is_taken_when_nobody_writes_to_it_any_more(node: Node) -> None:
    node.settle()

    node.making.make_again()
    assert "vgb" not in node.groups.lvm.made
    zeros = ("dd", "if=/dev/zero", f"of={node.used}", "bs=1M", "conv=fsync", "status=none")
    run(*zeros, f"count={SIZE_MIB}")
    node.making.make_again()
    assert "blank now" in node.groups.not_made["vgb", ""]
    run(*zeros, "count=1", "seek=32")
    node.making.make_again()
    assert "vgb" not in node.groups.lvm.made
    node.making.make_again()

    assert node.groups.lvm.made == ["vga", "vga/pool", "vgb", "vgb/pool"]
    assert node.groups.not_made == {}
    assert [node.not_made("vgb", pool) for pool in ("", "pool")] == [0, 0]
    told = len(node.events.told)
    node.making.make_again()
    assert len(node.events.told) == told


def test_a_disk_that_is_not_there_and_a_pool_that_cannot_be_made_are_told(
    tmp_path: pathlib.Path,
) -> None:
    with loop_device(tmp_path, SIZE_MIB) as blank, loop_device(tmp_path, SIZE_MIB) as used:
        gone = f"vga={blank};vgb={used},/dev/vdgone"
        node = Node(tmp_path, blank, used, LVM_CREATE_GROUPS=gone)
        node.groups.lvm.pools_fail = True

        node.settle()

        assert node.groups.lvm.made == ["vga"]
        assert "/dev/vdgone" in node.groups.not_made["vgb", ""]
        assert node.groups.not_made["vga", "pool"] == "no room for metadata"
        with pytest.raises(errors.Exhausted, match=r"vga/pool has 0 \(not made: no room for"):
            node.volumes.create(wish(vgName="vga", lvmType="thin"))
        assert node.not_made("vga") == 0
        assert len(set(node.events.told)) == 2


def test_a_node_of_another_kind_has_no_fault(tmp_path: pathlib.Path) -> None:
    with loop_device(tmp_path, SIZE_MIB) as blank, loop_device(tmp_path, SIZE_MIB) as used:
        elsewhere = f"vga={blank};vgb=/dev/vdgone,/dev/vdfar"
        node = Node(tmp_path, blank, used, LVM_CREATE_GROUPS=elsewhere, LVM_CREATE_POOLS="")

        node.settle()

        assert node.groups.lvm.made == ["vga"]
        assert node.events.told == []
        assert node.not_made("vgb") == 0
        with pytest.raises(errors.Exhausted, match="/dev/vdfar, /dev/vdgone"):
            node.volumes.create(wish(vgName="vgb"))


def test_another_disk_of_the_same_path_is_looked_at_anew(
    tmp_path: pathlib.Path, slot: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block, "written_sectors", lambda _: 0)
    with contextlib.ExitStack() as undo:
        blank, used, first, second = (
            undo.enter_context(loop_device(tmp_path, SIZE_MIB)) for _ in range(4)
        )
        told = {"LVM_DEVICES": f"{blank},{slot}", "LVM_CREATE_GROUPS": f"vgb={blank},{slot}"}
        node = Node(tmp_path, blank, used, LVM_CREATE_POOLS="", **told)
        node.making.make()
        slot.symlink_to(first)
        node.making.make_again()
        assert "blank now" in node.groups.not_made["vgb", ""]

        slot.unlink()
        slot.symlink_to(second)
        node.making.make_again()
        assert node.groups.lvm.made == []
        slot.unlink()
        node.making.make_again()
        slot.symlink_to(second)
        node.making.make_again()
        assert node.groups.lvm.made == []
        node.making.make_again()

        assert node.groups.lvm.made == ["vgb"]


@pytest.mark.parametrize("is_named", [False, True])
def test_a_disk_that_comes_to_a_node_of_another_kind_is_taken_only_by_its_own_name(
    tmp_path: pathlib.Path, slot: pathlib.Path, monkeypatch: pytest.MonkeyPatch, *, is_named: bool
) -> None:
    if is_named:
        monkeypatch.setattr(block, "BY_ID_DIR", slot.parent)
    with loop_device(tmp_path, SIZE_MIB) as blank, loop_device(tmp_path, SIZE_MIB) as used:
        told = {"LVM_DEVICES": f"{used},{slot}", "LVM_CREATE_GROUPS": f"vgb={slot}"}
        node = Node(tmp_path, blank, used, LVM_CREATE_POOLS="", **told)
        node.making.make()
        slot.symlink_to(blank)

        for _ in range(3):
            node.making.make_again()

        assert node.groups.lvm.made == (["vgb"] if is_named else [])
        if not is_named:
            assert "may be a pod's" in node.groups.not_made["vgb", ""]
            assert node.events.told == []
            node.settle()
            assert node.groups.lvm.made == ["vgb"]


def test_a_first_look_that_hangs_until_pods_are_served_takes_no_disk(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(device: pathlib.Path) -> str:
        node.making.leave()
        return blank(device)

    blank = blank_disks.why_not_blank
    monkeypatch.setattr(blank_disks, "why_not_blank", hang)

    node.making.make()
    assert node.groups.lvm.made == []
    node.making.make_again()
    assert node.groups.lvm.made == []
    assert "blank now" in node.groups.not_made["vga", ""]
    node.making.make_again()

    assert node.groups.lvm.made == ["vga", "vga/pool"]


def test_without_any_disk_nothing_is_asked_of_lvm(tmp_path: pathlib.Path) -> None:
    with loop_device(tmp_path, SIZE_MIB) as blank, loop_device(tmp_path, SIZE_MIB) as used:
        node = Node(
            tmp_path, blank, used, LVM_DEVICES="/dev/vdgone", LVM_CREATE_POOLS="vgc/pool=50%"
        )

        node.making.make()

        assert node.groups.lvm.made == []
        assert set(node.groups.not_made) == {("vga", ""), ("vgb", ""), ("vgc", "pool")}


def test_a_disk_named_by_the_kernel_is_taken_at_the_second_look_and_it_is_told_which(
    tmp_path: pathlib.Path,
) -> None:
    with loop_device(tmp_path, SIZE_MIB) as blank, loop_device(tmp_path, SIZE_MIB) as used:
        node = Node(tmp_path, blank, used, LVM_CREATE_GROUPS=f"vga={blank}", LVM_CREATE_POOLS="")

        node.making.make()
        node.making.make_again()  # as the watch does at once
        assert node.groups.lvm.made == []
        assert node.events.told == []
        node.making.make_again()

        assert node.groups.lvm.made == ["vga"]
        assert node.events.told == []
        (event,) = node.events.noted
        size = f"{SIZE_MIB << 20} bytes"
        assert event == (
            "VolumeGroupMade", f"volume group vga is made of {blank} (no serial number, {size})"
        )  # fmt: skip


def test_a_disk_named_by_what_is_its_own_is_taken_at_once(tmp_path: pathlib.Path) -> None:
    with (
        loop_device(tmp_path, SIZE_MIB) as blank,
        loop_device(tmp_path, SIZE_MIB) as used,
        linked(blank, "virtio-bp1csitest") as link,
    ):
        told = {"LVM_DEVICES": link, "LVM_CREATE_GROUPS": f"vga={link}", "LVM_CREATE_POOLS": ""}
        node = Node(tmp_path, blank, used, **told)

        node.making.make()

        assert node.groups.lvm.made == ["vga"]
        assert "also virtio-bp1csitest" in node.events.noted[0][1]


NOTES = (
    "plugins/kubernetes.io/csi/diskplugin.csi.alibabacloud.com/0a1b/vol_data.json",
    "plugins/kubernetes.io/csi/pv/pv-1/vol_data.json",
    "plugins/kubernetes.io/csi/volumeDevices/pv-1/data/vol_data.json",
    "pods/uid-1/volumes/kubernetes.io~csi/pv-1/vol_data.json",
)


@pytest.mark.parametrize("by_id", [False, True])
@pytest.mark.parametrize("told_by", [*NOTES, "mark"])
def test_a_blank_disk_of_a_pod_is_not_taken(
    tmp_path: pathlib.Path, told_by: str, by_id: bool
) -> None:
    with (
        loop_device(tmp_path, SIZE_MIB) as blank,
        loop_device(tmp_path, SIZE_MIB) as used,
        linked(blank, "virtio-bp1csitest") as link,
    ):
        name = link if by_id else blank
        told = {"LVM_DEVICES": name, "LVM_CREATE_GROUPS": f"vga={name}", "LVM_CREATE_POOLS": ""}
        node = Node(tmp_path, blank, used, **told)
        note = tmp_path / "kubelet" / told_by
        if told_by == "mark":
            disk_mark.mark_managed(pathlib.Path(blank), "d-bp1csitest")
        else:
            note.parent.mkdir(parents=True)
            note.write_text(json.dumps({"volumeHandle": "d-bp1csitest"}))

        node.settle()

        assert node.groups.lvm.made == []
        why = node.groups.not_made["vga", ""]
        assert why.startswith(f"{name} is disk d-bp1csitest, a PersistentVolume of pods.")
        if told_by == "mark":
            os.removexattr(blank, disk_mark.MANAGED_XATTR)
        else:
            note.unlink()
        node.settle()
        assert node.groups.lvm.made == ["vga"]


def test_a_note_of_kubelets_that_cannot_be_read_holds_up_the_groups(node: Node) -> None:
    note = node.config.kubelet_root / NOTES[0]
    note.parent.mkdir(parents=True)
    note.write_text("")

    node.settle()

    assert node.groups.lvm.made == []
    assert f"{note} cannot be understood" in node.groups.not_made["vga", ""]


def test_a_disk_that_the_cluster_has_attached_or_may_have_is_not_taken(
    tmp_path: pathlib.Path,
) -> None:
    with (
        loop_device(tmp_path, SIZE_MIB) as blank,
        loop_device(tmp_path, SIZE_MIB) as used,
        linked(blank, "virtio-bp1csitest"),
    ):
        node = Node(tmp_path, blank, used, LVM_CREATE_POOLS="")
        node.settle_but_one()

        for attached, why in (
            (Attached(why_unknown="it does not answer"), "does not answer"),
            (Attached(disk_ids=frozenset({"d-bp1csitest"})), f"{blank} is disk d-bp1csitest"),
        ):
            node.making.make_again(attached)
            assert node.groups.lvm.made == []
            assert why in node.groups.not_made["vga", ""]
        node.making.make_again(Attached(disk_ids=frozenset({"d-bp1other"})))

        assert node.groups.lvm.made == ["vga"]


def test_a_name_that_is_another_disks_by_now_is_refused_until_the_operator_agrees(
    tmp_path: pathlib.Path, slot: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_names, "serial_of", lambda path: f"serial={path.resolve().name}")
    with contextlib.ExitStack() as undo:
        blank, used, first, second = (
            undo.enter_context(loop_device(tmp_path, SIZE_MIB)) for _ in range(4)
        )
        told = {"LVM_DEVICES": str(slot), "LVM_CREATE_GROUPS": f"vga={slot}"}
        told["LVM_CREATE_POOLS"] = ""
        slot.symlink_to(first)
        node = Node(tmp_path, blank, used, **told)
        node.settle()
        assert node.groups.lvm.made == ["vga"]

        # The machine boots: its own disk has another name now, and a pod's has this one.
        slot.unlink()
        slot.symlink_to(second)
        node = Node(tmp_path, blank, used, **told)
        node.settle()
        assert node.groups.lvm.made == []
        why = node.groups.not_made["vga", ""]
        assert f"{slot} (serial={pathlib.Path(second).name}" in why
        assert node.events.told

        # The first one is known, though the group is gone from it.
        slot.unlink()
        slot.symlink_to(first)
        node = Node(tmp_path, blank, used, **told)
        node.making.make()
        assert node.groups.lvm.made == ["vga"]

        slot.unlink()
        slot.symlink_to(second)
        record = why.partition("remove ")[2].partition(" on the node")[0]
        pathlib.Path(record).unlink()
        node = Node(tmp_path, blank, used, **told)
        node.settle()
        assert node.groups.lvm.made == ["vga"]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_group_that_is_there_already_is_noted_if_it_is_on_the_disks_that_are_named(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    monkeypatch.setattr(disk_names, "serial_of", lambda path: f"serial={path.resolve().name}")
    with loop_device(tmp_path, SIZE_MIB) as blank, loop_device(tmp_path, SIZE_MIB) as used:
        node = Node(tmp_path, blank, used, LVM_CREATE_POOLS="")
        node.groups.lvm.made = ["vga"]
        node.groups.lvm.on = {"vga": blank if is_there else used}

        node.making.make()

        noted = group_records.GroupRecords(tmp_path / "state").read("vga")
        assert noted == ({blank: f"serial={pathlib.Path(blank).name}"} if is_there else {})


def test_where_nothing_can_be_noted_groups_are_made_all_the_same(
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "state").write_text("no directory")
    with loop_device(tmp_path, SIZE_MIB) as blank, loop_device(tmp_path, SIZE_MIB) as used:
        node = Node(tmp_path, blank, used, LVM_CREATE_GROUPS=f"vga={blank}", LVM_CREATE_POOLS="")

        node.settle()

        assert node.groups.lvm.made == ["vga"]


def test_a_group_that_a_pod_made_on_its_disk_is_not_looked_at(tmp_path: pathlib.Path) -> None:
    with (
        loop_device(tmp_path, SIZE_MIB) as device,
        loop_device(tmp_path, SIZE_MIB) as other,
        linked(device, "virtio-bp1csitest"),
    ):
        told = {"LVM_DEVICES": f"{device},{other}"}
        allowed = groups.Groups(settings.read(core_settings.Reader(told)))
        assert allowed.devices() == [device, other]

        disk_mark.mark_managed(pathlib.Path(device), "d-bp1csitest")
        try:
            assert allowed.devices() == [other]
            disk_mark.mark_managed(pathlib.Path(device), "d-bp1before")  # which is gone by now
            assert allowed.devices() == [device, other]
        finally:
            os.removexattr(device, disk_mark.MANAGED_XATTR)
