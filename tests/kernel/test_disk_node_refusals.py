"""What the node refuses, and that a refusal changes nothing: above all no disk with data."""

import asyncio
import errno
import os
import pathlib
import subprocess
from collections.abc import AsyncIterator

import pytest

from core import errors
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


@pytest.mark.parametrize(
    ("make", "asked", "found"),
    [
        (["mkfs.xfs", "-q"], "ext4", "xfs"),
        (["mkfs.ext4", "-q"], "xfs", "ext4"),
        (["mkfs.ext4", "-q"], "ext3", "ext4"),
        (["mkfs.ext2", "-q"], "ext4", "ext2"),
        (["mkswap"], "ext4", "swap"),
        (["mkswap"], "", "swap"),
    ],
    ids=lambda told: "-".join(told) if isinstance(told, list) else told,
)
async def test_a_disk_with_other_data_is_refused_and_not_touched(
    node: harness.Node, make: list[str], asked: str, found: str
) -> None:
    disk = node.add_disk()
    harness.tool(*make, str(disk.device))
    before = disk.checksum()

    with pytest.raises(errors.Precondition, match=f"holds {found}.*intact"):
        await node.stage(disk, fs_type=asked)

    assert disk.checksum() == before
    assert harness.mount_points_below(node.root) == []


async def test_a_partitioned_disk_without_a_file_system_is_refused_and_not_touched(
    node: harness.Node,
) -> None:
    disk = node.add_disk()
    table = bytearray(512)
    table[446:462] = b"\0\xfe\xff\xff\x83\xfe\xff\xff\0\x08\0\0\0\0\x01\0"
    table[510:512] = b"\x55\xaa"
    disk.device.write_bytes(table)
    harness.tool("partx", "-u", str(disk.device))
    before = disk.checksum()

    with pytest.raises(errors.Precondition, match="partition"):
        await node.stage(disk)

    assert disk.checksum() == before


