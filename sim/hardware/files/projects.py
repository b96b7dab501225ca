"""Project quotas of XFS by ioctl and quotactl: tag directories, set limits, list them.

XFS, because there a project quota holds for root too, as a NAS's holds for every client. Source of
numbers and layouts: include/uapi/linux/fs.h, dqblk_xfs.h, quota.h.
"""

import ctypes
import dataclasses
import errno
import fcntl
import os
import pathlib
import stat
import struct
from collections.abc import Container, Iterator

_GETXATTR, _SETXATTR = 0x801C581F, 0x401C5820
_FSXATTR = struct.Struct("=5I8s")
_PROJINHERIT = 0x200
_FLAGS_AT, _PROJECT_AT = 0, 3
"""Indices in struct fsxattr."""
_PRJQUOTA = 2
_SETQLIM, _GETNEXTQUOTA = ((0x58 << 8 | number) << 8 | _PRJQUOTA for number in (4, 9))
_DISK_QUOTA = struct.Struct("=2bHI6Q2i2H4b3QiHh8s")
_VERSION, _PROJ_QUOTA = 1, 2
_IHARD, _BHARD = 1 << 1, 1 << 3
_BLOCK = 512
"""Unit of block limits."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """0 = not limited. file_count: the directory itself included."""

    size_bytes: int
    file_count: int


def tag(directory: int, project: int, but: Container[int]) -> None:
    """Put an open directory and all below it into a project, new things first. Raises OSError.

    but: inodes of directories that are left out, with all below them.
    """
    _tag_one(directory, project)
    for _, folders, names, here in os.fwalk(dir_fd=directory):
        mine = [name for name in folders if _inode(name, here) not in but]
        folders[:] = [name for name in mine if _tag_named(name, here, project)]
        for name in names:
            _tag_named(name, here, project)


def set_limit(device: pathlib.Path, project: int, limit: Limit) -> None:
    """Set the limits of a project. Raises OSError."""
    blocks = -(-limit.size_bytes // _BLOCK)
    values = [_VERSION, _PROJ_QUOTA, _IHARD | _BHARD, project, blocks, 0, limit.file_count]
    row = bytearray(_DISK_QUOTA.pack(*values, *[0] * 17, bytes(8)))
    _quotactl(_SETQLIM, device, project, row)


def limits(device: pathlib.Path) -> dict[int, Limit]:
    """Every project that has a limit. Raises OSError."""
    found = {}
    for row in _quotas(device):
        limit = Limit(size_bytes=row[4] * _BLOCK, file_count=row[6])
        if limit.size_bytes or limit.file_count:
            found[row[3]] = limit
    return found


def _quotas(device: pathlib.Path) -> Iterator[tuple[int, ...]]:
    project = 1
    while True:
        row = bytearray(_DISK_QUOTA.size)
        try:
            _quotactl(_GETNEXTQUOTA, device, project, row)
        except OSError as e:
            if e.errno in {errno.ENOENT, errno.ESRCH}:
                return
            raise
        values = _DISK_QUOTA.unpack(row)
        yield values
        project = values[3] + 1


def _quotactl(command: int, device: pathlib.Path, project: int, row: bytearray) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = (ctypes.c_char * len(row)).from_buffer(row)
    words = (ctypes.c_int(command), os.fsencode(device), ctypes.c_uint(project), buffer)
    if libc.quotactl(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"quotactl of project {project}: {os.strerror(number)}", str(device))


def _tag_named(name: str, here: int, project: int) -> bool:
    """Tag a file or directory; False for what went meanwhile or is something else."""
    try:
        mode = os.stat(name, dir_fd=here, follow_symlinks=False).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return False
        fd = os.open(name, _READ, dir_fd=here)
    except FileNotFoundError:
        return False
    try:
        _tag_one(fd, project)
    finally:
        os.close(fd)
    return True


def _tag_one(fd: int, project: int) -> None:
    values = _read(fd)
    inherit = _PROJINHERIT if stat.S_ISDIR(os.fstat(fd).st_mode) else 0
    if values[_PROJECT_AT] == project and values[_FLAGS_AT] & _PROJINHERIT == inherit:
        return
    values[_FLAGS_AT] |= inherit
    values[_PROJECT_AT] = project
    fcntl.ioctl(fd, _SETXATTR, _FSXATTR.pack(*values, bytes(8)))


def _read(fd: int) -> list[int]:
    """Struct fsxattr without its padding."""
    return list(_FSXATTR.unpack(fcntl.ioctl(fd, _GETXATTR, bytes(_FSXATTR.size))))[:-1]


def _inode(name: str, here: int) -> int:
    try:
        return os.stat(name, dir_fd=here, follow_symlinks=False).st_ino
    except FileNotFoundError:
        return 0
