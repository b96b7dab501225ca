"""Project quotas of XFS and ext4: what is below a directory may take so many bytes.

The project of a directory is set by ioctl, its limit by setquota(8), which knows both file systems.
Source: <linux/fs.h>, struct fsxattr; ext4(5) and xfs(5), prjquota.
"""

import fcntl
import os
import pathlib
import struct

from core import errors
from host import mountinfo, run

_GET, _SET = 0x801C581F, 0x401C5820
_FSXATTR = struct.Struct("=5I8s")
_PROJINHERIT = 0x200
_QUOTA_OPTIONS = frozenset({"prjquota", "pquota"})
_TIMEOUT_S = 30.0
_KIB = 1024


def project_of(directory: pathlib.Path) -> int:
    """Number of the project that *directory* belongs to, 0 = none."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return _read(fd)[3]
    finally:
        os.close(fd)


def set_project(directory: pathlib.Path, project: int) -> None:
    """Have *directory*, and whatever is made in it, belong to *project*."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        flags, extent, count, _, cow, rest = _read(fd)
        told = _FSXATTR.pack(flags | _PROJINHERIT, extent, count, project, cow, rest)
        fcntl.ioctl(fd, _SET, told)
    except OSError as e:
        raise errors.Precondition(f"{directory} can have no project: {e.strerror}") from e
    finally:
        os.close(fd)


def mount_of(directory: pathlib.Path) -> mountinfo.Mount:
    """The mount that *directory* is in, which has project quotas. Raises Precondition."""
    number = directory.stat().st_dev
    name = f"{os.major(number)}:{os.minor(number)}"
    for mount in mountinfo.mounts_of(name):
        inside = directory.is_relative_to(mount.mount_point)
        if inside and _QUOTA_OPTIONS.intersection((*mount.options, *mount.super_options)):
            return mount
    raise errors.Precondition(
        f"{directory} is in no file system that is mounted with prjquota; mount it so"
    )


def set_limit(directory: pathlib.Path, project: int, limit_bytes: int) -> None:
    """Let *project* take at most *limit_bytes* in the file system of *directory*; 0 = no limit."""
    mount_point = mount_of(directory).mount_point
    blocks = str(-(-limit_bytes // _KIB))
    argv = ["setquota", "-P", str(project), "0", blocks, "0", "0", "--", mount_point]
    run.run(argv, timeout_s=_TIMEOUT_S)


def _read(fd: int) -> tuple[int, int, int, int, int, bytes]:
    told = fcntl.ioctl(fd, _GET, bytes(_FSXATTR.size))
    flags, extent, count, project, cow, rest = _FSXATTR.unpack(told)
    return flags, extent, count, project, cow, rest
