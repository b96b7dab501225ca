import pathlib

import pytest

from core import errors
from host import block, cgroup


def test_a_serial_number_that_is_part_of_a_longer_one_is_another_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(block, "is_block_device", lambda path: pathlib.Path(path).is_symlink())
    for name in ("virtio-bp1abcdef", "scsi-0Alibaba_bp1abc", "virtio-bp1ab-part1"):
        (tmp_path / name).symlink_to(f"/dev/{name}")

    def find(serial):
        found = block.find_device(serial, by_id_dir=tmp_path, sysfs=tmp_path / "sys")
        return found and found.name

    assert find("bp1abcdef") == "virtio-bp1abcdef"
    assert find("bp1abc") == "scsi-0Alibaba_bp1abc"
    assert find("bp1ab") is None


@pytest.mark.parametrize(
    ("stat", "sectors"),
    [("1 0 8 0 5 0 40 0 0 0 0", 40), ("1 0 8 0 5 0 40 0 0 0 0 2 0 16 0 0 0", 56)],
)
def test_old_kernels_do_not_tell_what_was_discarded(tmp_path, monkeypatch, stat, sectors):
    monkeypatch.setattr(block, "_SYS_DEV_BLOCK", tmp_path)
    monkeypatch.setattr(block, "device_number", lambda _: "253:16")
    (tmp_path / "253:16").mkdir()
    (tmp_path / "253:16/stat").write_text(f" {stat}\n")

    assert block.written_sectors("/dev/vdb") == sectors


def test_a_disk_is_told_from_one_that_had_its_number_before(tmp_path, monkeypatch):
    monkeypatch.setattr(block, "_SYS_DEV_BLOCK", tmp_path)
    monkeypatch.setattr(block, "device_number", lambda path: "253:16" if path == "d" else "253:17")
    (tmp_path / "vdb/vdb1").mkdir(parents=True)
    (tmp_path / "vdb/vdb1/partition").write_text("1\n")
    (tmp_path / "253:16").symlink_to("vdb")
    (tmp_path / "253:17").symlink_to("vdb/vdb1")

    assert (block.instance("d"), block.instance("p")) == ("253:16", "253:17")
    (tmp_path / "vdb/diskseq").write_text("9\n")
    assert (block.instance("d"), block.instance("p")) == ("253:16 9", "253:17 9")


@pytest.mark.parametrize("serial", ["", "../sda", "a/b"])
def test_a_serial_number_is_no_path(serial, tmp_path):
    with pytest.raises(errors.InvalidField, match="serialNumber"):
        block.find_device(serial, by_id_dir=tmp_path, sysfs=tmp_path)


@pytest.mark.parametrize(
    ("pod", "unified"),
    [
        ("blkio/kubepods/burstable/podu-1", False),
        ("blkio/kubepods.slice/kubepods-podu_1.slice", False),
        ("kubepods/besteffort/podu-1", True),
        ("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podu_1.slice", True),
    ],
)
def test_io_limits_are_written_where_the_kernel_reads_them(tmp_path, pod, unified):
    (tmp_path / pod).mkdir(parents=True)
    if unified:
        (tmp_path / "cgroup.controllers").touch()

    limits = cgroup.IoLimits(read_iops=100, write_bps=1048576)
    cgroup.set_io_limits("u-1", "7:0", limits, root=tmp_path)

    written = {f.name: f.read_text() for f in (tmp_path / pod).iterdir()}
    assert written == (
        {"io.max": "7:0 wbps=1048576 riops=100\n"}
        if unified
        else {
            "blkio.throttle.read_iops_device": "7:0 100\n",
            "blkio.throttle.write_bps_device": "7:0 1048576\n",
        }
    )


def test_a_pod_without_a_cgroup_is_told(tmp_path):
    with pytest.raises(errors.Precondition, match="no cgroup of pod u-1"):
        cgroup.set_io_limits("u-1", "7:0", cgroup.IoLimits(read_iops=1), root=tmp_path)


@pytest.mark.parametrize(("columns", "expected"), [(11, 7), (15, 7 + 14), (17, 7 + 14)])
def test_what_was_written_is_told_by_old_kernels_too(columns, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(block, "_SYS_DEV_BLOCK", tmp_path)
    monkeypatch.setattr(block, "device_number", lambda _path: "253:16")
    (tmp_path / "253:16").mkdir()
    told = " ".join(str(n) for n in range(1, columns + 1))
    (tmp_path / "253:16/stat").write_text(f"{told}\n")

    assert block.written_sectors("/dev/vdb") == expected
