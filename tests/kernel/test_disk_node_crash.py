"""Calls that were cut off half way are finished by the next one, and never at the price of data."""

import os
import pathlib
import shutil
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from core import call, errors
from csi.node import device_state
from host import filesystem, mounts
from tests.unit.csi_disk_node import disk_node_harness as harness

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices and mounts"),
]
MIB = harness.MIB


@pytest.fixture
async def node(tmp_path: pathlib.Path) -> AsyncIterator[harness.Node]:
    node = harness.Node(tmp_path)
    yield node
    await node.close()
    assert harness.mount_points_below(tmp_path) == []


async def test_staging_resumes_after_the_mount_and_before_the_growth(node: harness.Node) -> None:
    disk = node.add_disk()
    harness.tool("mkfs.xfs", "-q", str(disk.device))
    disk.grow(2 * harness.DISK_BYTES)
    harness.tool("mount", str(disk.device), str(node.staging()))

    path = await node.stage(disk)

    assert os.statvfs(path).f_blocks * os.statvfs(path).f_frsize > 1.6 * harness.DISK_BYTES


async def test_a_caller_that_left_during_mkfs_gets_no_mount_that_nobody_would_undo(
    node: harness.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = node.add_disk()
    running = call.Call(call_id="1", method="NodeStageVolume")
    usual = filesystem.make

    def make(*arguments: Any, **options: Any) -> None:
        usual(*arguments, **options)
        running.given_up = True

    monkeypatch.setattr(filesystem, "make", make)
    call.enter(running)
    with pytest.raises(errors.DeadlineExceeded, match="the caller is gone"):
        await node.stage(disk)
    assert harness.mount_points_below(node.root) == []

    call.enter(call.Call(call_id="2", method="NodeStageVolume"))
    path = await node.stage(disk)
    assert str(path) in harness.mount_points_below(node.root)


async def test_publishing_resumes_after_the_target_was_made(node: harness.Node) -> None:
    disk = node.add_disk()
    await node.stage(disk)
    (node.root / "target").mkdir()

    target = await node.publish(disk)

    assert str(target) in harness.mount_points_below(node.root)


async def test_block_calls_resume_after_the_placeholder_was_made(node: harness.Node) -> None:
    disk = node.add_disk(16 * MIB)
    (node.staging() / disk.volume_id).touch()
    (node.root / "target").touch()

    await node.stage(disk, block=True)
    target = await node.publish(disk, block=True)

    assert target.is_block_device()


async def test_unpublish_and_unstage_resume_after_the_unmount(node: harness.Node) -> None:
    disk = node.add_disk(16 * MIB)
    file = node.staging() / disk.volume_id
    file.touch()
    target = node.root / "target"
    target.mkdir()
    block_target = node.root / "block_target"
    block_target.touch()

    await node.unpublish(disk, target)
    await node.unpublish(disk, block_target)
    await node.unstage(disk)

    assert not any(p.exists() for p in (file, target, block_target))


async def test_a_lost_staging_mount_is_made_again_by_publish(node: harness.Node) -> None:
    disk = node.add_disk()
    staging = await node.stage(disk)
    (staging / "file").write_text("kept")
    harness.tool("umount", str(staging))

    target = await node.publish(disk)

    assert (target / "file").read_text() == "kept"


async def test_a_lost_block_staging_is_made_again_by_publish(node: harness.Node) -> None:
    disk = node.add_disk(16 * MIB)
    staging = await node.stage(disk, block=True)
    harness.tool("umount", str(staging / disk.volume_id))

    assert (await node.publish(disk, block=True)).is_block_device()


async def test_the_mount_of_a_device_that_is_gone_makes_room_for_the_new_one(
    node: harness.Node,
) -> None:
    disk = node.add_disk()
    await node.stage(disk)
    without_devices = node.directory / "sys"
    without_devices.mkdir()
    node.restart(sysfs=without_devices)

    await node.stage(disk)

    assert harness.mount_points_below(node.root) == [str(node.staging())]


async def test_unstage_removes_the_mounts_of_every_kubelet_layout(node: harness.Node) -> None:
    disk = node.add_disk()
    old = node.staging("plugins/kubernetes.io/csi/pv/pv-1/globalmount")
    new = node.staging("plugins/kubernetes.io/csi/diskplugin.csi.alibabacloud.com/abc/globalmount")
    await node.stage(disk, path=old)
    harness.tool("mount", "--bind", str(old), str(new))

    await node.unstage(disk, new)

    assert harness.mount_points_below(node.root) == []


class Killed(Exception):
    """Stands for SIGKILL at this place."""


@pytest.mark.parametrize("when", ["before the unmount", "after the unmount"])
async def test_an_unstage_that_was_killed_leaves_no_device_read_only(
    node: harness.Node, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    disk = node.add_disk(16 * MIB)
    await node.stage(disk, block=True, mode=harness.READERS)
    usual = mounts.unmount

    def unmount(path: pathlib.Path, *, timeout_s: float) -> None:
        if when == "after the unmount":
            usual(path, timeout_s=timeout_s)
        raise Killed

    monkeypatch.setattr(mounts, "unmount", unmount)
    with pytest.raises(Killed):
        await node.unstage(disk)
    monkeypatch.setattr(mounts, "unmount", usual)
    node.restart()
    await node.unstage(disk)

    assert not _is_read_only(disk)
    await node.stage(disk, fs_type="ext4")


async def test_a_stage_that_was_killed_before_the_mount_leaves_no_device_read_only(
    node: harness.Node,
) -> None:
    disk = node.add_disk(16 * MIB)
    harness.tool("blockdev", "--setro", str(disk.device))

    await node.unstage(disk)

    assert not _is_read_only(disk)


async def test_readers_staged_again_after_a_killed_unstage_cannot_write(node: harness.Node) -> None:
    disk = node.add_disk(16 * MIB)
    await node.stage(disk, block=True, mode=harness.READERS)
    harness.tool("blockdev", "--setrw", str(disk.device))

    await node.stage(disk, block=True, mode=harness.READERS)

    assert _is_read_only(disk)
    await node.unstage(disk)
    assert not _is_read_only(disk)


def _is_read_only(disk: harness.LoopDisk) -> bool:
    return harness.tool("blockdev", "--getro", str(disk.device)).strip() == "1"


async def test_an_xfs_that_mkfs_did_not_finish_is_made_anew(node: harness.Node) -> None:
    disk = node.add_disk()
    harness.tool("mkfs.xfs", "-q", str(disk.device))
    _set_in_progress(disk)

    await node.stage(disk, fs_type="xfs")

    assert not device_state.is_unfinished_xfs(disk.device)


async def test_an_unfinished_xfs_is_not_touched_for_readers(node: harness.Node) -> None:
    disk = node.add_disk()
    harness.tool("mkfs.xfs", "-q", str(disk.device))
    _set_in_progress(disk)
    before = disk.checksum()

    with pytest.raises(errors.Precondition, match="read-only"):
        await node.stage(disk, mode=harness.READERS)

    assert disk.checksum() == before


@pytest.mark.skipif(shutil.which("strace") is None, reason="Debian package strace is missing")
@pytest.mark.parametrize("fs_type", ["ext4", "xfs"])
@pytest.mark.parametrize("writes", [1, 3, 4, 20, 60, 65, 150, 152])
async def test_staging_succeeds_after_mkfs_was_killed_at_any_write(
    node: harness.Node, fs_type: str, writes: int
) -> None:
    disk = node.add_disk()
    force = "-f" if fs_type == "xfs" else "-F"
    inject = f"inject=pwrite64:signal=KILL:when={writes}"
    subprocess.run(
        [
            "strace",
            "-f",
            "-o",
            "/dev/null",
            "-e",
            "trace=pwrite64",
            "-e",
            inject,
            f"mkfs.{fs_type}",
            "-q",
            force,
            str(disk.device),
        ],
        check=False,
        capture_output=True,
    )

    path = await node.stage(disk, fs_type=fs_type)

    (path / "file").write_text("works")


def _set_in_progress(disk: harness.LoopDisk) -> None:
    with disk.device.open("r+b", buffering=0) as f:
        sector = bytearray(f.read(512))
        sector[126] = 1
        f.seek(0)
        f.write(sector)


@pytest.fixture
def own_dev(node: harness.Node) -> Iterator[pathlib.Path]:
    """A directory for device files, which go when their disk does, as in devtmpfs."""
    path = node.directory / "dev"
    path.mkdir()
    harness.tool("mount", "-t", "tmpfs", "none", str(path))
    yield path
    harness.tool("umount", str(path))


def lose(node: harness.Node, disk: harness.LoopDisk) -> None:
    """Take *disk* off the node although it is staged, as a forced detach does."""
    link = node.by_id / f"virtio-{disk.serial}"
    link.readlink().unlink()
    link.unlink()
    harness.tool("losetup", "-d", str(disk.device))
    node.disks.remove(disk)


def attach_with_number_of(node: harness.Node, lost: harness.LoopDisk) -> harness.LoopDisk:
    """A new disk that gets the device number of one that was lost."""
    serial = f"u{lost.serial[1:]}"
    image = node.directory / f"{serial}.img"
    with image.open("wb") as f:
        f.truncate(harness.DISK_BYTES)
    harness.tool("losetup", str(lost.device), str(image))
    (node.by_id / f"virtio-{serial}").symlink_to(lost.device)
    disk = harness.LoopDisk(serial=serial, image=image, device=lost.device)
    node.disks.append(disk)
    return disk


def with_device_file_in(
    directory: pathlib.Path, node: harness.Node, disk: harness.LoopDisk
) -> harness.LoopDisk:
    """*disk*, found by a device file of its own in *directory*."""
    file = directory / "vdb"
    os.mknod(file, stat.S_IFBLK | 0o600, disk.device.stat().st_rdev)
    link = node.by_id / f"virtio-{disk.serial}"
    link.unlink()
    link.symlink_to(file)
    return disk


def global_mount(node: harness.Node, name: str) -> pathlib.Path:
    """Where kubelet stages volume *name*."""
    return node.staging(f"plugins/kubernetes.io/csi/pv/{name}/globalmount")


async def test_a_lost_raw_volume_is_unstaged_without_touching_the_disk_that_has_its_number(
    node: harness.Node, own_dev: pathlib.Path
) -> None:
    lost = with_device_file_in(own_dev, node, node.add_disk(16 * MIB))
    await node.stage(lost, path=node.staging("raw"), block=True)
    lose(node, lost)
    other = attach_with_number_of(node, lost)
    staging = await node.stage(other, path=global_mount(node, "other"))

    await node.unstage(lost, node.staging("raw"))

    assert harness.mount_points_below(node.root) == [str(staging)]


async def test_a_lost_raw_volume_is_unstaged_while_the_disk_that_has_its_number_is_in_use(
    node: harness.Node, own_dev: pathlib.Path
) -> None:
    lost = with_device_file_in(own_dev, node, node.add_disk(16 * MIB))
    await node.stage(lost, path=node.staging("raw"), block=True)
    lose(node, lost)
    readers = attach_with_number_of(node, lost)
    staging = node.staging("readers")
    await node.stage(readers, path=staging, block=True, mode=harness.READERS)
    await node.publish(readers, staging=staging, block=True, mode=harness.READERS)

    await node.unstage(lost, node.staging("raw"))

    assert harness.tool("blockdev", "--getro", str(readers.device)).strip() == "1"


async def test_a_lost_raw_volume_does_not_grow_to_the_size_of_the_disk_that_has_its_number(
    node: harness.Node, own_dev: pathlib.Path
) -> None:
    lost = with_device_file_in(own_dev, node, node.add_disk(16 * MIB))
    staging = await node.stage(lost, block=True)
    lose(node, lost)
    attach_with_number_of(node, lost)

    with pytest.raises(errors.Unavailable, match="was taken away"):
        await node.expand(lost, staging, 32 * MIB)


async def test_a_lost_raw_volume_is_ill_whatever_has_its_number(
    node: harness.Node, own_dev: pathlib.Path
) -> None:
    lost = with_device_file_in(own_dev, node, node.add_disk(16 * MIB))
    staging = await node.stage(lost, block=True)
    target = await node.publish(lost, staging=staging, block=True)
    lose(node, lost)
    attach_with_number_of(node, lost)

    told = await node.stats(lost, target)

    assert told.volume_condition.abnormal
    assert "was detached" in told.volume_condition.message
    assert not told.usage
    await node.unpublish(lost, target)


async def test_a_raw_volume_that_came_back_as_another_device_is_staged_again(
    node: harness.Node, own_dev: pathlib.Path
) -> None:
    disk = with_device_file_in(own_dev, node, node.add_disk(16 * MIB))
    staging = await node.stage(disk, block=True)
    image, serial = disk.image, disk.serial
    lose(node, disk)
    attach_with_number_of(node, disk)
    disk = node.attach(image, serial)

    await node.stage(disk, block=True)

    assert (staging / disk.volume_id).stat().st_rdev == disk.device.stat().st_rdev
