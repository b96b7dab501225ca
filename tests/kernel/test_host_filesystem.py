"""File systems on real loop devices: made, checked, grown, and never made over data."""

import fcntl
import hashlib
import os
import pathlib
import subprocess
import sys
import time

import pytest

from core import errors
from host import block, filesystem, loop, mountinfo, mounts, run

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices and mounts"),
]

MIB = 1 << 20
TYPES = ["ext4", "ext3", "xfs"]


@pytest.fixture
def image(tmp_path):
    file = tmp_path / "disk.img"
    with file.open("wb") as f:
        f.truncate(400 * MIB)
    return file


@pytest.fixture
def device(image):
    made = loop.attach(image)
    yield made
    loop.detach(made)
    assert loop.find(image) is None


@pytest.fixture
def mount_point(tmp_path, device):
    made = tmp_path / "mnt"
    made.mkdir()
    yield made
    mounts.ensure_unmounted(made)


def digest(image):
    with image.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


@pytest.mark.parametrize("fs_type", TYPES)
def test_a_file_system_is_made_mounted_and_recognised(device, mount_point, fs_type):
    assert filesystem.probe(device).empty

    filesystem.make(device, fs_type)
    filesystem.check(device, fs_type)
    mounts.mount(device, mount_point, fs_type=fs_type, options=["noatime"])
    (mount_point / "file").write_text("data")

    assert filesystem.probe(device).fs_type == fs_type
    assert not filesystem.needs_resize(device, mount_point, fs_type)


@pytest.mark.parametrize("fs_type", TYPES)
def test_nothing_is_ever_made_over_something(device, image, fs_type):
    filesystem.make(device, "ext4")
    os.sync()
    before = digest(image)

    with pytest.raises(filesystem.NotEmpty, match="has ext4 on it and is not formatted"):
        filesystem.make(device, fs_type)

    assert digest(image) == before


def test_a_partition_table_counts_as_something(device):
    run.run(["sfdisk", str(device)], timeout_s=30, stdin=b"label: gpt\n,,\n")

    with pytest.raises(filesystem.NotEmpty, match="gpt partition table"):
        filesystem.make(device, "ext4")


def wipe_start(device):
    with device.open("r+b", buffering=0) as f:
        f.write(bytes(4096))
    subprocess.run(["blockdev", "--flushbufs", str(device)], check=True)


def test_a_partition_table_that_lost_its_first_half_counts_as_something(device, image):
    run.run(["sfdisk", str(device)], timeout_s=30, stdin=b"label: gpt\n,,\n")
    wipe_start(device)
    before = digest(image)
    assert filesystem.probe(device).empty

    with pytest.raises(errors.Precondition, match="a damaged gpt"):
        filesystem.make(device, "ext4")

    assert digest(image) == before


@pytest.mark.parametrize("fs_type", TYPES)
def test_a_file_system_that_blkid_does_not_believe_counts_as_something(
    device, image, tmp_path, monkeypatch, fs_type
):
    filesystem.make(device, fs_type)
    os.sync()
    before = digest(image)
    # What blkid of util-linux 2.39 and later says of a superblock with a wrong checksum.
    stub = tmp_path / "bin/blkid"
    stub.parent.mkdir()
    stub.write_text("#!/bin/sh\nexit 2\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}:{os.environ['PATH']}")

    with pytest.raises(errors.Precondition, match=f"a damaged {fs_type}"):
        filesystem.make(device, fs_type)

    assert digest(image) == before


def test_two_signatures_are_never_taken_for_one_or_none(device, image):
    filesystem.make(device, "ext4", ["-F"])
    with image.open("r+b") as f:  # an XFS magic in the boot block, which ext4 leaves alone
        f.write(b"XFSB")
    subprocess.run(["blockdev", "--flushbufs", str(device)], check=True)

    try:
        found = filesystem.probe(device)
    except filesystem.SeveralSignatures:
        return
    assert not found.empty