async def test_a_partitioned_disk_is_refused_when_partitions_are_not_to_be_used(
    node: harness.Node,
) -> None:
    node.restart(accept_partition=False)
    disk = node.add_disk()
    table = bytearray(512)
    table[0x1C2:0x1C6] = (disk.image.stat().st_size // 512).to_bytes(4, "big")
    table[0x1C6:0x1D2] = b"\x01LNX" + (2).to_bytes(4, "big") + (2048).to_bytes(4, "big")
    disk.device.write_bytes(table)
    harness.tool("partx", "--add", "--nr", "1", str(disk.device))
    before = disk.checksum()

    with pytest.raises(errors.Precondition, match="DISK_PARTITION_ENABLE"):
        await node.stage(disk)

    assert disk.checksum() == before


@pytest.mark.parametrize("block_bytes", [1024, 2048, 4096])
async def test_files_that_lost_their_superblock_are_not_formatted_away(
    node: harness.Node, block_bytes: int
) -> None:
    disk = node.add_disk()
    harness.tool("mkfs.ext4", "-q", "-b", str(block_bytes), str(disk.device))
    with harness.mounted(disk.device, node.directory / "mnt") as directory:
        (directory / "precious").write_text("data")
    _zero_start(disk)
    before = disk.checksum()

    with pytest.raises(errors.Precondition, match="e2fsck -b") as caught:
        await node.stage(disk, fs_type="ext4")

    assert disk.checksum() == before
    await _stage_after_the_remedy(node, disk, str(caught.value))


async def test_a_top_directory_that_cannot_be_read_is_not_one_without_files(
    node: harness.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = node.add_disk()
    harness.tool("mkfs.ext4", "-q", "-b", "4096", str(disk.device))
    _zero_start(disk)
    before = disk.checksum()
    blind = node.directory / "bin/debugfs"
    blind.parent.mkdir()
    blind.write_text("#!/bin/sh\n")
    blind.chmod(0o755)
    monkeypatch.setenv("PATH", f"{blind.parent}:{os.environ['PATH']}")
    usual, bad = os.pread, 64 * MIB + 4096

    def pread(fd: int, size: int, offset: int) -> bytes:
        """As the kernel does it: what is before the bad byte is told, and no error."""
        if offset == bad:
            raise OSError(errno.EIO, "Input/output error")
        return usual(fd, min(size, bad - offset) if offset < bad else size, offset)

    monkeypatch.setattr(os, "pread", pread)

    with pytest.raises(errors.Unavailable, match="cannot be read"):
        await node.stage(disk, fs_type="ext4")

    assert disk.checksum() == before


async def test_an_xfs_that_lost_its_superblock_is_not_formatted_away(node: harness.Node) -> None:
    disk = node.add_disk()
    harness.tool("mkfs.xfs", "-q", str(disk.device))
    _zero_start(disk)
    before = disk.checksum()

    with pytest.raises(errors.Precondition, match="xfs_repair") as caught:
        await node.stage(disk, fs_type="xfs")

    assert disk.checksum() == before
    await _stage_after_the_remedy(node, disk, str(caught.value))


async def _stage_after_the_remedy(node: harness.Node, disk: harness.LoopDisk, message: str) -> None:
    """Do what *message* tells to do when the data can go; then the disk is an empty one."""
    command = message[message.index("`dd ") + 1 :].split("`", maxsplit=1)[0]
    harness.tool(*command.split(), "conv=notrunc")

    path = await node.stage(disk)

    (path / "file").write_text("works")


@pytest.mark.parametrize("block_bytes", [1024, 4096])
async def test_a_file_system_without_files_and_superblock_is_made_anew(
    node: harness.Node, block_bytes: int
) -> None:
    disk = node.add_disk()
    harness.tool("mkfs.ext4", "-q", "-b", str(block_bytes), str(disk.device))
    _zero_start(disk)

    path = await node.stage(disk, fs_type="ext4")

    (path / "file").write_text("works")


def _zero_start(disk: harness.LoopDisk) -> None:
    with disk.device.open("r+b", buffering=0) as f:
        f.write(bytes(4096))


async def test_an_empty_disk_is_not_formatted_for_readers(node: harness.Node) -> None:
    disk = node.add_disk()
    before = disk.checksum()

    with pytest.raises(errors.Precondition, match="read-only"):
        await node.stage(disk, mode=harness.READERS)

    assert disk.checksum() == before


async def test_an_empty_disk_is_not_formatted_by_a_publish(node: harness.Node) -> None:
    disk = node.add_disk()
    before = disk.checksum()

    with pytest.raises(errors.Precondition, match="never staged"):
        await node.publish(disk)

    assert disk.checksum() == before
    assert not (node.root / "target").exists()


async def test_staging_as_block_what_is_staged_as_a_file_system_is_refused(
    node: harness.Node,
) -> None:
    disk = node.add_disk()
    await node.stage(disk)

    with pytest.raises(errors.Exists, match="file system"):
        await node.stage(disk, block=True)

    await node.unstage(disk)
    await node.stage(disk, block=True)
    with pytest.raises(errors.Exists, match="raw block"):
        await node.stage(disk)


@pytest.mark.parametrize("block_first", [False, True])
async def test_a_disk_is_not_a_file_system_and_a_writable_device_at_once(
    node: harness.Node, block_first: bool
) -> None:
    disk = node.add_disk()
    await node.stage(disk)
    await node.unstage(disk)
    await node.stage(disk, path=node.staging("first"), block=block_first)

    with pytest.raises(errors.Exists, match="first"):
        await node.stage(disk, path=node.staging("second"), block=not block_first)

    await node.unstage(disk, node.staging("first"))
    await node.stage(disk, path=node.staging("second"), block=not block_first)


async def test_a_disk_that_the_node_itself_has_mounted_is_no_raw_device(
    node: harness.Node,
) -> None:
    disk = node.add_disk()
    harness.tool("mkfs.ext4", "-q", str(disk.device))

    with (
        harness.mounted(disk.device, node.directory / "mnt"),
        pytest.raises(errors.Exists, match="mnt"),
    ):
        await node.stage(disk, block=True)


async def test_readers_may_have_a_disk_as_file_system_and_as_device(node: harness.Node) -> None:
    disk = node.add_disk()
    await node.stage(disk)
    await node.unstage(disk)
    await node.stage(disk, path=node.staging("first"), mode=harness.READERS)

    await node.stage(disk, path=node.staging("second"), block=True, mode=harness.READERS)


async def test_a_path_with_another_disk_is_refused(node: harness.Node) -> None:
    mine, other = node.add_disk(), node.add_disk()
    await node.stage(mine)
    target = await node.publish(mine)

    with pytest.raises(errors.Exists, match="device"):
        await node.stage(other)
    with pytest.raises(errors.Exists, match="another device"):
        await node.publish(other)
    with pytest.raises(errors.Precondition, match="unstage it"):
        await node.publish(other, "elsewhere")

    assert not (node.root / "elsewhere").exists()
    assert harness.mount_points_below(node.root) == [str(node.staging()), str(target)]


async def test_serial_numbers_that_begin_alike_name_different_disks(node: harness.Node) -> None:
    longer = node.add_disk(serial="tserial1ab")
    await node.stage(longer, path=node.staging("longer"))
    (node.staging("longer") / "mine").touch()

    shorter = node.add_disk(serial="tserial1a")
    await node.stage(shorter, path=node.staging("shorter"))

    assert not (node.staging("shorter") / "mine").exists()


async def test_a_directory_with_files_is_never_removed(node: harness.Node) -> None:
    disk = node.add_disk()
    target = node.root / "target"
    target.mkdir()
    (target / "precious").write_text("data")

    with pytest.raises(errors.Precondition, match="has files in it"):
        await node.unpublish(disk, target)

    assert (target / "precious").read_text() == "data"


async def test_a_file_with_content_is_never_removed(node: harness.Node) -> None:
    disk = node.add_disk()
    target = node.root / "target"
    target.write_text("data")

    with pytest.raises(errors.Precondition, match="not an empty directory or file"):
        await node.unpublish(disk, target)

    assert target.read_text() == "data"


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "link/target", ""])
async def test_targets_outside_of_kubelets_directory_are_refused(
    node: harness.Node, name: str
) -> None:
    disk = node.add_disk()
    outside = node.directory / "outside"
    outside.mkdir()
    (node.root / "link").symlink_to(outside)
    await node.stage(disk)

    with pytest.raises(errors.InvalidField, match="target_path"):
        await node.publish(disk, name)
    with pytest.raises(errors.InvalidField, match="target_path"):
        await node.unpublish(disk, node.root / name)
    with pytest.raises(errors.InvalidField, match="staging_target_path"):
        await node.unstage(disk, node.root / name)

    assert list(outside.iterdir()) == []
    assert harness.mount_points_below(node.directory) == [str(node.staging())]


