"""The mark on the devices of disks that are volumes of ours. It outlives this process."""

import contextlib
import os
import pathlib

import structlog

log = structlog.get_logger()

MANAGED_XATTR = "trusted.csi-managed-disk"
"""On the device node: the disk's id. devtmpfs forgets it at the detach.
Source: spec/csi-driver.md 2.13; the reference reads it too."""


def mark_managed(device: pathlib.Path, disk_id: str) -> None:
    """Note on *device* that it is a volume of ours. Only counting needs it, so it may fail."""
    try:
        os.setxattr(device, MANAGED_XATTR, disk_id.encode())
    except OSError as e:
        log.debug("device cannot be marked", device=str(device), error=str(e))


def managed_disk_id(device: pathlib.Path) -> str:
    """The disk id that *device* is marked with, "" without a mark."""
    with contextlib.suppress(OSError):
        return os.getxattr(device, MANAGED_XATTR).decode(errors="replace")
    return ""
