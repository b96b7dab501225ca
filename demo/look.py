"""What the demo sees in the cloud and on the node."""

import hashlib
import os
import pathlib

from tests.support import processes

_GIB = 1 << 30


def disk(rig: processes.Rig, disk_id: str) -> str:
    """One line on a disk, as the cloud has it."""
    row = rig.control.data_disks()[disk_id]
    kind = " ".join(word for word in (row["category"], row["performance_level"]) if word)
    users = [f"{item['state']} on {item['instance_id']}" for item in row["attachments"]]
    where = " ".join(users) or f"free in {row['zone_id']}"
    return f"{disk_id}: {row['size_gib']} GiB {kind}, {where}"


def mounted(path: pathlib.Path) -> str:
    """One line on what is mounted at *path*: device, file system, size, place."""
    for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
        fields, _, source = line.partition(" - ")
        if fields.split()[4] == str(path):
            fs_type, device = source.split()[:2]
            return f"{device}  {fs_type}  {gib(total_bytes(path))}  at {path}"
    return f"nothing at {path}"


def total_bytes(path: pathlib.Path) -> int:
    """Size of the file system at *path*."""
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize


def gib(size_bytes: int) -> str:
    """A size for people."""
    return f"{size_bytes / _GIB:.1f} GiB"


def write(file: pathlib.Path, size_bytes: int) -> str:
    """Fill *file* with random bytes that reach the disk; their checksum."""
    with file.open("wb") as f:
        f.write(os.urandom(size_bytes))
        f.flush()
        os.fsync(f.fileno())
    return checksum(file)


def checksum(file: pathlib.Path) -> str:
    """SHA-256 of *file*."""
    with file.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def remains(rig: processes.Rig) -> dict[str, list[str]]:
    """What a run could have left, by kind."""
    rig.control.wait_gone()
    return {
        "disks": list(rig.control.data_disks()),
        "snapshots": list(rig.control.snapshots()),
        "mounts": rig.mounts(),
        "block devices": rig.loop_devices(),
        "device links": [str(link) for link in rig.by_id.iterdir()],
    }
