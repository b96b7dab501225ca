"""Paths that come from requests, kept below a directory of ours."""

import os
import pathlib
import re
import stat

from core import errors
from host import mountinfo

_CONTROL = re.compile("[\x00-\x1f\x7f]")


def resolve_under(root: pathlib.Path, path: str, field: str) -> pathlib.Path:
    """*path* as a Path, strictly below *root*, both taken literally and after following symlinks.

    The last component may be missing, but must not be a symlink: we will mount on it.
    Raises InvalidField naming *field*: a relative path, `..`, or a way out by symlinks.
    """
    allowed = f"an absolute path below {root}"
    if _CONTROL.search(path):
        raise errors.InvalidField(field, "has control characters", value=path, allowed=allowed)
    if not path.startswith("/"):
        raise errors.InvalidField(field, "is not absolute", value=path, allowed=allowed)
    if ".." in path.split("/"):
        raise errors.InvalidField(field, "has '..' in it", value=path, allowed=allowed)
    literal = os.path.normpath("/" + path.lstrip("/"))
    parent, name = os.path.split(literal)
    real_root = os.path.realpath(root)
    real = os.path.join(os.path.realpath(parent), name)  # noqa: PTH118  # every call comes by here
    below = _is_below(literal, os.fspath(root)) or _is_below(literal, real_root)
    if not below or not _is_below(real, real_root):
        raise errors.InvalidField(
            field, "is not below the allowed directory", value=path, allowed=allowed
        )
    # A mount point is no link, and to look at one whose server is gone may take for ever.
    if not mountinfo.mounts_at(real) and _is_symlink(literal):
        raise errors.InvalidField(field, "is a symbolic link", value=path, allowed=allowed)
    return pathlib.Path(real)


def _is_below(path: str, directory: str) -> bool:
    """Whether *path* is strictly below *directory*; both are absolute and normal."""
    return path.startswith(directory if directory == "/" else f"{directory}/") and path != directory


def _is_symlink(path: str) -> bool:
    """Whether *path* is a symbolic link.

    An error means that what is mounted there is ill, as a file system that shut down answers EIO.
    A mount point is no link, and it must still be possible to unmount it.
    """
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        return False
