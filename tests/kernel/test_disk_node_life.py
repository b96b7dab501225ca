"""The whole life of a volume on a node, on real loop devices and the running kernel."""

import errno
import os
import pathlib
import uuid
from collections.abc import AsyncIterator

import pytest

from core import errors
from csi._pb import csi_pb2
from csi.node import disk_mark, grow
from tests.support.doubled import doubled
from tests.unit.csi_disk_node import disk_node_harness as harness

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices and mounts"),
]
MIB = harness.MIB
BLKIO = pathlib.Path("/sys/fs/cgroup/blkio")


@pytest.fixture
async def node(tmp_path: pathlib.Path) -> AsyncIterator[harness.Node]:
    node = harness.Node(tmp_path)
    yield node
    await node.close()
    assert harness.mount_points_below(tmp_path) == []


@pytest.mark.parametrize("fs_type", ["ext4", "ext3", "xfs"])
async def test_file_system_volume_lives_a_whole_life_with_every_call_twice(
    node: harness.Node, fs_type: str
) -> None:
    disk = node.add_disk()

    await node.stage(disk, fs_type=fs_type)
    node.restart()
    staging = await node.stage(disk, fs_type=fs_type)
    await node.publish(disk, fs_type=fs_type)
    node.restart()
    target = await node.publish(disk, fs_type=fs_type)
    (target / "file").write_text("kept")
    before = await node.stats(disk, target)
    disk.grow(2 * harness.DISK_BYTES)
    if fs_type == "xfs" or grow.may_grow_ext():
        for path in (target, staging):
            assert await node.expand(disk, path, 2 * harness.DISK_BYTES) == 2 * harness.DISK_BYTES
        assert (await node.stats(disk, target)).usage[0].total > 1.8 * before.usage[0].total
    else:
        with pytest.raises(grow.CannotGrowMounted, match="CAP_SYS_RESOURCE"):
            await node.expand(disk, target, 2 * harness.DISK_BYTES)

    assert f" {fs_type} " in _mount_line(target)
    assert not before.volume_condition.abnormal
    assert [u.unit for u in before.usage] == [
        csi_pb2.VolumeUsage.BYTES,
        csi_pb2.VolumeUsage.INODES,
    ]
    for _ in range(2):
        await node.unpublish(disk, target)
        assert not target.exists()
    for _ in range(2):
        await node.unstage(disk)
        assert staging.is_dir()
    assert harness.mount_points_below(node.root) == []

    await node.stage(disk)
    again = await node.publish(disk, "again")
    assert (again / "file").read_text() == "kept"
    assert (await node.stats(disk, again)).usage[0].total > 1.8 * before.usage[0].total


async def test_block_volume_lives_a_whole_life_with_every_call_twice(node: harness.Node) -> None:
    disk = node.add_disk(16 * MIB)

    for _ in range(2):
        staging = await node.stage(disk, block=True)
        node.restart()
        target = await node.publish(disk, block=True)
    with target.open("r+b", buffering=0) as f:
        f.write(b"raw" * 100)
    stats = await node.stats(disk, target)
    staged_stats = await node.stats(disk, staging)
    disk.grow(32 * MIB)
    capacity_bytes = await node.expand(disk, target, 32 * MIB)

    assert disk.image.read_bytes().startswith(b"rawraw")
    assert (stats.usage[0].total, len(stats.usage)) == (16 * MIB, 1)
    assert staged_stats.usage[0].total == 16 * MIB
    assert capacity_bytes == 32 * MIB
    for _ in range(2):
        await node.unpublish(disk, target)
        await node.unstage(disk)
    assert list(staging.iterdir()) == []
    assert not target.exists()


async def test_a_restored_larger_disk_is_grown_when_it_is_staged(node: harness.Node) -> None:
    disk = node.add_disk(64 * MIB)
    harness.tool("mkfs.ext4", "-q", str(disk.device))
    disk.grow(harness.DISK_BYTES)

    path = await node.stage(disk, fs_type="ext4")

    assert os.statvfs(path).f_blocks * os.statvfs(path).f_frsize > 256 * MIB


async def test_two_copies_of_one_xfs_disk_can_be_on_one_node(node: harness.Node) -> None:
    origin = node.add_disk()
    harness.tool("mkfs.xfs", "-q", str(origin.device))
    copy_image = node.directory / "copy.img"
    copy_image.write_bytes(origin.image.read_bytes())
    copy = node.attach(copy_image, "tcopy")

    await node.stage(origin, path=node.staging("a"), fs_type="xfs")
    await node.stage(copy, path=node.staging("b"), fs_type="xfs")

    assert len(harness.mount_points_below(node.root)) == 2


