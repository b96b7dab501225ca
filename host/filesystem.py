"""File systems on block devices: what is there, making, checking, growing.

Data is never formatted on a guess: "empty" is an answer only `blkid` can give, on a device that was
read, and `make` asks again itself before it writes.
"""

import dataclasses
import errno
import os
import pathlib
import re
import stat
import struct
from collections.abc import Sequence

import structlog

from core import errors
from host import block, remnants, run

log = structlog.get_logger()

_PROBE_TIMEOUT_S = 60.0
_MAKE_TIMEOUT_S = 900.0
_CHECK_TIMEOUT_S = 1800.0
_RESIZE_TIMEOUT_S = 900.0
_BLKID_NOTHING = 2
_EXT_SUPERBLOCK_AT, _EXT_SUPERBLOCK_BYTES = 1024, 1024
_EXT_MAGIC, _EXT_64BIT = 0xEF53, 0x80
_BLKID_AMBIVALENT = 8
_PROBE_START_BYTES = 4 << 20
_PROBE_END_BYTES = 1 << 20
_READ_BYTES = 256 * 1024

_E2FSCK_CORRECTED = 1
_E2FSCK_REBOOT = 2
_E2FSCK_UNCORRECTED = 4
_E2FSCK_FAILED = 8

EXT = ("ext4", "ext3")
DEFAULT_OPTIONS = {"ext4": ("-F", "-m0"), "ext3": ("-F", "-m0"), "xfs": ("-f",)}
"""mkfs arguments when the user gives none. Source: spec/csi-driver.md 2.13."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What blkid finds at the start (and end) of a device; None = nothing of that kind."""

    fs_type: str | None
    partition_table: str | None
    label: str
    uuid: str

    @property
    def empty(self) -> bool:
        """Whether nothing at all was recognised."""
        return self.fs_type is None and self.partition_table is None


class SeveralSignatures(errors.Precondition):
    """A device carries signatures of more than one format."""

    def __init__(self, device: pathlib.Path) -> None:
        super().__init__(
            f"device {device} has signatures of several formats, so its content is unclear; "
            "look with `wipefs` and remove the wrong one by hand"
        )


class NotEmpty(errors.Precondition):
    """A device that was to be formatted has something on it."""

    def __init__(self, device: pathlib.Path, found: Probe) -> None:
        what = found.fs_type or f"a {found.partition_table} partition table"
        super().__init__(f"device {device} has {what} on it and is not formatted")


class CheckFailed(errors.Precondition):
    """A file system has errors that only a person may repair."""

    def __init__(self, device: pathlib.Path, fs_type: str, output: str) -> None:
        super().__init__(
            f"{fs_type} on {device} has errors that need a person: run `e2fsck -f {device}` while "
            f"it is not mounted. It said: {output.strip()[-500:]}"
        )


def probe(device: pathlib.Path) -> Probe:
    """What is on *device*.

    Raises Unavailable when the device cannot be read: blkid would say "nothing" then too.
    Raises SeveralSignatures when blkid cannot tell. Source: blkid(8), "EXIT STATUS".
    """
    _read_where_signatures_are(device)
    argv = ["blkid", "--probe", "--output", "export", "--", str(device)]
    result = run.run(argv, timeout_s=_PROBE_TIMEOUT_S, check=False)
    if result.returncode == _BLKID_AMBIVALENT:
        raise SeveralSignatures(device)
    if result.returncode not in (0, _BLKID_NOTHING):
        raise run.CommandFailed(argv, result)
    if result.returncode == _BLKID_NOTHING:
        # A device can fail between the two reads.
        _read_where_signatures_are(device)
    told = dict(line.partition("=")[::2] for line in result.stdout.splitlines())
    return Probe(
        fs_type=told.get("TYPE") or None,
        partition_table=told.get("PTTYPE") or None,
        label=told.get("LABEL", ""),
        uuid=told.get("UUID", ""),
    )


def make(
    device: pathlib.Path,
    fs_type: str,
    options: Sequence[str] | None = None,
    *,
    over: Probe | None = None,
) -> None:
    """Make a *fs_type* file system on *device*.

    options: replace `DEFAULT_OPTIONS`. over: what the caller saw on the device and decided to be
    worthless, such as a file system mkfs did not live to finish; anything else is kept.
    Raises NotEmpty when something else than *over* is recognised on the device, Remains for a
    damaged signature.
    """
    found = probe(device)
    if not found.empty and found != over:
        raise NotEmpty(device, found)
    if found.fs_type is None:
        remnants.require_no_signature(device)
    words = DEFAULT_OPTIONS[fs_type] if options is None else _with_force(fs_type, options)
    run.run([f"mkfs.{fs_type}", *words, str(device)], timeout_s=_MAKE_TIMEOUT_S)


