"""Remains of data on a device that blkid calls empty, because its first sectors are damaged.

A file system keeps copies of its superblock, and a GPT one of its table, so that a person can
repair what lost the original. mkfs would make an end of that. Reads only.
"""

import errno
import os
import pathlib

from core import errors
from host import block, run

_TIMEOUT_S = 60.0
_NO_SIGN = frozenset({"atari"})
"""Random bytes look like that; see `csi.node.device_content`."""

_EXT_SECOND_GROUP = ((1024, 8193), (2048, 16384), (4096, 32768))
"""Bytes of a block, block of the first copy of the superblock. Source: e2fsck(8), -b."""
_EXT_MAGIC_AT, _EXT_MAGIC = 0x38, (0xEF53).to_bytes(2, "little")
_EXT_GROUP_AT, _EXT_GROUP = 0x5A, (1).to_bytes(2, "little")
"""s_magic and s_block_group_nr. Source: Linux fs/ext4/ext4.h, struct ext4_super_block."""
_EXT_HEAD_BYTES = 1024
_COPY_UNIT_BYTES = 1024
_LOOK_BYTES = 1 << 20
_EXT_ALWAYS = frozenset({".", "..", "lost+found"})
_EXT_NAME_FIELD = 5

_XFS_MAGIC = b"XFSB"
_XFS_BLOCK_BYTES = 4096
_XFS_GROUPS = 4
"""What mkfs.xfs makes of a disk below 4 TiB by itself; each begins with a superblock."""


class Remains(errors.Precondition):
    """A device that was to be formatted has damaged data on it."""

    def __init__(self, device: pathlib.Path, what: str, remedy: str) -> None:
        super().__init__(
            f"device {device} looks empty, but has {what}; nothing was changed. Repair it, or, if "
            f"what was on it can go, {remedy}"
        )


def require_no_signature(device: pathlib.Path) -> None:
    """Raise Remains for a signature whose checksum is wrong, or a GPT without its first half.

    wipefs knows those, and blkid does not: since util-linux 2.39 it believes no superblock with a
    wrong checksum, so that one damaged byte hides a file system.
    """
    argv = ["wipefs", "--noheadings", "--output", "TYPE", "--", str(device)]
    told = set(run.run(argv, timeout_s=_TIMEOUT_S).stdout.split()) - _NO_SIGN
    if told:
        remedy = f"empty the device: `blkdiscard --zeroout {device}`"
        raise Remains(device, f"a damaged {'/'.join(sorted(told))}", remedy)


def require_no_copies(device: pathlib.Path) -> None:
    """Raise Remains for a file system that lost its first superblock, as far as can be told.

    An ext2, ext3 or ext4 without files is what an mkfs that was killed leaves, and may be made
    anew; mkfs.xfs writes the first superblock first. Only for devices that were blank when they
    were made: what a logical volume starts with is others'.
    """
    offset = _xfs_second_group(device)
    if _read(device, offset, len(_XFS_MAGIC)) == _XFS_MAGIC:
        what = "an xfs whose superblock is gone (`xfs_repair` may bring it back)"
        raise Remains(device, what, _overwrite(device, offset))
    for block_bytes, first in _EXT_SECOND_GROUP:
        offset = block_bytes * first
        if _is_ext_copy(device, offset) and _has_files(device, block_bytes, first):
            what = (
                "files of an ext file system whose superblock is gone "
                f"(`e2fsck -b {first} -B {block_bytes}` brings it back)"
            )
            raise Remains(device, what, _overwrite(device, offset))


def _overwrite(device: pathlib.Path, offset: int) -> str:
    """How to make an end of the copy of a superblock at byte *offset*."""
    blocks = f"bs={_COPY_UNIT_BYTES} seek={offset // _COPY_UNIT_BYTES} count=1"
    return f"overwrite the copy of its superblock: `dd if=/dev/zero of={device} {blocks}`"


def _is_ext_copy(device: pathlib.Path, offset: int) -> bool:
    """Whether the copy of a superblock in the second block group is at byte *offset*."""
    head = _read(device, offset, _EXT_HEAD_BYTES)
    return head[_EXT_MAGIC_AT:].startswith(_EXT_MAGIC) and head[_EXT_GROUP_AT:].startswith(
        _EXT_GROUP
    )


def _xfs_second_group(device: pathlib.Path) -> int:
    """Where the second group begins, if the device was not grown since. Source: xfsprogs, mkfs."""
    blocks = block.size_bytes(device) // _XFS_BLOCK_BYTES
    return -(-blocks // _XFS_GROUPS) * _XFS_BLOCK_BYTES


def _read(device: pathlib.Path, offset: int, size: int) -> bytes:
    """*size* bytes from *offset* on, fewer only at the end of the device. Raises Unavailable."""
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = os.lseek(fd, 0, os.SEEK_END)
        return _read_whole(fd, offset, min(offset + size, end))
    except OSError as e:
        raise errors.Unavailable(
            f"device {device} cannot be read: {e.strerror}; what is on it is not known"
        ) from e
    finally:
        os.close(fd)


def _read_whole(fd: int, start: int, end: int) -> bytes:
    """The bytes from *start* to *end*. Raises OSError at the first that cannot be read."""
    read = b""
    while start + len(read) < end:
        # The kernel answers with less when only the rest of a read fails, so go on from there.
        more = os.pread(fd, end - start - len(read), start + len(read))
        if not more:
            raise OSError(errno.EIO, f"nothing at byte {start + len(read)}")
        read += more
    return read


def _has_files(device: pathlib.Path, block_bytes: int, first: int) -> bool:
    """Whether the top directory has more in it than mkfs makes.

    False when there is none: mkfs was killed before it wrote that. Raises Unavailable when it may
    be there, where nothing can be read.
    """
    ask = ["-c", "-b", str(block_bytes), "-s", str(first), "-R", "ls -p /", str(device)]
    rows = run.run(["debugfs", *ask], timeout_s=_TIMEOUT_S, check=False).stdout.splitlines()
    # /inode/mode/owner/group/name/size/
    fields = [row.split("/") for row in rows if row.startswith("/")]
    names = {row[_EXT_NAME_FIELD] for row in fields if len(row) > _EXT_NAME_FIELD}
    if not names:
        for offset in range(0, block_bytes * first, _LOOK_BYTES):
            _read(device, offset, _LOOK_BYTES)
    return bool(names - _EXT_ALWAYS)
