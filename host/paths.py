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
    literal = pathlib.Path(os.path.normpath("/" + path.lstrip("/")))
    real_root = pathlib.Path(os.path.realpath(root))
    real_parent = pathlib.Path(os.path.realpath(literal.parent))
    real = real_parent / literal.name
    below = any(r in literal.parents for r in (root, real_root))
    if not below or real_root not in real.parents:
        raise errors.InvalidField(
            field, "is not below the allowed directory", value=path, allowed=allowed
        )
    # A mount point is no link, and to look at one whose server is gone may take for ever.
    if not mountinfo.mounts_at(real) and _is_symlink(literal):
        raise errors.InvalidField(field, "is a symbolic link", value=path, allowed=allowed)
    return real


def _is_symlink(path: pathlib.Path) -> bool:
    """Whether *path* is a symbolic link.

    An error means that what is mounted there is ill, as a file system that shut down answers EIO.
    A mount point is no link, and it must still be possible to unmount it.
    """
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except OSError:
        return False
