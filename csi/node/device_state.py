"""What a device itself tells of work that was cut off, and of who uses it.

Nothing is kept in files of our own: what a crash interrupted is told by the device.
* `mkfs.ext4` and `mkfs.ext3` write the superblock last: killed at any of its 152 writes, blkid
  finds nothing, and the next attempt starts afresh (tried with strace, 2026-11-23, e2fsprogs 1.47).
* `mkfs.xfs` writes the superblock early with `sb_inprogress` = 1 and clears it last. The kernel
  refuses to mount such a file system, so it never held data (tried likewise, xfsprogs 6.1).
"""

import errno
import os
import pathlib

_XFS_MAGIC = b"XFSB"
_XFS_IN_PROGRESS_OFFSET = 126
"""Offset of sb_inprogress. Source: XFS algorithms and data structures, "Superblocks"."""


def is_unfinished_xfs(device: pathlib.Path) -> bool:
    """Whether *device* starts with an XFS superblock that mkfs did not live to finish."""
    with device.open("rb", buffering=0) as f:
        head = f.read(_XFS_IN_PROGRESS_OFFSET + 1)
    return head.startswith(_XFS_MAGIC) and head[_XFS_IN_PROGRESS_OFFSET:] == b"\x01"


def is_claimed(device: pathlib.Path) -> bool:
    """Whether the kernel or a program has *device* for itself: a mount, a running mkfs, LVM.

    Linux grants O_EXCL on a block device to one holder at a time; see open(2).
    """
    try:
        fd = os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    except OSError as e:
        if e.errno == errno.EBUSY:
            return True
        raise
    os.close(fd)
    return False
