"""The simulator's loop devices on the running kernel. Needs root; leaves nothing behind."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sim.hardware import api, images, linux, loop
from tests.sim.sim_ecs_harness import NODE_1, NODE_2, Ecs

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root"),
]

SYSFS = pathlib.Path("/sys")


@pytest.fixture
def state_dir(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    state_dir = tmp_path / "state"
    yield state_dir
    assert linux.LinuxHardware(state_dir, tmp_path / "by-id").release() == []
    assert loop.bound_under(state_dir / "disks", sysfs=SYSFS) == {}


@pytest.fixture
def hardware(state_dir: pathlib.Path, tmp_path: pathlib.Path) -> linux.LinuxHardware:
    made = linux.LinuxHardware(state_dir, tmp_path / "by-id")
    made.place([api.Machine(instance_id="i-2", by_id_dir=str(tmp_path / "by-id-2"))])
    return made


def size_bytes(device: pathlib.Path) -> int:
    with device.open("rb") as file:
        return file.seek(0, os.SEEK_END)


def write_at(device: pathlib.Path, offset: int, content: bytes) -> None:
    with device.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def read_at(device: pathlib.Path, offset: int, length: int) -> bytes:
    with device.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def test_attach_makes_a_block_device_visible_under_its_serial(hardware, tmp_path):
    hardware.create_disk("d-1", 1)

    link = hardware.attach("d-1", "1", "i-1")
    again = hardware.attach("d-1", "1", "i-1")

    assert link == again == tmp_path / "by-id" / "virtio-1"
    assert link.resolve().is_block_device()
    assert size_bytes(link) == images.GIB


def test_detach_removes_link_and_device_and_keeps_the_content(hardware, state_dir):
    hardware.create_disk("d-1", 1)
    link = hardware.attach("d-1", "1", "i-1")
    write_at(link, 1 << 20, b"kept")

    assert hardware.detach("d-1", "1", "i-1", remaining=())
    assert hardware.detach("d-1", "1", "i-1", remaining=())

    assert not link.is_symlink()
    assert loop.bound_under(state_dir / "disks", sysfs=SYSFS) == {}
    assert read_at(hardware.attach("d-1", "1", "i-1"), 1 << 20, 4) == b"kept"


def test_an_open_device_stays_until_it_is_closed(hardware, state_dir):
    hardware.create_disk("d-1", 1)
    link = hardware.attach("d-1", "1", "i-1")

    with link.open("rb"):
        assert not hardware.detach("d-1", "1", "i-1", remaining=())
        assert not link.is_symlink()
        assert not hardware.detach("d-1", "1", "i-1", remaining=())

    assert hardware.detach("d-1", "1", "i-1", remaining=())
    assert loop.bound_under(state_dir / "disks", sysfs=SYSFS) == {}


def test_a_device_that_waits_for_its_last_close_can_be_attached_again(hardware):
    hardware.create_disk("d-1", 1)
    link = hardware.attach("d-1", "1", "i-1")
    with link.open("rb"):
        hardware.detach("d-1", "1", "i-1", remaining=())

        hardware.attach("d-1", "1", "i-1")

    assert size_bytes(link) == images.GIB


def test_online_resize_shows_at_once_and_offline_resize_after_a_refresh(hardware):
    hardware.create_disk("d-1", 1)
    link = hardware.attach("d-1", "1", "i-1")

    hardware.resize("d-1", 2, online=True)
    assert size_bytes(link) == 2 * images.GIB
    hardware.resize("d-1", 3, online=False)
    assert size_bytes(link) == 2 * images.GIB
    hardware.refresh("d-1")
    assert size_bytes(link) == 3 * images.GIB


def test_a_snapshot_holds_what_was_written_before_the_cut(hardware):
    hardware.create_disk("d-1", 20)
    link = hardware.attach("d-1", "1", "i-1")
    write_at(link, 10 * images.GIB, b"before")

    hardware.cut([api.Cut(disk_id="d-1", snapshot_id="s-1")])
    write_at(link, 10 * images.GIB, b"after!")
    hardware.create_disk("d-2", 30, snapshot_id="s-1")

    restored = hardware.attach("d-2", "2", "i-1")
    assert read_at(restored, 10 * images.GIB, 6) == b"before"
    assert size_bytes(restored) == 30 * images.GIB
    assert read_at(link, 10 * images.GIB, 6) == b"after!"


def test_a_snapshot_of_a_mounted_disk_holds_unsynced_files(hardware, tmp_path):
    hardware.create_disk("d-1", 1)
    link = hardware.attach("d-1", "1", "i-1")
    mount_point = tmp_path / "mnt"
    mount_point.mkdir()
    subprocess.run(["mkfs.ext4", "-q", link], check=True)
    subprocess.run(["mount", link, mount_point], check=True)
    try:
        (mount_point / "file").write_text("not synced by anyone")
        hardware.cut([api.Cut(disk_id="d-1", snapshot_id="s-1")])
    finally:
        subprocess.run(["umount", mount_point], check=True)
    hardware.create_disk("d-2", 1, snapshot_id="s-1")

    subprocess.run(["mount", hardware.attach("d-2", "2", "i-1"), mount_point], check=True)
    try:
        assert (mount_point / "file").read_text() == "not synced by anyone"
    finally:
        subprocess.run(["umount", mount_point], check=True)


def test_a_sparse_copy_stays_sparse(hardware, state_dir):
    hardware.create_disk("d-1", 20)
    write_at(state_dir / "disks" / "d-1.img", 19 * images.GIB, b"x" * 5000)

    hardware.cut([api.Cut(disk_id="d-1", snapshot_id="s-1")])

    copied = (state_dir / "snapshots" / "s-1.img").stat()
    assert copied.st_size == 20 * images.GIB
    assert copied.st_blocks * 512 < 1 << 20


def test_a_multi_attach_disk_is_one_device_in_every_by_id_directory(hardware, tmp_path):
    hardware.create_disk("d-1", 1)
    first = hardware.attach("d-1", "1", "i-1")
    second = hardware.attach("d-1", "1", "i-2")

    assert second == tmp_path / "by-id-2" / "virtio-1"
    assert first.readlink() == second.readlink()
    assert hardware.detach("d-1", "1", "i-1", remaining=("i-2",))
    assert not first.is_symlink()
    assert size_bytes(second) == images.GIB


def test_a_shared_by_id_directory_keeps_its_link_while_another_instance_needs_it(hardware):
    hardware.create_disk("d-1", 1)
    link = hardware.attach("d-1", "1", "i-1")
    hardware.attach("d-1", "1", "i-3")

    assert hardware.detach("d-1", "1", "i-1", remaining=("i-3",))

    assert size_bytes(link) == images.GIB


def test_a_legacy_disk_without_serial_gets_a_device_and_no_link(hardware, tmp_path):
    hardware.create_disk("d-1", 1)

    device = hardware.attach("d-1", "", "i-1")

    assert device.is_block_device()
    assert not (tmp_path / "by-id").exists()


def test_reconcile_after_a_crash_restores_devices_links_and_removes_orphans(
    hardware, state_dir, tmp_path
):
    for disk_id in ("d-1", "d-2", "d-3"):
        hardware.create_disk(disk_id, 1)
    lost = hardware.attach("d-1", "1", "i-1")
    orphan = hardware.attach("d-2", "2", "i-1")
    loop.free(lost.readlink())
    lost.unlink()
    (state_dir / "disks" / "d-4.partial").touch()

    linux.LinuxHardware(state_dir, tmp_path / "by-id").reconcile(
        [api.Binding(disk_id="d-1", serial="1", instance_ids=("i-1",))],
        disk_ids=["d-1", "d-2"],
        snapshot_ids=[],
    )

    assert size_bytes(lost) == images.GIB
    assert not orphan.is_symlink()
    assert set(loop.bound_under(state_dir / "disks", sysfs=SYSFS)) == {"d-1.img"}
    assert {path.name for path in (state_dir / "disks").iterdir()} == {"d-1.img", "d-2.img"}


def test_release_never_touches_a_device_of_another_state_directory(hardware, tmp_path):
    other = linux.LinuxHardware(tmp_path / "other", tmp_path / "by-id-other")
    other.create_disk("d-9", 1)
    link = other.attach("d-9", "9", "i-1")
    hardware.create_disk("d-1", 1)
    mine = hardware.attach("d-1", "1", "i-1")
    try:
        assert hardware.release() == []
        assert hardware.release() == []

        assert not mine.is_symlink()
        assert size_bytes(link) == images.GIB
    finally:
        assert other.release() == []


def test_a_link_that_became_a_regular_file_is_left_alone(hardware):
    hardware.create_disk("d-1", 1)
    link = hardware.attach("d-1", "1", "i-1")
    link.unlink()
    link.write_text("mine")

    hardware.detach("d-1", "1", "i-1", remaining=())

    assert link.read_text() == "mine"


def test_attaching_a_missing_image_names_the_image(hardware):
    with pytest.raises(api.HardwareError, match=r"d-none\.img"):
        hardware.attach("d-none", "none", "i-1")


@pytest.fixture
def by_id_dir(tmp_path):
    return tmp_path / "by-id"


@pytest.fixture
def ecs(state_dir, by_id_dir) -> Iterator[Ecs]:
    made = Ecs(state_dir, hardware=linux.LinuxHardware(state_dir, by_id_dir))
    yield made
    made.cloud.close()


def link_of(ecs: Ecs, by_id_dir: pathlib.Path, disk_id: str) -> pathlib.Path:
    return by_id_dir / f"virtio-{ecs.disk(disk_id)['SerialNumber']}"


def test_a_disk_goes_from_create_to_delete_with_its_device(ecs, by_id_dir, state_dir):
    disk_id = ecs.attached_disk(Size=20)
    link = link_of(ecs, by_id_dir, disk_id)
    write_at(link, 0, b"content")
    ecs("ResizeDisk", DiskId=disk_id, NewSize=30, Type="online")
    assert size_bytes(link) == 30 * images.GIB
    snapshot_id = ecs.new_snapshot(disk_id)
    write_at(link, 0, b"changed")
    restored = ecs.attached_disk(SnapshotId=snapshot_id, Size=40)
    assert read_at(link_of(ecs, by_id_dir, restored), 0, 7) == b"content"

    for each in (disk_id, restored):
        ecs("DetachDisk", DiskId=each, InstanceId=NODE_1)
        ecs.wait()
        ecs("DeleteDisk", DiskId=each)
    ecs("DeleteSnapshot", SnapshotId=snapshot_id, Force=True)
    ecs.wait()

    assert list(by_id_dir.iterdir()) == []
    assert [*(state_dir / "disks").iterdir(), *(state_dir / "snapshots").iterdir()] == []
    assert loop.bound_under(state_dir / "disks", sysfs=SYSFS) == {}


def test_a_disk_stays_detaching_while_it_is_mounted(ecs, by_id_dir, tmp_path):
    disk_id = ecs.attached_disk()
    link = link_of(ecs, by_id_dir, disk_id)
    mount_point = tmp_path / "mnt"
    mount_point.mkdir()
    subprocess.run(["mkfs.ext4", "-q", link], check=True)
    subprocess.run(["mount", link, mount_point], check=True)
    try:
        ecs("DetachDisk", DiskId=disk_id, InstanceId=NODE_1)
        ecs.wait()
        assert ecs.disk(disk_id)["Status"] == "Detaching"
        assert not link.is_symlink()
    finally:
        subprocess.run(["umount", mount_point], check=True)

    ecs.wait()

    assert ecs.disk(disk_id)["Status"] == "Available"


def test_an_offline_resize_shows_on_the_device_after_a_reboot(ecs, by_id_dir):
    disk_id = ecs.attached_disk(Size=20)
    link = link_of(ecs, by_id_dir, disk_id)

    ecs("ResizeDisk", DiskId=disk_id, NewSize=30)
    assert size_bytes(link) == 20 * images.GIB
    ecs("RebootInstance", InstanceId=NODE_1)
    ecs.wait()
    ecs.wait()

    assert size_bytes(link) == 30 * images.GIB


def test_a_group_snapshot_holds_all_disks_as_they_were(ecs, by_id_dir):
    disk_ids = [ecs.attached_disk(), ecs.attached_disk()]
    for n, disk_id in enumerate(disk_ids):
        write_at(link_of(ecs, by_id_dir, disk_id), 0, b"disk %d" % n)
    group_id = ecs("CreateSnapshotGroup", DiskId=disk_ids)["SnapshotGroupId"]
    ecs.wait()
    (group,) = ecs("DescribeSnapshotGroups", SnapshotGroupId=[group_id])["SnapshotGroups"][
        "SnapshotGroup"
    ]

    contents = []
    for member in group["Snapshots"]["Snapshot"]:
        restored = ecs.attached_disk(SnapshotId=member["SnapshotId"])
        contents.append(read_at(link_of(ecs, by_id_dir, restored), 0, 6))

    assert contents == [b"disk 0", b"disk 1"]


def test_a_system_disk_is_a_record_whose_snapshots_are_empty(ecs, by_id_dir):
    (system,) = ecs.disk_ids(DiskType="system", InstanceId=NODE_1)

    snapshot_id = ecs.new_snapshot(system)
    restored = ecs.attached_disk(SnapshotId=snapshot_id, Size=40)

    assert ecs.snapshot(snapshot_id)["Available"] is True
    assert size_bytes(link_of(ecs, by_id_dir, restored)) == 40 * images.GIB


def test_a_forced_attach_moves_the_link_to_the_new_instance(state_dir, tmp_path):
    directories = {NODE_1: tmp_path / "by-id-1", NODE_2: tmp_path / "by-id-2"}
    ecs = Ecs(state_dir, hardware=linux.LinuxHardware(state_dir, tmp_path / "by-id"))
    rows = json.loads(json.dumps([dataclasses.asdict(row) for row in ecs.cloud.world.instances]))
    for row in rows:
        row["by_id_dir"] = str(directories[row["instance_id"]])
    ecs.cloud.change_world({"instances": rows})
    try:
        disk_id = ecs.attached_disk(DiskCategory="cloud_regional_disk_auto", ZoneId=None)
        write_at(link_of(ecs, directories[NODE_1], disk_id), 0, b"kept")

        ecs("AttachDisk", DiskId=disk_id, InstanceId=NODE_2, Force=True)
        ecs.wait()

        assert not link_of(ecs, directories[NODE_1], disk_id).is_symlink()
        assert read_at(link_of(ecs, directories[NODE_2], disk_id), 0, 4) == b"kept"
    finally:
        ecs.cloud.close()


def test_a_released_instance_lets_go_of_its_devices_in_its_own_directory(state_dir, tmp_path):
    ecs = Ecs(state_dir, hardware=linux.LinuxHardware(state_dir, tmp_path / "by-id"))
    own = tmp_path / "by-id-1"
    rows = json.loads(json.dumps([dataclasses.asdict(row) for row in ecs.cloud.world.instances]))
    rows[0] |= {"by_id_dir": str(own), "local_disks_gib": [1]}
    ecs.cloud.change_world({"instances": rows})
    kept, gone = ecs.attached_disk(), ecs.new_disk()
    ecs("AttachDisk", DiskId=gone, InstanceId=NODE_1, DeleteWithInstance=True)
    ecs.wait()
    write_at(link_of(ecs, own, kept), 0, b"kept")
    assert len(list(own.iterdir())) == 3

    ecs("DeleteInstance", InstanceId=NODE_1, Force=True)
    for _ in ("it is released", "the disks leave", "one of them is deleted"):
        ecs.wait()

    assert list(own.iterdir()) == []
    assert loop.bound_under(state_dir / "disks", sysfs=SYSFS) == {}
    assert loop.bound_under(state_dir / "local", sysfs=SYSFS) == {}
    assert [path.name for path in (state_dir / "disks").iterdir()] == [f"{kept}.img"]
    new = rows[0] | {
        "instance_id": "i-new",
        "eni_id": "eni-new",
        "mac": "00:16:3e:00:00:77",
        "system_disk_id": "d-new",
        "local_disks_gib": [],
    }
    ecs.cloud.change_world({"instances": [new]})
    ecs("AttachDisk", DiskId=kept, InstanceId="i-new")
    ecs.wait()
    assert read_at(link_of(ecs, own, kept), 0, 4) == b"kept"
    ecs.cloud.close()


def test_a_reset_frees_the_devices_of_disks_that_vanish(ecs, by_id_dir, state_dir):
    ecs.attached_disk()

    ecs.cloud.reset()

    assert list(by_id_dir.iterdir()) == []
    assert list((state_dir / "disks").iterdir()) == []
    assert loop.bound_under(state_dir / "disks", sysfs=SYSFS) == {}


def start_server(state_dir: pathlib.Path, by_id_dir: pathlib.Path, *more: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "sim", "serve", "--listen", "127.0.0.1:0"),
            *("--hardware", "disks", "--time-scale", "0", "--log-level", "warning"),
            *("--state-dir", str(state_dir), "--by-id-dir", str(by_id_dir), *more),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("cloudsim ready ")
    return process


def end(process: subprocess.Popen, number: signal.Signals) -> None:
    process.send_signal(number)
    process.communicate(timeout=30)


def test_a_killed_simulator_finds_its_devices_again_and_clean_frees_them(state_dir, by_id_dir):
    ecs = Ecs(state_dir, hardware=linux.LinuxHardware(state_dir, by_id_dir))
    disk_id = ecs.attached_disk()
    link = link_of(ecs, by_id_dir, disk_id)
    ecs.cloud.close()
    write_at(link, 0, b"survives")

    end(start_server(state_dir, by_id_dir), signal.SIGKILL)
    assert read_at(link, 0, 8) == b"survives"
    loop.free(link.readlink())
    link.unlink()
    end(start_server(state_dir, by_id_dir), signal.SIGKILL)
    assert read_at(link, 0, 8) == b"survives"

    command = [sys.executable, "-m", "sim", "clean", "--state-dir", str(state_dir)]
    subprocess.run(command, check=True, cwd=pathlib.Path(__file__).parents[2])
    assert not link.is_symlink()
    assert loop.bound_under(state_dir / "disks", sysfs=SYSFS) == {}


def test_release_on_exit_leaves_nothing_and_the_next_start_brings_it_back(state_dir, by_id_dir):
    ecs = Ecs(state_dir, hardware=linux.LinuxHardware(state_dir, by_id_dir))
    disk_id = ecs.attached_disk()
    link = link_of(ecs, by_id_dir, disk_id)
    ecs.cloud.close()

    end(start_server(state_dir, by_id_dir, "--release-on-exit"), signal.SIGTERM)
    assert loop.bound_under(state_dir / "disks", sysfs=SYSFS) == {}
    assert not link.is_symlink()

    end(start_server(state_dir, by_id_dir), signal.SIGTERM)
    assert link.resolve().is_block_device()