def check(device: pathlib.Path, fs_type: str) -> None:
    """Check and repair what is safe to repair. XFS replays its log at mount instead.

    Raises CheckFailed for errors that need a person. Source: e2fsck(8), "EXIT CODE".
    """
    if fs_type not in EXT:
        return
    argv = ["e2fsck", "-p", str(device)]
    result = run.run(argv, timeout_s=_CHECK_TIMEOUT_S, check=False)
    if result.returncode & _E2FSCK_UNCORRECTED:
        raise CheckFailed(device, fs_type, result.stdout + result.stderr)
    if result.returncode >= _E2FSCK_FAILED:
        raise run.CommandFailed(argv, result)
    if result.returncode & (_E2FSCK_CORRECTED | _E2FSCK_REBOOT):
        log.warning("file system repaired", device=str(device), output=result.stdout[-500:])


def needs_resize(device: pathlib.Path, mount_point: pathlib.Path, fs_type: str) -> bool:
    """Whether the mounted file system is smaller than *device* by at least one of its units."""
    device_bytes = block.size_bytes(device)
    if fs_type in EXT:
        block_count, block_bytes = _ext_geometry(device)
    elif fs_type == "xfs":
        block_count, block_bytes = _xfs_geometry(mount_point)
    else:
        return False
    return device_bytes // block_bytes > block_count


def resize(device: pathlib.Path, mount_point: pathlib.Path, fs_type: str) -> None:
    """Grow the mounted file system to the size of *device*; again changes nothing.

    Raises Unsupported for a type that cannot grow while mounted.
    """
    if fs_type in EXT:
        run.run(["resize2fs", str(device)], timeout_s=_RESIZE_TIMEOUT_S)
    elif fs_type == "xfs":
        run.run(["xfs_growfs", "-d", str(mount_point)], timeout_s=_RESIZE_TIMEOUT_S)
    else:
        raise errors.Precondition(
            f"{fs_type} on {device} cannot be grown while mounted; allowed: ext3, ext4, xfs"
        )


def _with_force(fs_type: str, options: Sequence[str]) -> list[str]:
    """User options, with the flag that keeps mkfs from asking a person."""
    force = DEFAULT_OPTIONS[fs_type][0]
    return [*options] if force in options else [force, *options]


def _read_where_signatures_are(device: pathlib.Path) -> None:
    """Raise unless *device* is a block device whose start and end can be read, every byte of them.

    Those are the places blkid looks at; once read they are in the page cache, where it finds them.
    """
    try:
        fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise errors.Unavailable(f"device {device} cannot be opened: {e.strerror}") from e
    try:
        if not stat.S_ISBLK(os.fstat(fd).st_mode):
            raise errors.Precondition(f"{device} is not a block device")
        size = os.lseek(fd, 0, os.SEEK_END)
        _read_all(fd, 0, min(size, _PROBE_START_BYTES))
        _read_all(fd, max(0, size - _PROBE_END_BYTES), size)
    except OSError as e:
        raise errors.Unavailable(
            f"device {device} cannot be read: {e.strerror}; what is on it is not known"
        ) from e
    finally:
        os.close(fd)


def _read_all(fd: int, start: int, end: int) -> None:
    """Read the bytes from *start* to *end*. Raises OSError at the first that cannot be read."""
    while start < end:
        # The kernel answers with less when only the rest of a read fails, so go on from there.
        got = len(os.pread(fd, min(_READ_BYTES, end - start), start))
        if not got:
            raise OSError(errno.EIO, f"nothing at byte {start}")
        start += got


def _ext_geometry(device: pathlib.Path) -> tuple[int, int]:
    """(blocks, bytes per block) as the superblock says, read as dumpe2fs(8) does.

    The kernel keeps it up to date in the page cache while the file system is mounted.
    Source: Linux fs/ext4/ext4.h, struct ext4_super_block.
    """
    try:
        with device.open("rb", buffering=0) as disk:
            disk.seek(_EXT_SUPERBLOCK_AT)
            block = disk.read(_EXT_SUPERBLOCK_BYTES)
    except OSError as e:
        raise errors.Unavailable(f"device {device} cannot be read: {e.strerror}") from e
    low, log_size, magic, incompatible, high = (
        struct.unpack_from(form, block, at)[0] if len(block) == _EXT_SUPERBLOCK_BYTES else 0
        for form, at in (("<I", 0x4), ("<I", 0x18), ("<H", 0x38), ("<I", 0x60), ("<I", 0x150))
    )
    if magic != _EXT_MAGIC:
        raise errors.Internal(f"cannot read the size of the file system on {device}: no superblock")
    count = low | (high << 32 if incompatible & _EXT_64BIT else 0)
    return count, _EXT_SUPERBLOCK_BYTES << log_size


def _xfs_geometry(mount_point: pathlib.Path) -> tuple[int, int]:
    out = run.run(["xfs_info", str(mount_point)], timeout_s=_PROBE_TIMEOUT_S).stdout
    return _number(out, r"^data\s+=\s*bsize=\d+\s+blocks=(\d+)", mount_point), _number(
        out, r"^data\s+=\s*bsize=(\d+)", mount_point
    )


def _number(text: str, pattern: str, where: pathlib.Path) -> int:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise errors.Internal(f"cannot read the size of the file system at {where}: {text[:200]!r}")
    return int(match[1])
