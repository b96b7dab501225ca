"""Notes of ours on files and directories: extended attributes that only root sees and writes."""

import errno
import os
import pathlib

from core import errors

_PREFIX = "trusted."


def read(path: pathlib.Path, name: str) -> str:
    """The note *name* on *path*, "" = none, or nothing is there. Follows no symbolic link."""
    return _read(path, name, follow_symlinks=False)


def read_open(fd: int, name: str) -> str:
    """The note *name* on the open file or directory *fd*, "" = none."""
    return _read(fd, name, follow_symlinks=True)


def _read(where: pathlib.Path | int, name: str, *, follow_symlinks: bool) -> str:
    try:
        told = os.getxattr(where, _PREFIX + name, follow_symlinks=follow_symlinks)
    except OSError as e:
        if e.errno in (errno.ENODATA, errno.ENOENT, errno.ENOTDIR, errno.EOPNOTSUPP):
            return ""
        raise
    return told.decode(errors="replace")


def write(path: pathlib.Path, name: str, text: str, *, only_new: bool = False) -> None:
    """Put note *name* on *path*. only_new: raises Exists when there is one, in one step."""
    flags = os.XATTR_CREATE if only_new else 0
    try:
        os.setxattr(path, _PREFIX + name, text.encode(), flags, follow_symlinks=False)
    except FileExistsError as e:
        raise errors.Exists(f"{path} has note {name} already") from e
    except OSError as e:
        if e.errno == errno.EOPNOTSUPP:
            raise errors.Precondition(f"{path}: its file system has no extended attributes") from e
        raise


def remove(path: pathlib.Path, name: str) -> None:
    """Take note *name* off *path*; none is fine."""
    try:
        os.removexattr(path, _PREFIX + name, follow_symlinks=False)
    except OSError as e:
        if e.errno not in (errno.ENODATA, errno.ENOENT):
            raise