def test_an_unreadable_device_is_not_an_empty_one(tmp_path):
    with pytest.raises(errors.Unavailable, match="cannot be opened"):
        filesystem.probe(tmp_path / "missing")
    regular = tmp_path / "file"
    regular.write_bytes(b"")
    with pytest.raises(errors.Precondition, match="not a block device"):
        filesystem.probe(regular)


def test_xfs_grows_while_it_is_mounted_and_again_changes_nothing(device, image, mount_point):
    filesystem.make(device, "xfs")
    mounts.mount(device, mount_point, fs_type="xfs")
    before = os.statvfs(mount_point).f_blocks
    with image.open("r+b") as f:
        f.truncate(700 * MIB)
    loop.refresh_capacity(device)

    assert block.size_bytes(device) == 700 * MIB
    assert filesystem.needs_resize(device, mount_point, "xfs")
    for _ in range(2):
        filesystem.resize(device, mount_point, "xfs")

    assert not filesystem.needs_resize(device, mount_point, "xfs")
    assert os.statvfs(mount_point).f_blocks > before


def test_errors_that_need_a_person_are_told_and_not_repaired(device, image):
    filesystem.make(device, "ext4")
    os.sync()
    with image.open("r+b") as f:
        f.seek(1024 + 0x28)  # s_inodes_per_group: no longer fits the rest
        f.write(b"\xff\xff\xff\x7f")
    subprocess.run(["blockdev", "--flushbufs", str(device)], check=True)

    with pytest.raises(errors.Error, match="e2fsck"):
        filesystem.check(device, "ext4")


def test_a_read_only_bind_cannot_be_written(tmp_path, device, mount_point):
    filesystem.make(device, "ext4")
    mounts.mount(device, mount_point, fs_type="ext4")
    target = tmp_path / "target"
    target.mkdir()

    mounts.bind(mount_point, target, read_only=True)
    try:
        with pytest.raises(OSError, match="Read-only"):
            (target / "file").write_text("x")
        (mount_point / "file").write_text("x")
    finally:
        mounts.ensure_unmounted(target)

    assert not mounts.is_mount_point(target)


def test_binds_come_and_go_without_a_command_and_are_never_seen_writable(
    tmp_path, device, mount_point, monkeypatch
):
    filesystem.make(device, "ext4")
    mounts.mount(device, mount_point, fs_type="ext4")
    target = tmp_path / "target"
    target.mkdir()

    with monkeypatch.context() as without_commands:
        without_commands.setattr(run, "run", None)
        mounts.bind(mount_point, target, read_only=True, options=["noexec", "nosuid"])
        there = mountinfo.mounts_at(target)
        mounts.unmount(target)

    assert [{"ro", "noexec", "nosuid"} <= set(row.options) for row in there] == [True]
    assert not mounts.is_mount_point(target)
    assert mounts.is_mount_point(mount_point)


def test_a_bind_by_mount8_is_read_only_although_its_caller_was_killed(
    tmp_path, device, mount_point
):
    """An option that only mount(8) knows; mount(8) is stopped here while its caller is killed."""
    filesystem.make(device, "ext4")
    mounts.mount(device, mount_point, fs_type="ext4")
    target = tmp_path / "target"
    target.mkdir()
    wrapper, ended = tmp_path / "mount", tmp_path / "mount.ended"
    wrapper.write_text(
        "#!/bin/sh\nkill -9 $(cat $0.caller)\n"
        f'{pathlib.Path("/usr/bin/mount").resolve()} "$@"\ntouch {ended}\n'
    )
    wrapper.chmod(0o700)
    code = (
        "import os, pathlib; from host import mounts\n"
        f"pathlib.Path('{wrapper}.caller').write_text(str(os.getpid()))\n"
        f"mounts.bind('{mount_point}', '{target}', read_only=True, options=['noatime'])"
    )
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    killed = subprocess.run([sys.executable, "-c", code], env=env, check=False)
    try:
        while not ended.exists():
            time.sleep(0.01)  # mount(8) is on its own now; pytest's time limit bounds this
        assert killed.returncode == -9
        with pytest.raises(OSError, match="Read-only"):
            (target / "file").write_text("x")
    finally:
        mounts.ensure_unmounted(target)


