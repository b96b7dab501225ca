"""What every kind of volume offers, and what kinds that are no logical volumes share."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Collection, Iterator
from typing import Protocol

from core import errors, units
from csi.lvm import model, params
from csi.node import node_mounts
from host import block, mountinfo

DEFAULT_BYTES = units.GIB


class Store(Protocol):
    """Volumes of one type. Blocking."""

    def has(self, volume_id: str) -> bool:
        """Whether the volume is one of these."""
        ...

    def create(self, want: model.VolumeWish) -> model.Volume:
        """The volume of *want*, made if need be."""
        ...

    def delete(self, volume_id: str) -> bool:
        """Remove the volume; whether there was one."""
        ...

    def get(self, volume_id: str) -> model.Volume | None:
        """The volume, None when there is none."""
        ...

    def listed(self) -> list[model.Volume]:
        """All that are ours."""
        ...

    def capacity(self, wanted: params.Parameters) -> model.Capacity:
        """Room for new ones."""
        ...

    def extend(self, volume_id: str, required_bytes: int, limit_bytes: int) -> int:
        """Let the volume have at least *required_bytes*; its size then."""
        ...

    def open(self, volume_id: str) -> model.Opened | model.OpenedDirectory:
        """How it is used here."""
        ...

    def settle(self, volume_id: str) -> None:
        """Note that its content counts from now on."""
        ...

    def release(self, volume_id: str) -> None:
        """Take back what `open` made, when nothing uses it any more."""
        ...


class Taker(Protocol):
    """Volumes that are there already, as the reference made them. Blocking."""

    def take(self, volume_id: str, path: str) -> None:
        """Note that what is at *path* is the volume. Raises Precondition, Exists."""
        ...


def refuse_source(want: model.VolumeWish) -> None:
    """Raise InvalidField for a volume with content."""
    if want.source is not None:
        raise errors.InvalidField(
            "volume_content_source", "needs volumeType LVM", value=want.parameters.volume_type
        )


def wanted_bytes(want: model.VolumeWish) -> int:
    """Size to make, before it is rounded up. Pure."""
    if want.required_bytes:
        return want.required_bytes
    return min(DEFAULT_BYTES, want.limit_bytes or DEFAULT_BYTES)


def rounded(size_bytes: int, want: model.VolumeWish, step_bytes: int) -> int:
    """*size_bytes* in whole steps. Raises OutOfRange when that is above the limit. Pure."""
    told = -(-size_bytes // step_bytes) * step_bytes
    if want.limit_bytes and told > want.limit_bytes:
        raise errors.OutOfRange(
            f"limit_bytes {want.limit_bytes} cannot be kept: sizes are multiples of {step_bytes}"
        )
    return told


def is_mounted(device: pathlib.Path) -> bool:
    """Whether *device* is mounted somewhere, or its file is bound somewhere."""
    number = block.device_number(device)
    return any(node_mounts.holds(mount, {number}) for mount in mountinfo.read())


def require_unused(directory: pathlib.Path, volume_id: str) -> None:
    """Raise Busy when *directory* or a part of it is bound elsewhere, or is a mount's place.

    What is mounted below is of somebody else, and must not go with the volume's files.
    """
    table = mountinfo.read()
    real = directory.resolve()
    around = [mount for mount in table if real.is_relative_to(mount.mount_point)]
    holder = max(around, key=lambda mount: len(pathlib.PurePath(mount.mount_point).parts))
    inside = pathlib.PurePath(holder.root) / real.relative_to(holder.mount_point)
    others = mountinfo.others_of(holder, table)
    for mount in table:
        at = pathlib.PurePath(mount.mount_point)
        is_below = at != real and at.is_relative_to(real)
        is_bind = mount in others and node_mounts.is_inside(mount, str(inside))
        if is_below or (is_bind and at != real):
            raise errors.Busy(
                f"volume {volume_id} is in use at {at}; unpublish or unmount it first"
            )


@contextlib.contextmanager
def opened(directory: pathlib.Path) -> Iterator[int]:
    """A descriptor of *directory*, which is the same one whatever is mounted there by then."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def empty(directory: int, *, keep: Collection[str] = ()) -> None:
    """Remove what is in the open *directory* but for names in *keep*. Follows no symbolic link.

    By its descriptor: where a file system was unmounted meanwhile, its path is another directory.
    """
    for entry in list(os.scandir(directory)):
        if entry.name in keep:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.name, dir_fd=directory)
        else:
            os.unlink(entry.name, dir_fd=directory)


def require_dir(path: pathlib.Path, setting: str) -> pathlib.Path:
    """*path*, a directory. Raises Precondition naming *setting*."""
    if not path.is_dir():
        raise errors.Precondition(f"{setting}: {path} is no directory of this node")
    return path
