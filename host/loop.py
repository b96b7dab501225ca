"""Loop devices: a file as a block device."""

import fcntl
import os
import pathlib
import struct

from core import errors
from host import run

_TIMEOUT_S = 30.0
_GET_STATUS, _STATUS_BYTES = 0x4C05, 232
"""LOOP_GET_STATUS64 and struct loop_info64 of <linux/loop.h>."""


def attach(file: pathlib.Path) -> pathlib.Path:
    """The loop device of *file*, made when there is none. The kernel chooses the number."""
    there = find(file)
    if there is not None:
        return there
    if not file.is_file():
        raise errors.Precondition(f"{file} is not a file")
    result = run.run(["losetup", "--find", "--show", "--", str(file)], timeout_s=_TIMEOUT_S)
    return pathlib.Path(result.stdout.strip())


def detach(device: pathlib.Path) -> None:
    """Free *device*; a free one is fine. One in use is freed by the kernel at its last close."""
    if _backing_file(device.name) is None:
        return
    run.run(["losetup", "--detach", str(device)], timeout_s=_TIMEOUT_S)


def refresh_capacity(device: pathlib.Path) -> None:
    """Let *device* have the size its file has now."""
    run.run(["losetup", "--set-capacity", str(device)], timeout_s=_TIMEOUT_S)


def find(file: pathlib.Path) -> pathlib.Path | None:
    """The loop device of *file*, None when there is none.

    By inode: the path that the kernel tells is cut short once the container is gone that made it.
    """
    try:
        there = file.stat()
    except FileNotFoundError:
        return None
    wanted = (os.major(there.st_dev), os.minor(there.st_dev), there.st_ino)
    for entry in sorted(pathlib.Path("/sys/block").glob("loop*")):
        device = pathlib.Path("/dev") / entry.name
        if _backing_file(entry.name) is not None and _backing_inode(device) == wanted:
            return device
    return None


def _backing_inode(device: pathlib.Path) -> tuple[int, int, int] | None:
    """Major and minor number and inode of the file behind *device*; None when it is free now."""
    try:
        fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        told = fcntl.ioctl(fd, _GET_STATUS, bytes(_STATUS_BYTES))
    except OSError:
        return None
    finally:
        os.close(fd)
    number, inode = struct.unpack_from("=QQ", told)
    return (number >> 8) & 0xFFF, (number & 0xFF) | ((number >> 12) & 0xFFF00), inode


def _backing_file(name: str) -> str | None:
    try:
        return pathlib.Path(f"/sys/block/{name}/loop/backing_file").read_text().rstrip("\n")
    except OSError:
        return None
