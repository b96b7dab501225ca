"""The directory of records, logs and credentials: in memory, and one mounter's. Blocking."""

import fcntl
import os
import pathlib

import structlog

from core import errors
from host import mountinfo, mounts

log = structlog.get_logger()

_MEMORY = ("tmpfs", "ramfs")
_OPTIONS = ("mode=0700", "size=256m", "nosuid", "nodev", "noexec")
"""A volume takes a log of at most 1 MiB and a few kB; the kernel takes memory for what is used."""


def claim(work_dir: pathlib.Path) -> int:
    """Be the one mounter of *work_dir*; a descriptor that keeps it so. Raises Precondition."""
    held = os.open(work_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        os.close(held)
        raise errors.Precondition(
            f"another csi-mounter works in {work_dir}; end it, or choose another --work-dir"
        ) from e
    return held


def ensure(root: pathlib.Path) -> None:
    """Make *root*, and make it a tmpfs when it is on a disk: credentials must not reach one.

    Raises CommandFailed when it cannot be mounted.
    """
    root.mkdir(mode=0o700, exist_ok=True)
    above = (row for row in mountinfo.read() if root.is_relative_to(row.mount_point))
    if max(above, key=lambda row: len(row.mount_point)).fs_type in _MEMORY:
        return
    if any(root.iterdir()):
        # Clients that run were given the paths of these files.
        log.warning("credentials are on a disk until all volumes are unmounted", path=str(root))
        return
    mounts.mount("csi-mounter", root, fs_type="tmpfs", options=_OPTIONS)


def release(root: pathlib.Path) -> None:
    """Take away what `ensure` mounted, once there is no volume."""
    if mountinfo.mounts_at(root) and not any(path.is_dir() for path in root.iterdir()):
        mounts.unmount(root)