async def test_of_two_calls_at_once_for_one_volume_one_is_busy(node: harness.Node) -> None:
    disk = node.add_disk()

    outcomes = await asyncio.gather(
        node.stage(disk), node.stage(disk), node.unstage(disk), return_exceptions=True
    )

    assert [type(o) for o in outcomes[1:]] == [errors.Busy, errors.Busy]
    assert outcomes[0] == node.staging()


async def test_a_mounted_system_disk_is_never_used(node: harness.Node) -> None:
    disk = node.add_disk()
    harness.tool("mkfs.ext4", "-q", str(disk.device))
    harness.tool("mount", str(disk.device), str(node.root))
    try:
        with pytest.raises(errors.Precondition, match="never used for a volume"):
            await node.stage(disk)
    finally:
        harness.tool("umount", str(node.root))


async def test_a_device_in_use_by_another_program_is_busy(node: harness.Node) -> None:
    disk = node.add_disk()
    claimed = os.open(disk.device, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(errors.Busy, match="another program"):
            await node.stage(disk)
    finally:
        os.close(claimed)

    await node.stage(disk)


async def test_expanding_before_the_disk_has_grown_is_busy(node: harness.Node) -> None:
    disk = node.add_disk()
    staging = await node.stage(disk)

    with pytest.raises(errors.Busy, match="fewer than"):
        await node.expand(disk, staging, harness.DISK_BYTES + 1)


@pytest.mark.parametrize("path", ["some/path", "/nowhere/at/all", "{root}/empty"])
async def test_stats_and_expand_where_no_volume_is_are_not_found(
    node: harness.Node, path: str
) -> None:
    disk = node.add_disk()
    (node.root / "empty").mkdir()
    path = path.format(root=node.root)

    with pytest.raises(errors.NotFound):
        await node.stats(disk, path)
    with pytest.raises(errors.NotFound):
        await node.expand(disk, path, 0)


async def test_a_file_system_that_went_read_only_after_an_error_is_abnormal(
    node: harness.Node,
) -> None:
    disk = node.add_disk()
    staging = await node.stage(disk, flags=["errors=remount-ro"])
    pathlib.Path(f"/sys/fs/ext4/{disk.device.name}/trigger_fs_error").write_text("1")

    condition = (await node.stats(disk, staging)).volume_condition

    assert condition.abnormal
    assert "stopped accepting writes" in condition.message


async def test_a_file_system_that_shut_down_is_abnormal(node: harness.Node) -> None:
    disk = node.add_disk()
    staging = await node.stage(disk, fs_type="xfs")
    subprocess.run(["xfs_io", "-x", "-c", "shutdown", str(staging)], check=True)

    condition = (await node.stats(disk, staging)).volume_condition

    assert condition.abnormal
    assert "cannot be read" in condition.message
    await node.unstage(disk, staging)
    assert harness.mount_points_below(node.root) == []


async def test_a_vanished_device_is_abnormal(node: harness.Node) -> None:
    disk = node.add_disk()
    staging = await node.stage(disk)
    empty = node.directory / "sys"
    empty.mkdir()
    node.restart(sysfs=empty)

    condition = (await node.stats(disk, staging)).volume_condition

    assert condition.abnormal
    assert "gone" in condition.message


async def test_a_reader_only_block_device_refuses_writes_until_it_is_staged_for_writing(
    node: harness.Node,
) -> None:
    disk = node.add_disk(16 * MIB)
    await node.stage(disk, block=True, mode=harness.READERS)
    target = await node.publish(disk, block=True, mode=harness.READERS)

    with (
        pytest.raises(OSError, match="not permitted"),
        target.open("r+b", buffering=0) as f,
    ):
        f.write(b"x" * 512)
    await node.unpublish(disk, target)
    await node.unstage(disk)
    await node.stage(disk, block=True)
    target = await node.publish(disk, block=True)

    with target.open("r+b", buffering=0) as f:
        assert f.write(b"x" * 512) == 512


async def test_a_link_to_a_disk_that_calls_itself_otherwise_is_not_followed(
    node: harness.Node,
) -> None:
    disk = node.add_disk()
    number = f"{os.major(disk.device.stat().st_rdev)}:{os.minor(disk.device.stat().st_rdev)}"
    entry = node.directory / "sys/dev/block" / number
    entry.mkdir(parents=True)
    (entry / "serial").write_text("another\n")
    servicer = node.restart(sysfs=node.directory / "sys")

    assert servicer._devices.find(disk.serial) is None

    (entry / "serial").write_text(disk.serial[:20] + "\n")
    assert servicer._devices.find(disk.serial) is not None


async def test_a_disk_whose_link_leads_elsewhere_is_found_by_what_the_kernel_says(
    node: harness.Node,
) -> None:
    wrong, right = node.add_disk(), node.add_disk()
    numbers = {}
    for disk, told in ((wrong, "another"), (right, right.serial)):
        rdev = disk.device.stat().st_rdev
        numbers[disk.serial] = f"{os.major(rdev)}:{os.minor(rdev)}"
        for entry in (f"dev/block/{numbers[disk.serial]}", f"block/{disk.device.name}"):
            (node.directory / "sys" / entry).mkdir(parents=True)
            (node.directory / "sys" / entry / "serial").write_text(f"{told}\n")
    link = node.by_id / f"virtio-{right.serial}"
    link.unlink()
    link.symlink_to(wrong.device)
    servicer = node.restart(sysfs=node.directory / "sys")

    found = servicer._devices.find(right.serial)

    assert found is not None
    assert (found.path, found.number) == (right.device, numbers[right.serial])