async def test_a_read_only_publish_refuses_writes_and_differs_from_a_writable_one(
    node: harness.Node,
) -> None:
    disk = node.add_disk()
    await node.stage(disk)
    target = await node.publish(disk, read_only=True)

    with pytest.raises(OSError, match="Read-only") as caught:
        (target / "file").touch()
    with pytest.raises(errors.Exists, match="read-only"):
        await node.publish(disk, read_only=False)

    assert caught.value.errno == errno.EROFS
    await node.publish(disk, read_only=True)
    writable = await node.publish(disk, "other")
    (writable / "file").touch()


async def test_a_volume_published_read_only_still_grows(node: harness.Node) -> None:
    disk = node.add_disk()
    await node.stage(disk, fs_type="xfs")
    target = await node.publish(disk, read_only=True)
    before = os.statvfs(target).f_blocks
    disk.grow(2 * harness.DISK_BYTES)

    await node.expand(disk, target, 2 * harness.DISK_BYTES)

    assert os.statvfs(target).f_blocks > 1.8 * before


async def test_a_reader_only_volume_is_mounted_without_a_write(node: harness.Node) -> None:
    disk = node.add_disk()
    harness.tool("mkfs.ext4", "-q", str(disk.device))
    before = disk.checksum()

    await node.stage(disk, mode=harness.READERS)
    target = await node.publish(disk, mode=harness.READERS)
    with pytest.raises(OSError, match="Read-only"):
        (target / "file").touch()
    await node.unpublish(disk, target)
    await node.unstage(disk)

    assert disk.checksum() == before


async def test_read_write_once_pod_allows_one_path_and_leaves_nothing_at_the_other(
    node: harness.Node,
) -> None:
    disk = node.add_disk()
    await node.stage(disk, mode=harness.ONLY_WRITER)
    await node.publish(disk, "first", mode=harness.ONLY_WRITER)
    node.restart()

    with pytest.raises(errors.Precondition, match="ReadWriteOncePod"):
        await node.publish(disk, "second", mode=harness.ONLY_WRITER)

    assert not (node.root / "second").exists()
    await node.publish(disk, "first", mode=harness.ONLY_WRITER)
    await node.unpublish(disk, node.root / "first")
    await node.publish(disk, "second", mode=harness.ONLY_WRITER)


@pytest.mark.parametrize("block", [False, True])
async def test_read_write_once_pod_counts_once_what_is_seen_at_two_paths(
    tmp_path: pathlib.Path, block: bool
) -> None:
    only = {"mode": harness.ONLY_WRITER, "block": block}
    with doubled(tmp_path / "kubelet"):
        node = harness.Node(tmp_path)
        disk = node.add_disk()
        try:
            for name in ("first", "first", "second"):
                await node.stage(disk, **only)
                target = await node.publish(disk, name, **only)
                with pytest.raises(errors.Precondition, match="ReadWriteOncePod"):
                    await node.publish(disk, "third", **only)
                await node.unpublish(disk, target)
                await node.unstage(disk)
        finally:
            await node.close()


async def test_read_write_once_pod_holds_for_block_volumes_too(node: harness.Node) -> None:
    disk = node.add_disk(16 * MIB)
    await node.stage(disk, mode=harness.ONLY_WRITER, block=True)
    await node.publish(disk, "first", mode=harness.ONLY_WRITER, block=True)

    with pytest.raises(errors.Precondition, match="ReadWriteOncePod"):
        await node.publish(disk, "second", mode=harness.ONLY_WRITER, block=True)

    assert not (node.root / "second").exists()


async def test_several_pods_of_a_node_share_a_single_node_volume(node: harness.Node) -> None:
    disk = node.add_disk()
    await node.stage(disk)

    first = await node.publish(disk, "first")
    second = await node.publish(disk, "second")
    (first / "file").write_text("seen")

    assert (second / "file").read_text() == "seen"
    with pytest.raises(errors.Busy, match="still published"):
        await node.unstage(disk)


async def test_mount_flags_reach_the_mount_and_different_ones_are_refused(
    node: harness.Node,
) -> None:
    disk = node.add_disk()
    await node.stage(disk, flags=["noatime", "discard"])
    target = await node.publish(disk, flags=["noatime", "discard"])

    assert "noatime" in _mount_line(target)
    assert "discard" in _mount_line(target)
    with pytest.raises(errors.Exists, match="noatime"):
        await node.stage(disk)


