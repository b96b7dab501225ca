"""NodeGetVolumeStats: how full a volume is, and whether it is well.

Reads only, and may hang on a dead disk: run it with a time limit, away from the other calls.
"""

import dataclasses
import errno
import os
import pathlib
from typing import Protocol

from core import errors
from csi import volume_stats
from csi.node import at_path, node_mounts
from host import block, mountinfo, stats

_IO_ERRORS = frozenset({errno.EIO, errno.ENXIO, errno.ENODEV, errno.EUCLEAN, errno.ESHUTDOWN})
"""EUCLEAN is Linux's name for a corrupt file system."""


class Devices(Protocol):
    """is_alive: whether the block device "major:minor" still exists."""

    def is_alive(self, number: str) -> bool: ...

    def is_lost(self, mount: mountinfo.Mount, volume_id: str) -> bool:
        """Whether *mount*, a device file, leads to another device than the volume's by now."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VolumeStats:
    """usage: of a file system. total_bytes: of a raw block device. Both None when unreadable."""

    condition: volume_stats.Condition
    usage: stats.FsUsage | None = None
    total_bytes: int | None = None


def read(at: at_path.AtPath, devices: Devices) -> VolumeStats:
    """Usage and condition of the volume at *at*. Raises NotFound when it is not there."""
    there = node_mounts.locate(at.volume_id, at.path)
    path = pathlib.Path(there.mount_point)
    if node_mounts.is_device_file(there):
        return _read_block(at.volume_id, there, devices)
    error = ""
    usage = None
    try:
        usage = stats.usage(path)
        _touch(path)
    except OSError as e:
        error = _io_error(e)
    return VolumeStats(
        condition=judge(there, is_alive=devices.is_alive(there.device), io_error=error), usage=usage
    )


def judge(mount: mountinfo.Mount, *, is_alive: bool, io_error: str) -> volume_stats.Condition:
    """Health of a mounted file system.

    is_alive: its device still exists. io_error: what reading it said, "" = nothing.
    """
    if not is_alive:
        return _ill(f"device {mount.device} is gone: it was detached while it was mounted")
    if io_error:
        return _ill(f"the file system cannot be read: {io_error}")
    if node_mounts.is_broken(mount):
        return _ill(
            "the file system stopped accepting writes after an error; "
            "see the kernel log, then delete the pod so that the disk is checked at the next mount"
        )
    return volume_stats.Condition(
        abnormal=False, message="the file system can be read and has no known error"
    )


def _read_block(volume_id: str, there: mountinfo.Mount, devices: Devices) -> VolumeStats:
    path = pathlib.Path(there.mount_point)
    if not devices.is_alive(block.device_number(path)) or devices.is_lost(there, volume_id):
        return VolumeStats(condition=_ill("the device is gone: it was detached while in use"))
    try:
        total_bytes = block.size_bytes(path)
    except OSError as e:
        return VolumeStats(condition=_ill(f"the device cannot be opened: {_io_error(e)}"))
    return VolumeStats(
        condition=volume_stats.Condition(abnormal=False, message="the device can be opened"),
        total_bytes=total_bytes,
    )


def _touch(path: pathlib.Path) -> None:
    """Look into the top directory: statfs answers from memory, even on a file system shut down."""
    with os.scandir(path) as entries:
        next(entries, None)


def _io_error(error: OSError) -> str:
    """*error* as text. Raises Unavailable for one that says nothing about the volume."""
    if error.errno not in _IO_ERRORS:
        raise errors.Unavailable(f"statistics cannot be read: {error}") from error
    return os.strerror(error.errno)


def _ill(message: str) -> volume_stats.Condition:
    return volume_stats.Condition(abnormal=True, message=message)
