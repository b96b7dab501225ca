"""Disk image files: sparse create, grow, and copies that cost only what is written.

Not here: loop devices. All functions raise OSError.
"""

import contextlib
import errno
import fcntl
import os
import pathlib

GIB = 1 << 30
_FICLONE = 0x40049409
"""_IOW(0x94, 9, int), include/uapi/linux/fs.h: share all blocks (btrfs, xfs with reflink)."""


def create(image: pathlib.Path, size_bytes: int) -> None:
    """Make an empty sparse file of *size_bytes*; an existing one is replaced. Appears whole."""
    partial = image.with_suffix(".partial")
    with partial.open("wb") as file:
        file.truncate(size_bytes)
    partial.replace(image)


def grow(image: pathlib.Path, size_bytes: int) -> None:
    """Make *image* at least *size_bytes* long; never shortens it."""
    with image.open("r+b") as file:
        if os.fstat(file.fileno()).st_size < size_bytes:
            file.truncate(size_bytes)


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy *source* to *target* keeping holes: shared blocks where the file system can.

    An existing target is replaced. The target appears whole or not at all.
    """
    partial = target.with_suffix(".partial")
    with source.open("rb") as reading, partial.open("wb") as writing:
        try:
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
        except OSError as e:
            if e.errno not in {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY}:
                raise
            _copy_extents(reading.fileno(), writing.fileno())
    partial.replace(target)


def _copy_extents(source: int, target: int) -> None:
    """Copy the data extents one by one; SEEK_DATA sees unwritten page cache on ext4 and xfs."""
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    position = 0
    while position < size:
        try:
            start = os.lseek(source, position, os.SEEK_DATA)
        except OSError as e:
            if e.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        position = os.lseek(source, start, os.SEEK_HOLE)
        _copy_range(source, target, start, position)


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        done = os.copy_file_range(source, target, end - start, start, start)
        if done == 0:  # the file became shorter under us; nothing more to read
            return
        start += done


def remove(image: pathlib.Path) -> None:
    """Delete *image* if it is there."""
    with contextlib.suppress(FileNotFoundError):
        image.unlink()
