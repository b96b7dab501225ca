"""Which disks may be made a volume group or a Device volume: those that hold nothing at all."""

import os
import pathlib
import struct
from collections.abc import Callable

import pytest

from csi.lvm.stores import blank_disks
from host import block_content
from tests.support.machine import run
from tests.support.volume_group import loop_device

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices"),
]
SIZE_MIB = 64
MIB = 1 << 20
ZFS_UBERBLOCK = struct.pack("<Q", 0x00BAB10C)
MDRAID = struct.pack("<I", 0xA92B4EFC)


def put(device: str, text: bytes, at: int) -> None:
    """Write *text*; at: from the start, negative from the end."""
    with pathlib.Path(device).open("r+b") as disk:
        disk.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
        disk.write(text)


SIGNS: dict[str, Callable[[str], object]] = {
    "ext4": lambda device: run("mkfs.ext4", "-q", device),
    "xfs": lambda device: put(device, b"XFSB", 0),
    "swap": lambda device: run("mkswap", device),
    "partition table": lambda device: run("sh", "-ec", f"echo label:gpt | sfdisk -q {device}"),
    "empty MBR": lambda device: put(device, b"\x55\xaa", 510),
    "LUKS": lambda device: put(device, b"LUKS\xba\xbe\x00\x02", 0),
    "LVM": lambda device: put(device, b"LABELONE" + bytes(16) + b"LVM2 001", 512),
    "mdraid 1.2": lambda device: put(device, MDRAID, 4096),
    "mdraid 1.0": lambda device: put(device, MDRAID, -8192),
    "ZFS": lambda device: put(device, ZFS_UBERBLOCK, 128 * 1024),
    "ZFS at the end": lambda device: put(device, ZFS_UBERBLOCK, -(512 - 128) * 1024),
    "bcache": lambda device: put(device, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81"), 4120),
    "a database's own": lambda device: put(device, b"x", 3 * MIB),
    "the last byte": lambda device: put(device, b"x", -1),
}


@pytest.mark.parametrize("sign", SIGNS)
def test_a_disk_with_any_sign_is_not_blank(tmp_path: pathlib.Path, sign: str) -> None:
    with loop_device(tmp_path, SIZE_MIB) as device:
        disk = pathlib.Path(device)
        assert blank_disks.why_not_blank(disk) == ""

        SIGNS[sign](device)

        assert blank_disks.why_not_blank(disk) != ""


def test_a_disk_that_somebody_holds_is_not_blank(tmp_path: pathlib.Path) -> None:
    with loop_device(tmp_path, SIZE_MIB) as device:
        with block_content.claimed(pathlib.Path(device)):
            assert blank_disks.why_not_blank(pathlib.Path(device)) == "is in use"
        assert blank_disks.why_not_blank(pathlib.Path(device)) == ""


def test_a_disk_that_a_pod_has_raw_is_not_blank(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "raw"
    target.touch()
    with loop_device(tmp_path, SIZE_MIB) as device:
        run("mount", "--bind", device, target)
        try:
            assert blank_disks.why_not_blank(pathlib.Path(device)) == "is in use"
        finally:
            run("umount", target)
        assert blank_disks.why_not_blank(pathlib.Path(device)) == ""