async def test_mkfs_options_of_the_storage_class_replace_the_defaults(node: harness.Node) -> None:
    disk = node.add_disk()

    await node.stage(disk, context={"mkfsOptions": "-F -m 0 -L named -I 512"})

    assert harness.tool("blkid", "-p", "-o", "value", "-s", "LABEL", str(disk.device)) == "named\n"


async def test_sys_config_is_written_to_the_device(node: harness.Node) -> None:
    disk = node.add_disk()
    key = pathlib.Path("/sys/block") / disk.device.name / "queue/read_ahead_kb"

    await node.stage(disk, context={"sysConfig": "queue/read_ahead_kb=256"})

    assert key.read_text() == "256\n"


@pytest.mark.skipif(not BLKIO.is_dir(), reason="cgroup v1 blkio is not mounted here")
async def test_io_limits_reach_the_pods_cgroup(node: harness.Node) -> None:
    disk = node.add_disk()
    uid = str(uuid.uuid4())
    pod = BLKIO / "kubepods" / f"pod{uid}"
    made = [d for d in (pod, pod.parent) if not d.exists()]
    pod.mkdir(parents=True)
    try:
        context = {"readIOPS": "100", "writeBPS": "1M", "csi.storage.k8s.io/pod.uid": uid}
        await node.publish(disk, staging=await node.stage(disk), context=context)
        limits = {
            name: (pod / f"blkio.throttle.{name}_device").read_text().split(" ")[-1].strip()
            for name in ("read_iops", "write_bps", "write_iops")
        }
    finally:
        for directory in made:
            directory.rmdir()

    assert limits == {"read_iops": "100", "write_bps": "1048576", "write_iops": ""}


async def test_the_device_is_marked_as_ours_while_it_is_attached(node: harness.Node) -> None:
    disk = node.add_disk()

    await node.stage(disk)

    assert disk_mark.managed_disk_id(disk.device) == disk.volume_id


async def test_a_disk_with_one_formatted_partition_is_used_and_grown(node: harness.Node) -> None:
    disk = node.add_disk()
    _partition(disk, [(2048, 310 * 2048)])
    disk.grow(4 * harness.DISK_BYTES)
    partition = pathlib.Path(f"{disk.device}p1")
    harness.tool("mkfs.xfs", "-q", str(partition))

    target = await node.publish(disk, staging=await node.stage(disk))
    before = os.statvfs(target).f_blocks
    await node.expand(disk, target, 4 * harness.DISK_BYTES)

    assert str(partition) in _mount_line(target)
    assert os.statvfs(target).f_blocks > 2 * before


async def test_kubelets_directory_may_be_a_symbolic_link(node: harness.Node) -> None:
    node.root.rename(node.directory / "real")
    node.root.symlink_to(node.directory / "real")
    disk = node.add_disk()
    await node.stage(disk, mode=harness.ONLY_WRITER)
    first = await node.publish(disk, "first", mode=harness.ONLY_WRITER)

    with pytest.raises(errors.Precondition, match="ReadWriteOncePod"):
        await node.publish(disk, "second", mode=harness.ONLY_WRITER)
    await node.unpublish(disk, first)
    await node.unstage(disk)

    assert harness.mount_points_below(node.directory) == []


async def test_random_bytes_that_look_like_an_atari_table_are_an_empty_disk(
    node: harness.Node,
) -> None:
    disk = node.add_disk()
    table = bytearray(512)
    table[0x1C2:0x1C6] = (disk.image.stat().st_size // 512).to_bytes(4, "big")
    table[0x1C6:0x1D2] = b"\x01LNX" + (2).to_bytes(4, "big") + (2048).to_bytes(4, "big")
    disk.device.write_bytes(table)
    probed = harness.tool("blkid", "-p", "-o", "export", str(disk.device))

    await node.stage(disk)

    assert "PTTYPE=atari" in probed
    assert "ext4" in _mount_line(node.staging())


def _partition(disk: harness.LoopDisk, extents: list[tuple[int, int]]) -> None:
    """Write an MBR with (first sector, sectors) each, and let the kernel read it."""
    table = bytearray(512)
    for i, (start, count) in enumerate(extents):
        at = 446 + 16 * i
        table[at : at + 16] = (
            b"\0\xfe\xff\xff\x83\xfe\xff\xff" + start.to_bytes(4, "little")
        ) + count.to_bytes(4, "little")
    table[510:512] = b"\x55\xaa"
    disk.device.write_bytes(table)
    harness.tool("partx", "-u", str(disk.device))


def _mount_line(path: pathlib.Path) -> str:
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split(" ")[4] == str(path):
            return line
    raise AssertionError(f"{path} is not mounted")
