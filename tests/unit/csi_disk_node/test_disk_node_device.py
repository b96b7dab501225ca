"""From serial number to device, and what to do with what is on it."""

import datetime
import pathlib

import pytest

from core import call, errors, executor
from csi import node_options
from csi.disk.node import device, node_settings
from csi.node import device_content, device_state
from host import filesystem, mountinfo

EXT4, EXT3, XFS = node_options.FsType.EXT4, node_options.FsType.EXT3, node_options.FsType.XFS
DISK = device.Disk(path=pathlib.Path("/dev/vdb"), number="253:16")
SOURCE = device_content.Source(path=DISK.path, number=DISK.number)


def probe(fs_type: str | None = None, partition_table: str | None = None) -> filesystem.Probe:
    return filesystem.Probe(fs_type=fs_type, partition_table=partition_table, label="", uuid="")


class JumpingClock:
    """Sleeping takes no time; *on_sleep* happens meanwhile."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.appears_at_s: float | None = None
        self.appear = lambda: None

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.now_s += delay_s
        if self.appears_at_s is not None and self.now_s >= self.appears_at_s:
            self.appear()
            self.appears_at_s = None


class FoundDevices(device.Devices):
    """Finds *disk* once it is there."""

    def __init__(self, settings: node_settings.NodeSettings, time: JumpingClock) -> None:
        super().__init__(settings, executor.BoundedExecutor("test", 1), time)
        self.disk: device.Disk | None = None
        self.looks = 0

    def find(self, serial: str) -> device.Disk | None:
        self.looks += 1
        return self.disk

    def arrive(self) -> None:
        self.disk = DISK


@pytest.fixture
def time() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def devices(tmp_path: pathlib.Path, time: JumpingClock) -> FoundDevices:
    return FoundDevices(node_settings.NodeSettings(kubelet_root=tmp_path), time)


async def test_a_device_that_appears_after_three_seconds_is_found(
    devices: FoundDevices, time: JumpingClock
) -> None:
    time.appears_at_s, time.appear = 3.0, devices.arrive

    assert await devices.wait("d-1", "1") == DISK
    assert time.now_s == 3.0


async def test_a_device_that_is_there_is_found_without_waiting(
    devices: FoundDevices, time: JumpingClock
) -> None:
    devices.arrive()

    await devices.wait("d-1", "1")

    assert (time.now_s, devices.looks) == (0.0, 1)


async def test_waiting_for_a_device_ends_after_ten_seconds(
    devices: FoundDevices, time: JumpingClock
) -> None:
    with pytest.raises(device.DeviceMissing, match=r"serial number 1 .*attached"):
        await devices.wait("d-1", "1")

    assert time.now_s == 10.0


async def test_waiting_for_a_device_ends_with_the_callers_time(
    devices: FoundDevices, time: JumpingClock
) -> None:
    call.enter(call.Call(call_id="c", method="m", deadline_s=0.0))

    with pytest.raises(device.DeviceMissing):
        await devices.wait("d-1", "1")

    assert time.now_s == 0.0


async def test_a_device_cannot_be_found_without_serial_number(devices: FoundDevices) -> None:
    with pytest.raises(errors.Precondition, match="ControllerPublishVolume"):
        await devices.wait("v", "")


def test_a_device_that_changed_under_our_hands_is_noticed(devices: FoundDevices) -> None:
    devices.disk = device.Disk(path=DISK.path, number="253:32")

    with pytest.raises(errors.Unavailable, match="changed"):
        devices.confirm(DISK, "1")


@pytest.mark.parametrize(
    ("found", "wanted", "fs_type"),
    [
        (probe(), None, "ext4"),
        (probe(), XFS, "xfs"),
        (probe(partition_table="atari"), EXT3, "ext3"),
    ],
)
def test_an_empty_device_gets_a_file_system(
    found: filesystem.Probe, wanted: node_options.FsType | None, fs_type: str
) -> None:
    content = device_content.choose_content(
        SOURCE, found, wanted, default=EXT4, read_only=False, unfinished=False
    )

    assert (content.fs_type, content.make) == (fs_type, True)
    assert content.over == (None if found.empty else found)


@pytest.mark.parametrize(
    ("found", "wanted", "fs_type"),
    [
        ("ext4", EXT4, "ext4"),
        ("xfs", XFS, "xfs"),
        ("xfs", None, "xfs"),
        ("ext3", None, "ext3"),
        ("ext3", EXT4, "ext4"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_device_with_the_wanted_file_system_is_mounted(
    *, found: str, wanted: node_options.FsType | None, fs_type: str, read_only: bool
) -> None:
    content = device_content.choose_content(
        SOURCE, probe(found), wanted, default=EXT4, read_only=read_only, unfinished=False
    )

    assert content == device_content.Content(fs_type=fs_type, make=False)


@pytest.mark.parametrize("wanted", [None, EXT4, EXT3, XFS])
@pytest.mark.parametrize(
    "found",
    [
        probe("LVM2_member"),
        probe("crypto_LUKS"),
        probe("ext2"),
        probe(partition_table="gpt"),
        probe(partition_table="dos"),
        probe("btrfs", "atari"),
    ],
    ids=str,
)
def test_a_device_with_anything_else_is_never_made_or_mounted(
    found: filesystem.Probe, wanted: node_options.FsType | None
) -> None:
    with pytest.raises(errors.Precondition, match="intact"):
        device_content.choose_content(
            SOURCE, found, wanted, default=EXT4, read_only=False, unfinished=False
        )


@pytest.mark.parametrize("unfinished", [False, True])
def test_nothing_is_made_for_readers(*, unfinished: bool) -> None:
    found = probe("xfs") if unfinished else probe()

    with pytest.raises(errors.Precondition, match="read-only"):
        device_content.choose_content(
            SOURCE, found, XFS, default=EXT4, read_only=True, unfinished=unfinished
        )


def partition(number: int, fs_type: str | None) -> tuple[pathlib.Path, str, filesystem.Probe]:
    return pathlib.Path(f"/dev/vdb{number}"), f"253:{16 + number}", probe(fs_type)


def test_the_only_partition_is_used_when_it_holds_the_file_system() -> None:
    source = device.choose_source(DISK, probe(partition_table="gpt"), [partition(1, "ext4")])

    assert source == device_content.Source(
        path=pathlib.Path("/dev/vdb1"), number="253:17", partition=1
    )


@pytest.mark.parametrize(
    ("whole", "partitions", "why"),
    [
        (probe(partition_table="gpt"), [partition(1, None)], "holds no file system"),
        (probe("ext4"), [partition(1, "ext4")], "both"),
        (probe(partition_table="gpt"), [partition(1, "ext4"), partition(2, None)], "more than one"),
    ],
)
def test_other_partitioned_disks_are_refused(
    whole: filesystem.Probe,
    partitions: list[tuple[pathlib.Path, str, filesystem.Probe]],
    why: str,
) -> None:
    with pytest.raises(errors.Precondition, match=f"{why}.*nothing was changed"):
        device.choose_source(DISK, whole, partitions)


@pytest.mark.parametrize(
    ("mount_point", "refused"),
    [
        ("/var/lib/kubelet", True),
        ("/", True),
        ("/var/lib", True),
        ("/var/lib/kubelet/pods/x", False),
        ("/var/lib/kubelet2", False),
        ("/data", False),
    ],
)
def test_the_disk_that_carries_kubelets_directory_is_never_used(
    *, mount_point: str, refused: bool
) -> None:
    table = mountinfo.parse(f"30 1 253:17 / {mount_point} rw - ext4 /dev/vdb1 rw\n")
    root = pathlib.Path("/var/lib/kubelet")

    if refused:
        with pytest.raises(device.SystemDevice, match="never used"):
            device.check_not_system(DISK, ["253:16", "253:17"], table, root)
    else:
        device.check_not_system(DISK, ["253:16", "253:17"], table, root)


def test_other_disks_at_kubelets_directory_do_not_matter() -> None:
    table = mountinfo.parse("30 1 253:1 / /var/lib/kubelet rw - ext4 /dev/vda1 rw\n")

    device.check_not_system(DISK, [DISK.number], table, pathlib.Path("/var/lib/kubelet"))


@pytest.mark.parametrize(
    ("head", "unfinished"),
    [
        (b"XFSB" + bytes(122) + b"\x01" + bytes(100), True),
        (b"XFSB" + bytes(122) + b"\x00" + bytes(100), False),
        (bytes(126) + b"\x01", False),
        (b"XFSB", False),
        (b"", False),
    ],
)
def test_an_unfinished_xfs_is_told_by_its_super_block(
    *, tmp_path: pathlib.Path, head: bytes, unfinished: bool
) -> None:
    image = tmp_path / "image"
    image.write_bytes(head)

    assert device_state.is_unfinished_xfs(image) is unfinished


@pytest.mark.parametrize(
    ("now", "deleted", "lost"),
    [
        pytest.param("bp1own", True, False, id="it came back with its number"),
        pytest.param("bp1own", False, False, id="it never left"),
        pytest.param("bp1other", False, True, id="another has its number"),
        pytest.param("bp1other", True, True, id="another has its number, and a file of its own"),
        pytest.param("", True, True, id="nobody tells whose number it is, and the file is gone"),
        pytest.param("", False, False, id="nobody tells whose number it is"),
    ],
)
def test_a_raw_volume_is_lost_when_its_number_is_not_its_own_any_more(
    devices: FoundDevices, monkeypatch: pytest.MonkeyPatch, *, now: str, deleted: bool, lost: bool
) -> None:
    monkeypatch.setattr(device.block, "device_number", lambda _path: DISK.number)
    monkeypatch.setattr(devices, "_kernel_serial", lambda _number: now)
    root = "/vdb//deleted" if deleted else "/vdb"
    (file,) = mountinfo.parse(f"30 1 0:5 {root} /pods/raw rw - devtmpfs udev rw\n")

    assert devices.is_lost(file, "d-bp1own") is lost
