"""NodeExpandVolume: the volume, then the file system on it. Blocking."""

import pathlib

from core import call
from csi.lvm import model
from csi.lvm.node import encryption, node_requests
from csi.lvm.stores import volumes
from csi.node import grow, node_mounts
from host import block, mountinfo


def expand(want: node_requests.Expansion, stores: volumes.Volumes) -> int:
    """Make the volume as large as *want* says; its size in bytes.

    Raises NotFound when it is not at its path, Exhausted, OutOfRange.
    """
    there = node_mounts.locate(want.at.volume_id, want.at.path)
    call.doing(f"growing {want.at.volume_id}")
    size_bytes = stores.extend(want.at.volume_id, want.required_bytes, want.limit_bytes)
    opened = stores.open(want.at.volume_id)
    if isinstance(opened, model.OpenedDirectory):
        return size_bytes
    device = encryption.inner(opened, want.at.volume_id)
    if not node_mounts.is_device_file(there):
        grow.grow_mounted(
            device,
            there.fs_type,
            _writable(there),
            seen_at=pathlib.Path(there.mount_point),
        )
    return block.size_bytes(opened.device)


def _writable(there: mountinfo.Mount) -> pathlib.Path | None:
    """A mount point through which the file system can be told to grow: no read-only bind."""
    for mount in mountinfo.mounts_of(there.device):
        if "ro" not in {*mount.options, *mount.super_options}:
            return pathlib.Path(mount.mount_point)
    return None
