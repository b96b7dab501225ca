"""Disks that are PersistentVolumes of pods, attached to this machine: never ours to take. Blocking.

One that a pod has raw is blank until the pod writes to it, and nobody has it open before that. What
tells of it: the disk driver's mark on its device; what kubelet notes before it stages a volume,
which outlives a boot; and the Node object, see `csi.lvm.attached_disks`.
"""

import json
import pathlib
import re
from collections.abc import Collection, Iterable

from core import errors
from csi.node import disk_mark
from host import block

_NOTES = (
    "plugins/kubernetes.io/csi/*/*/vol_data.json",
    "plugins/kubernetes.io/csi/volumeDevices/*/data/vol_data.json",
    "pods/*/volumes/kubernetes.io~csi/*/vol_data.json",
)
"""Source: Kubernetes 1.34, pkg/volume/csi: csi_attacher.go, csi_block.go, csi_mounter.go; the first
one of file systems, by driver, and of releases before 1.24 by PersistentVolume."""
_DISK_PREFIX = "d-"
_DISK_ID = re.compile(r"d-[A-Za-z0-9_-]+")
_SYS_DEV_BLOCK = pathlib.Path("/sys/dev/block")


def noted(kubelet_root: pathlib.Path) -> frozenset[str]:
    """Ids of the volumes that kubelet has staged here, or is about to; of disks alone.

    Raises Precondition for a note that cannot be read: what it names is not known.
    """
    told = (_handle(file) for pattern in _NOTES for file in kubelet_root.glob(pattern))
    return disks_of(told)


def disks_of(handles: Iterable[str]) -> frozenset[str]:
    """Those of *handles* that are ids of disks. Pure."""
    return frozenset(each for each in handles if _DISK_ID.fullmatch(each))


def volume_on(device: pathlib.Path, disk_ids: Collection[str]) -> str:
    """Id of the pods' disk that *device* is, or is a part of; "" = it is none that is known.

    disk_ids: of disks that pods have here.
    """
    numbers = block.numbers_of(device)
    # A device node of a kind that stays when the disk goes keeps the mark of the one it was.
    marked = disks_of(disk_mark.managed_disk_id(_node(number)) for number in numbers)
    for disk_id in sorted({*disk_ids, *marked}):
        found = block.find_device(disk_id.removeprefix(_DISK_PREFIX))
        if found is not None and block.device_number(found) in numbers:
            return disk_id
    return ""


def _handle(file: pathlib.Path) -> str:
    """What kubelet's note tells; "" = it is gone by now."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return str(told["volumeHandle"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise errors.Precondition(
            f"{file} cannot be understood, so that it is not known which disks are pods'"
        ) from e


def _node(number: str) -> pathlib.Path:
    """Device node of "major:minor"; sysfs writes "/" as "!"."""
    return pathlib.Path("/dev") / (_SYS_DEV_BLOCK / number).resolve().name.replace("!", "/")
