"""NodeExpandVolume: the partition and the file system follow a disk that has grown."""

import pathlib
from collections.abc import Collection, Iterable

from core import call, errors
from csi.disk import disk_options
from csi.disk.node import device, node_requests
from csi.node import grow, node_mounts
from host import block, mountinfo


def expand(want: node_requests.Expansion, devices: device.Devices) -> int:
    """Make the volume as large as its disk; size of the disk in bytes.

    Raises NotFound when the volume is not at its path, Busy when the disk has not grown yet,
    Precondition when the file system is mounted read-only everywhere, Unavailable when the disk of
    a raw volume was taken away.
    """
    there = node_mounts.locate(want.volume_id, want.volume_path)
    path = pathlib.Path(there.mount_point)
    is_block = node_mounts.is_device_file(there)
    if is_block and devices.is_left_over(there, disk_options.serial_of(want.volume_id)):
        raise errors.Unavailable(
            f"the disk of volume {want.volume_id} was taken away while it was staged at {path}; "
            "unstage it"
        )
    number = block.device_number(path) if is_block else there.device
    disk, partition = devices.whole_disk(number)
    size_bytes = block.size_bytes(disk.path)
    if size_bytes < want.required_bytes:
        raise errors.Busy(
            f"device {disk.path} of volume {want.volume_id} has {size_bytes} bytes, fewer than "
            f"the {want.required_bytes} asked for; retry when the disk's resize has arrived"
        )
    if not is_block:
        _grow(disk, partition, there, devices)
    return size_bytes


def _grow(
    disk: device.Disk, partition: int | None, there: mountinfo.Mount, devices: device.Devices
) -> None:
    if partition is not None:
        call.doing(f"growing partition {partition} of {disk.path}")
        block.grow_partition(disk.path, partition)
    grow.grow_mounted(
        devices.path_of(there.device),
        there.fs_type,
        choose_writable(mountinfo.read(), {there.device}),
        seen_at=pathlib.Path(there.mount_point),
    )


def choose_writable(
    mounts: Iterable[mountinfo.Mount], numbers: Collection[str]
) -> pathlib.Path | None:
    """A mount point through which a file system on a device of *numbers* can be told to grow.

    The kernel takes the request through any writable mount, not through a read-only bind.
    """
    for mount in mounts:
        if mount.device in numbers and "ro" not in {*mount.options, *mount.super_options}:
            return pathlib.Path(mount.mount_point)
    return None
