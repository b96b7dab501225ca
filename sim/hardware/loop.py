"""Loop devices by ioctl: bind a file, grow, flush, free, find.

Not here: which file, when, and the by-id links (linux.py). Source of numbers and layouts:
include/uapi/linux/loop.h and fs.h. Needs LOOP_CONFIGURE, Linux 5.8.
"""

import contextlib
import errno
import fcntl
import os
import pathlib
import struct
from collections.abc import Iterator

_LOOP_CLR_FD = 0x4C01
_LOOP_SET_STATUS64 = 0x4C04
_LOOP_GET_STATUS64 = 0x4C05
_LOOP_SET_CAPACITY = 0x4C07
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CTL_GET_FREE = 0x4C82
_BLKFLSBUF = 0x1261

_AUTOCLEAR = 4
"""LO_FLAGS_AUTOCLEAR: the kernel sets it when a busy device is asked to go."""
_FLAGS_AT = 52
"""Offset of lo_flags in struct loop_info64."""
_PARTSCAN = 8
"""LO_FLAGS_PARTSCAN: a real disk shows its partitions too."""

_INFO64 = struct.Struct("=5Q4I64s64s32s2Q")
_CONFIG_HEAD = struct.Struct("=2I")
_CONFIG_TAIL = bytes(64)
_BIND_ATTEMPTS = 16
"""LOOP_CTL_GET_FREE only suggests a device; another process may take it first."""


@contextlib.contextmanager
def _opened(path: pathlib.Path, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def backing_file(device: pathlib.Path, *, sysfs: pathlib.Path) -> str:
    """Path of the file behind *device* as the kernel prints it, "" when the device is free."""
    try:
        return (sysfs / "block" / device.name / "loop" / "backing_file").read_text().rstrip("\n")
    except OSError:
        return ""


def bound_under(directory: pathlib.Path, *, sysfs: pathlib.Path) -> dict[str, pathlib.Path]:
    """Loop devices whose backing file lies directly in *directory*: file name → device."""
    found = {}
    for entry in (sysfs / "block").glob("loop*"):
        text = backing_file(pathlib.Path("/dev") / entry.name, sysfs=sysfs)
        path = pathlib.Path(text.removesuffix(" (deleted)"))
        if text and path.parent == directory:
            found[path.name] = pathlib.Path("/dev") / entry.name
    return found


def bind(image: pathlib.Path) -> pathlib.Path:
    """Bind *image* to a free loop device, read-write, buffered, with partitions; the device.

    Raises OSError; EBUSY when no free device could be won in 16 tries.
    """
    info = _INFO64.pack(
        *(0, 0, 0, 0, 0, 0, 0, 0, _PARTSCAN), os.fsencode(image)[-63:], b"", b"", 0, 0
    )
    with (
        _opened(image, os.O_RDWR) as backing,
        _opened(pathlib.Path("/dev/loop-control"), os.O_RDWR) as control,
    ):
        config = _CONFIG_HEAD.pack(backing, 0) + info + _CONFIG_TAIL
        for _ in range(_BIND_ATTEMPTS):
            device = pathlib.Path(f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}")
            try:
                with _opened(device, os.O_RDWR) as fd:
                    fcntl.ioctl(fd, _LOOP_CONFIGURE, config)
            except OSError as e:
                if e.errno not in {errno.EBUSY, errno.ENXIO, errno.ENOENT}:
                    raise
            else:
                return device
    raise OSError(errno.EBUSY, "no free loop device", str(image))


def free(device: pathlib.Path) -> None:
    """Ask the kernel to unbind *device*.

    The kernel answers success at once for a device that is mounted or open and frees it at the
    last close, so the caller looks at backing_file to learn the outcome. A free device is fine.
    """
    try:
        with _opened(device, os.O_RDONLY) as fd:
            fcntl.ioctl(fd, _LOOP_CLR_FD)
    except OSError as e:
        if e.errno not in {errno.ENXIO, errno.ENOENT}:
            raise


def keep(device: pathlib.Path) -> None:
    """Take back a free() that waits for the last close, so that *device* stays. Raises OSError."""
    with _opened(device, os.O_RDWR) as fd:
        info = bytearray(_INFO64.size)
        fcntl.ioctl(fd, _LOOP_GET_STATUS64, info)
        flags = struct.unpack_from("=I", info, _FLAGS_AT)[0]
        if flags & _AUTOCLEAR:
            struct.pack_into("=I", info, _FLAGS_AT, flags & ~_AUTOCLEAR)
            fcntl.ioctl(fd, _LOOP_SET_STATUS64, bytes(info))


def refresh_capacity(device: pathlib.Path) -> None:
    """Make *device* as long as its file is now. Raises OSError."""
    with _opened(device, os.O_RDWR) as fd:
        fcntl.ioctl(fd, _LOOP_SET_CAPACITY)


def flush(device: pathlib.Path) -> None:
    """Write what the file system on *device* and the device's cache hold to the backing file.

    BLKFLSBUF syncs a mounted file system too (block/ioctl.c, blkdev_flushbuf). Raises OSError.
    """
    with _opened(device, os.O_RDONLY) as fd:
        fcntl.ioctl(fd, _BLKFLSBUF)
