"""Whether disks may be made a volume group: they are those that are meant, nobody's, and blank.

Blocking. What is returned is for an operator: why not, "" = they may.
"""

import pathlib
from collections.abc import Collection, Sequence

from csi.lvm.stores import blank_disks, disk_names, pod_disks
from csi.lvm.stores.logical import group_records
from host import block


def why_changed(disks: Sequence[str], noted: group_records.Serials, record: pathlib.Path) -> str:
    """What names now mean other disks than when the group was made, as *noted* in *record*."""
    others = group_records.changed(noted, serials(disks))
    if not others:
        return ""
    return (
        f"it was made of other disks than those that have their names now: {described(others)}. "
        "Nothing was changed. Let LVM_DEVICES name the group's disks, wherever they are; if it is "
        f"gone, and these may be taken, remove {record} on the node"
    )


def why_pods(disks: Sequence[str], disk_ids: Collection[str]) -> str:
    """Which of *disks* are pods'. disk_ids: of disks that pods have here."""
    told = {disk: pod_disks.volume_on(pathlib.Path(disk), disk_ids) for disk in disks}
    found = "; ".join(f"{disk} is disk {volume}" for disk, volume in told.items() if volume)
    return found and f"{found}, a PersistentVolume of pods. Nothing was changed"


def why_not_blank(disks: Sequence[str]) -> str:
    """What is on *disks*, or has them."""
    faults = {disk: blank_disks.why_not_blank(pathlib.Path(disk)) for disk in disks}
    told = "; ".join(f"{disk} {why}" for disk, why in faults.items() if why)
    return told and (
        f"{told}. Nothing was changed. If that may go, make the disk blank "
        "(blkdiscard --zeroout DISK), and it is taken within minutes; else take it out of "
        "LVM_CREATE_GROUPS"
    )


def serials(disks: Sequence[str]) -> group_records.Serials:
    """What each of *disks* says of itself."""
    return {disk: disk_names.serial_of(pathlib.Path(disk)) for disk in disks}


def are_by_id(disks: Sequence[str]) -> bool:
    """Whether their names say which disks are meant. Pure."""
    return all(pathlib.PurePath(disk).is_relative_to(block.BY_ID_DIR) for disk in disks)


def described(disks: Sequence[str]) -> str:
    """*disks*, for people."""
    return ", ".join(disk_names.described(pathlib.Path(disk)) for disk in disks)