def test_a_mount_in_use_is_busy_and_stays(device, mount_point):
    filesystem.make(device, "ext4")
    mounts.mount(device, mount_point, fs_type="ext4")

    with (mount_point / "open").open("w"), pytest.raises(errors.Busy, match="in use"):
        mounts.unmount(mount_point)

    assert mounts.is_mount_point(mount_point)
    mounts.unmount(mount_point)
    mounts.unmount(mount_point)  # again: nothing there is fine


def test_a_hanging_unmount_is_forced_and_returns(tmp_path, device, mount_point, monkeypatch):
    """A umount that never ends, as on a lost server: ours gives up on it and detaches lazily."""
    filesystem.make(device, "ext4")
    mounts.mount(device, mount_point, fs_type="ext4")
    real = pathlib.Path("/usr/bin/umount").resolve()
    wrapper = tmp_path / "umount"
    wrapper.write_text(
        f'#!/bin/sh\ncase " $* " in *" -l "*) exec {real} "$@";; *) sleep 60;; esac\n'
    )
    wrapper.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(mounts, "_FORCE_TIMEOUT_S", 0.3)

    mounts.unmount(mount_point, timeout_s=0.3)

    assert not mounts.is_mount_point(mount_point)


def test_the_last_partition_grows_with_its_disk(device, image):
    run.run(["sfdisk", str(device)], timeout_s=30, stdin=b"label: dos\n,,\n")
    subprocess.run(["partx", "--add", str(device)], check=False, capture_output=True)
    try:
        partition = block.partitions(device)[0]
        before = block.size_bytes(partition)
        with image.open("r+b") as f:
            f.truncate(600 * MIB)
        loop.refresh_capacity(device)
        for _ in range(2):
            block.grow_partition(device, partition)
        assert block.size_bytes(partition) == before + 200 * MIB
    finally:
        subprocess.run(["partx", "--delete", str(device)], check=False, capture_output=True)


def test_a_sysfs_setting_is_written_and_a_way_out_is_refused(device):
    block.set_sysfs(device, "queue/read_ahead_kb", "256")

    shown = pathlib.Path(f"/sys/dev/block/{block.device_number(device)}/queue/read_ahead_kb")
    assert shown.read_text().strip() == "256"
    for key in ("../../kernel/x", "queue/../../x", "/etc/passwd", "no/such"):
        with pytest.raises(errors.InvalidField, match="sysConfig"):
            block.set_sysfs(device, key, "1")
    with pytest.raises(errors.InvalidField, match="refused by the kernel"):
        block.set_sysfs(device, "queue/read_ahead_kb", "lots")


@pytest.mark.parametrize("good_bytes", [0, 4096, 64 << 10])
def test_a_device_that_cannot_be_read_is_not_called_empty(device, image, good_bytes):
    filesystem.make(device, "ext4")
    run.run(["blockdev", "--flushbufs", str(device)], timeout_s=10)
    # Its end is in the page cache: a look at the first page and the last bytes would be content.
    with device.open("rb") as f:
        f.seek(-MIB, os.SEEK_END)
        f.read()
        os.truncate(image, good_bytes)  # the kernel answers EIO for what the file no longer has
        with pytest.raises(errors.Unavailable, match="cannot be read"):
            filesystem.probe(device)
        with pytest.raises(errors.Unavailable, match="cannot be read"):
            filesystem.make(device, "ext4")


def test_a_partition_is_not_grown_while_somebody_else_holds_the_device(device, monkeypatch):
    monkeypatch.setattr(block, "_LOCK_WAIT_S", 0.3)
    with device.open("rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)

        with pytest.raises(errors.Busy, match="locked by another process"):
            block.grow_partition(device, 1)
