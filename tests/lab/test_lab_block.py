"""What tests of LVM and of device faults stand on: device-mapper, LVM and LUKS on loop devices."""

import pathlib
import uuid

import pytest

from tests.support.machine import run
from tests.support.volume_group import SECTOR_BYTES, VolumeGroup, loop_device, mapped, sectors

MIB = 1 << 20
GROW = {"ext4": "resize2fs", "xfs": "xfs_growfs"}
MKFS = {"ext4": ("mkfs.ext4", "-q"), "xfs": ("mkfs.xfs", "-q")}


def test_linear_and_error_targets_make_a_disk_with_a_bad_sector(tmp_path: pathlib.Path) -> None:
    with loop_device(tmp_path, 8) as device:
        table = f"0 2048 linear {device} 0\n2048 8 error\n2056 2048 linear {device} 2056"
        with mapped(table) as mapping, pathlib.Path(mapping).open("rb", buffering=0) as disk:
            assert sectors(mapping) == 4104
            assert disk.read(4096) == bytes(4096)
            disk.seek(2048 * SECTOR_BYTES)
            with pytest.raises(OSError, match="Input/output error"):
                disk.read(4096)


def test_a_snapshot_target_keeps_what_the_origin_was(tmp_path: pathlib.Path) -> None:
    with loop_device(tmp_path, 8) as device, loop_device(tmp_path, 4) as changes:
        size = sectors(device)
        with (
            mapped(f"0 {size} snapshot-origin {device}") as origin,
            mapped(f"0 {size} snapshot {device} {changes} P 8") as snapshot,
        ):
            write(origin, b"new")

            assert read(origin, 3) == b"new"
            assert read(snapshot, 3) == bytes(3)


@pytest.mark.parametrize(
    "target",
    ["mirror core 2 64 nosync 2 {0} 0 {1} 0", "raid raid1 3 0 region_size 64 2 - {0} - {1}"],
    ids=["mirror", "raid1"],
)
def test_a_mirrored_device_writes_both_halves(target: str, tmp_path: pathlib.Path) -> None:
    with loop_device(tmp_path, 8) as one, loop_device(tmp_path, 8) as two:
        with mapped(f"0 {sectors(one)} {target.format(one, two)}") as mirror:
            write(mirror, b"both")

        assert read(one, 4) == read(two, 4) == b"both"


@pytest.mark.parametrize("fs_type", GROW)
def test_a_file_system_on_a_logical_volume_grows_while_mounted(
    fs_type: str, volume_group: VolumeGroup, tmp_path: pathlib.Path
) -> None:
    size_mib, more_mib = (64, 64) if fs_type == "ext4" else (300, 100)
    device = volume_group.create("data", "--size", f"{size_mib}m")
    run(*MKFS[fs_type], device)
    target = tmp_path / "target"
    target.mkdir()
    run("mount", device, target)
    (target / "file").write_text("kept")
    before_mib = total_mib(target)

    run("lvextend", "-qq", "--size", f"+{more_mib}m", device)
    run(GROW[fs_type], device if fs_type == "ext4" else target)

    assert int(volume_group.report("data", "lv_size")) == (size_mib + more_mib) * MIB
    assert total_mib(target) > before_mib + more_mib * 0.8
    assert (target / "file").read_text() == "kept"


def test_a_snapshot_of_a_logical_volume_can_be_merged_back(
    volume_group: VolumeGroup, tmp_path: pathlib.Path
) -> None:
    device = volume_group.create("data", "--size", "16m")
    write(device, b"old")
    run("lvcreate", "-qq", "--snapshot", "--size", "8m", "-n", "was", f"{volume_group.name}/data")
    write(device, b"new")
    assert read(volume_group.path("was"), 3) == b"old"

    run("lvconvert", "-qq", "--merge", f"{volume_group.name}/was", timeout_s=60)

    assert read(device, 3) == b"old"


def test_a_thin_volume_is_larger_than_its_pool_and_has_snapshots(volume_group: VolumeGroup) -> None:
    volume_group.create("pool", "--type", "thin-pool", "--size", "64m")
    device = volume_group.create("thin", "--thinpool", "pool", "--virtualsize", "1g")
    write(device, b"old")
    run(
        "lvcreate",
        "-qq",
        "-n",
        "was",
        "--setactivationskip",
        "n",
        "-s",
        f"{volume_group.name}/thin",
    )
    write(device, b"new")

    assert sectors(device) == 2 * MIB
    assert read(volume_group.path("was"), 3) == b"old"
    assert 0 < float(volume_group.report("pool", "data_percent")) < 10


@pytest.mark.parametrize("kind", [("striped", "-i2"), ("raid1", "-m1")], ids=["striped", "raid1"])
def test_a_logical_volume_may_lie_on_two_disks(
    kind: tuple[str, str], volume_group: VolumeGroup
) -> None:
    device = volume_group.create("data", "--type", *kind, "--size", "16m")
    write(device, b"there")

    assert read(device, 5) == b"there"
    assert volume_group.report("data", "segtype") == kind[0]
    assert int(volume_group.report("data", "lv_size")) >= 16 * MIB


def test_a_full_volume_group_refuses(volume_group: VolumeGroup) -> None:
    with pytest.raises(AssertionError, match="insufficient free space"):
        volume_group.create("data", "--size", "1g")


def test_luks_shows_its_content_only_when_open(tmp_path: pathlib.Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"a key of the test")
    name = f"lab-{uuid.uuid4().hex[:8]}"
    with loop_device(tmp_path, 32) as device:
        weak = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")  # Argon2 takes a minute
        run("cryptsetup", "luksFormat", "--batch-mode", *weak, device, key, timeout_s=60)
        run("cryptsetup", "open", "--key-file", key, device, name, timeout_s=60)
        write(f"/dev/mapper/{name}", b"secret words")
        assert read(f"/dev/mapper/{name}", 12) == b"secret words"
        run("cryptsetup", "close", name)

        assert b"secret words" not in pathlib.Path(device).read_bytes()


def write(device: str, data: bytes) -> None:
    """Put *data* at the start of *device*."""
    run("sh", "-c", f"printf %s '{data.decode()}' | dd of={device} conv=fsync status=none")


def read(device: str, count: int) -> bytes:
    """The first *count* bytes of *device*."""
    with pathlib.Path(device).open("rb", buffering=0) as disk:
        return disk.read(4096)[:count]


def total_mib(path: pathlib.Path) -> float:
    """The size of the file system that *path* is on."""
    return int(run("stat", "-f", "-c", "%b", path)) * int(run("stat", "-f", "-c", "%S", path)) / MIB
