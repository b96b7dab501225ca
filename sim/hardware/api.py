"""What the simulated ECS asks of the machine. Implementations: linux.py; none when not wanted.

Not here: any cloud rule. The caller decides when a disk is attached, cut or deleted.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Protocol


class HardwareError(Exception):
    """The machine could not do it; the message names the path, the call and the errno text."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One disk image to copy into one snapshot image."""

    disk_id: str
    snapshot_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A disk that must be visible on some instances.

    serial: the disk's serial number; "" (legacy disks) gets a device but no by-id link.
    instance_ids: the instances that see it, at least one.
    """

    disk_id: str
    serial: str
    instance_ids: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What plays an instance. by_id_dir: where its links appear; "" = where those of all do.

    local_disks_gib: sizes of disks of its own.
    """

    instance_id: str
    by_id_dir: str = ""
    local_disks_gib: tuple[int, ...] = ()


class Hardware(Protocol):
    """Block devices of one state directory. Every method is idempotent and raises HardwareError."""

    def place(self, machines: Sequence[Machine]) -> None:
        """Know these instances besides those known, and make their own disks."""

    def forget(self, instance_id: str) -> None:
        """The instance is gone, and its own disks with all that was on them. Unknown is fine."""

    def create_disk(self, disk_id: str, size_gib: int, *, snapshot_id: str = "") -> None:
        """Make the image, empty or as a copy of a snapshot, *size_gib* GiB long."""

    def delete_disk(self, disk_id: str) -> None:
        """Remove the image; absent is fine. The caller has detached the disk."""

    def attach(self, disk_id: str, serial: str, instance_id: str) -> pathlib.Path:
        """Make the block device and its by-id link visible on the instance; its path."""

    def detach(
        self, disk_id: str, serial: str, instance_id: str, *, remaining: Sequence[str]
    ) -> bool:
        """Remove the link, then the device unless *remaining* instances still use it.

        False: the device is still mounted or open. The kernel frees it at the last close, so
        ask again later.
        """

    def resize(self, disk_id: str, size_gib: int, *, online: bool) -> None:
        """Grow the image; with *online* the bound device shows the new size at once."""

    def refresh(self, disk_id: str) -> None:
        """Show the image's size on the bound device, as a reboot of the instance does."""

    def cut(self, cuts: Sequence[Cut]) -> None:
        """Copy the disks' content as it is now, all of them flushed first."""

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove the snapshot image; absent is fine."""

    def reconcile(
        self, bindings: Sequence[Binding], *, disk_ids: Sequence[str], snapshot_ids: Sequence[str]
    ) -> None:
        """Bring the machine to the store's state after a start.

        Binds what must be bound, frees what must not, removes images of disks and snapshots that
        the store does not know.
        """

    def release(self) -> list[pathlib.Path]:
        """Free every device and link of this state directory; keeps the images.

        Returns the devices that are still open somewhere; the kernel frees them at the last close.
        """
