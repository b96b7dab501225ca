"""host.lvm on real device-mapper: what it makes, refuses, and never touches."""

import hashlib
import pathlib

import pytest

from core import errors
from host import lvm, lvm_model
from tests.support.machine import run
from tests.support.volume_group import VolumeGroup

pytestmark = pytest.mark.usefixtures("foreign")
MIB = 1 << 20
TAG = "csi-test"


@pytest.fixture
def on(volume_group: VolumeGroup) -> lvm.Lvm:
    return lvm.Lvm(volume_group.devices)


def wish(
    group: VolumeGroup, name: str = "pvc-1", size_mib: int = 16, **more: object
) -> lvm_model.Wish:
    return lvm_model.Wish(name=name, group=group.name, size_bytes=size_mib * MIB, **more)


def test_the_life_of_a_volume(volume_group: VolumeGroup, on: lvm.Lvm) -> None:
    name = volume_group.name
    on.create(wish(volume_group, tags=(TAG, "csi-state=creating")))
    on.retag(name, "pvc-1", add=["csi-state=ready"], delete=["csi-state=creating"])
    (made,) = on.volumes(tag=TAG)
    assert (made.name, made.size_bytes, made.layout) == ("pvc-1", 16 * MIB, "linear")
    assert made.tags == {TAG, "csi-state=ready"}
    assert made.is_active
    assert pathlib.Path(made.device).is_block_device()

    with pytest.raises(errors.Exists):
        on.create(wish(volume_group))
    on.extend(name, "pvc-1", 20 * MIB)
    on.extend(name, "pvc-1", 10 * MIB)
    assert on.find(name, "pvc-1").size_bytes == 20 * MIB
    on.deactivate(name, "pvc-1")
    assert not pathlib.Path(made.device).exists()
    on.activate(name, "pvc-1")
    on.activate(name, "pvc-1")
    on.remove(name, "pvc-1")
    on.remove(name, "pvc-1")
    assert on.volumes(group=name) == []


def test_stripes_really_stripe(volume_group: VolumeGroup, on: lvm.Lvm) -> None:
    on.create(wish(volume_group, size_mib=32, stripes=2))

    found = on.find(volume_group.name, "pvc-1")
    assert (found.layout, found.stripes) == ("striped", 2)
    table = run("dmsetup", "table", f"{volume_group.name}-pvc--1").split()
    assert table[2:4] == ["striped", "2"]
    used = [disk.used_extents for disk in on.disks(volume_group.name)]
    assert used[0] == used[1] == 4


@pytest.mark.parametrize("stripes", [1, 2])
def test_the_room_that_is_told_is_exact(
    volume_group: VolumeGroup, on: lvm.Lvm, stripes: int
) -> None:
    on.create(wish(volume_group, name="first", size_mib=12))
    (group,) = [row for row in on.groups() if row.name == volume_group.name]
    room = lvm.room_for(group, on.disks(group.name), stripes=stripes)

    too_much = (room + group.extent_bytes * stripes) // MIB
    with pytest.raises(errors.Exhausted):
        on.create(wish(volume_group, size_mib=too_much, stripes=stripes))
    on.create(wish(volume_group, size_mib=room // MIB, stripes=stripes))

    (group,) = [row for row in on.groups() if row.name == volume_group.name]
    assert lvm.room_for(group, on.disks(group.name), stripes=stripes) == 0


def test_a_volume_in_use_stays(
    volume_group: VolumeGroup, on: lvm.Lvm, tmp_path: pathlib.Path
) -> None:
    on.create(wish(volume_group))
    device = volume_group.path("pvc-1")
    run("mkfs.ext4", "-q", device)
    run("mount", device, tmp_path)
    try:
        assert on.find(volume_group.name, "pvc-1").is_open
        with pytest.raises(errors.Busy):
            on.remove(volume_group.name, "pvc-1")
        with pytest.raises(errors.Busy):
            on.deactivate(volume_group.name, "pvc-1")
    finally:
        run("umount", tmp_path)


def test_what_was_on_the_disk_is_not_seen_again(volume_group: VolumeGroup, on: lvm.Lvm) -> None:
    on.create(wish(volume_group))
    run("mkfs.ext4", "-q", volume_group.path("pvc-1"))
    on.remove(volume_group.name, "pvc-1")

    on.create(wish(volume_group))

    with pathlib.Path(volume_group.path("pvc-1")).open("rb") as device:
        assert device.read(4096) == bytes(4096)
    assert run("wipefs", volume_group.path("pvc-1")) == ""


def test_other_devices_are_neither_seen_nor_touched(
    volume_group: VolumeGroup, on: lvm.Lvm, tmp_path: pathlib.Path
) -> None:
    other = VolumeGroup(tmp_path)
    try:
        other.create("foreign", "--size", "16m")
        device = pathlib.Path(other.path("foreign"))
        with device.open("r+b") as disk:
            disk.write(b"data of somebody else" * 100)
        before = hashlib.sha256(device.read_bytes()).digest()

        on.create(wish(volume_group))
        on.remove(volume_group.name, "pvc-1")

        assert other.name not in {group.name for group in on.groups()}
        assert on.volumes(tag="") == []
        with pytest.raises(errors.NotFound):
            on.create(wish(other))
        assert hashlib.sha256(device.read_bytes()).digest() == before
    finally:
        other.close()
