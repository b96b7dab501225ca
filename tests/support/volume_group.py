"""LVM volume groups, and other device-mapper devices, on loop devices."""

import contextlib
import pathlib
import uuid
from collections.abc import Iterator

from tests.support.machine import run

SECTOR_BYTES = 512
LINKS = pathlib.Path("/dev/disk/by-id")


@contextlib.contextmanager
def loop_device(directory: pathlib.Path, size_mib: int) -> Iterator[str]:
    """The path of a loop device of *size_mib* on a new file in *directory*."""
    file = directory / f"{uuid.uuid4().hex[:8]}.img"
    with file.open("wb") as made:
        made.truncate(size_mib << 20)
    device = run("losetup", "--find", "--show", file).strip()
    try:
        yield device
    finally:
        run("losetup", "--detach", device)
        file.unlink()


@contextlib.contextmanager
def linked(device: str, name: str) -> Iterator[str]:
    """Link *name* in /dev/disk/by-id to *device*, as udev makes one from a serial number.

    The machine may have no such directory; then it is there as long as some test needs it.
    """
    for path in (LINKS.parent, LINKS):
        path.mkdir(exist_ok=True)
    link = LINKS / name
    link.symlink_to(device)
    try:
        yield str(link)
    finally:
        link.unlink()
        with contextlib.suppress(OSError):  # others are in it
            LINKS.rmdir()
            LINKS.parent.rmdir()


@contextlib.contextmanager
def mapped(table: str) -> Iterator[str]:
    """The path of a device-mapper device with *table*, such as `0 2048 linear /dev/loop0 0`."""
    name = f"lab-{uuid.uuid4().hex[:8]}"
    run("dmsetup", "create", name, "--table", table)
    try:
        yield f"/dev/mapper/{name}"
    finally:
        run("dmsetup", "remove", "--retry", name)


def sectors(device: str) -> int:
    """The size of *device*, in sectors of 512 bytes."""
    return int(run("blockdev", "--getsz", device))


class VolumeGroup:
    """A volume group on *disks* loop devices of *size_mib* each, until `close`."""

    def __init__(self, directory: pathlib.Path, *, disks: int = 2, size_mib: int = 256) -> None:
        self.name = f"vg{uuid.uuid4().hex[:6]}"
        with contextlib.ExitStack() as undo:
            devices = [undo.enter_context(loop_device(directory, size_mib)) for _ in range(disks)]
            run("vgcreate", "-qq", "--yes", self.name, *devices)
            self._undo = undo.pop_all()
        self.devices = tuple(devices)

    def create(self, name: str, *options: str) -> str:
        """`lvcreate`; returns the path of the logical volume's device."""
        run("lvcreate", "-qq", "--yes", "-n", name, *options, self.name)
        return self.path(name)

    def path(self, name: str) -> str:
        """Of logical volume *name*."""
        return f"/dev/{self.name}/{name}"

    def report(self, name: str, field: str) -> str:
        """One field of `lvs`, sizes in bytes."""
        options = ("--noheadings", "--units", "b", "--nosuffix", "-o", field)
        return run("lvs", *options, f"{self.name}/{name}").strip()

    def close(self) -> None:
        """Unmount, remove the volumes and the group, and give the loop devices back."""
        for line in reversed(pathlib.Path("/proc/self/mounts").read_text().splitlines()):
            device, mount_point = line.split()[:2]
            if device.startswith((f"/dev/mapper/{self.name}-", f"/dev/{self.name}/")):
                run("umount", mount_point)
        run("vgremove", "-qq", "--force", "--force", "--yes", self.name)
        self._undo.close()
