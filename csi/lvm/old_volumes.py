"""What becomes of a PersistentVolume whose logical volume is not there. Pure.

The old drivers made many volumes at their first publish. One that was made, used and lost must not
be made again, empty: so a volume is made only when its PersistentVolume tells that nobody used it.
Once it is made, the PersistentVolume tells that too, before anybody uses it.
Source: spec/csi-driver.md 6.1.
"""

import dataclasses
import enum
import pathlib
from collections.abc import Mapping
from typing import Any

from core import errors
from csi.lvm import legacy, model, params, topology
from kube import volumes as kube_volumes

MADE_ON = "csi.alibabacloud.com/made-on"
"""Annotation: the node that has the volume, written by us before it is used."""
TO_BE_MADE = "csi.alibabacloud.com/make-volume"
"""Annotation: an operator's word, `true`, that nothing is lost when the volume is made, empty."""
TAKE_DEVICE = "csi.alibabacloud.com/take-device"
"""Annotation: an operator's word which disk a volume is, as a link of /dev/disk."""
_SELECTED_NODE = "volume.kubernetes.io/selected-node"
"""Attribute of what the old driver made on a node; ours have none."""
_ELSEWHERE: Mapping[str, str] = {
    "LoopDevice": "its file {id}.img must be in LOCAL_SPARSE_TEMPLATE_FILEDIR of its node",
    "QuotaPath": "its directory (projQuotaFullPath) must be in one of LOCAL_QUOTA_PATHS",
    "PMEM": "persistent memory is not supported: copy its files with the old driver",
}
"""What to do about types that were never made at a publish."""


class Step(enum.StrEnum):
    """What is left to do for a volume."""

    MAKE = "make"
    CLAIM = "claim"
    TAKE_MOUNT_POINT = "take mount point"
    TAKE_DEVICE = "take device"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The next step. wish: what to make. path: the mount point or disk to take."""

    step: Step
    wish: model.VolumeWish | None = None
    path: str = ""


class VolumeLost(errors.NotFound):
    """A volume that was there once, and is not on this node."""

    def __init__(self, volume: kube_volumes.PersistentVolume, why: str) -> None:
        super().__init__(
            f"volume {volume.volume_id} is not on this node, and {why}; it is not made again, "
            "empty. Look for its disks; to give up its data: kubectl annotate persistentvolume "
            f"{volume.name} {MADE_ON}- {TO_BE_MADE}=true"
        )


class VolumeUnknown(errors.NotFound):
    """A volume of which nothing tells whether it was ever there."""

    def __init__(self, volume: kube_volumes.PersistentVolume, why: str) -> None:
        super().__init__(
            f"volume {volume.volume_id} is not on this node, and nothing tells whether it ever "
            f"was: {why}. If nobody used it yet: kubectl annotate persistentvolume {volume.name} "
            f"{TO_BE_MADE}=true; if somebody did, look for the node or the disks that have it"
        )


def is_of(volume: kube_volumes.PersistentVolume | None, volume_id: str, driver_name: str) -> bool:
    """Whether *volume* is what driver *driver_name* calls *volume_id*."""
    return volume is not None and (volume.driver, volume.volume_id) == (driver_name, volume_id)


def plan(
    volume: kube_volumes.PersistentVolume, place: topology.Place, *, has_unclaimed: bool
) -> Plan:
    """How to come to the volume, of which this node has nothing but perhaps an unclaimed one.

    Raises VolumeLost, VolumeUnknown, NotFound for what is not made at a publish, and Precondition
    for attributes that do not say what to make.
    """
    made_on = volume.annotations.get(MADE_ON, "")
    if made_on == place.value and has_unclaimed:
        return Plan(step=Step.CLAIM)
    if made_on:
        raise VolumeLost(volume, f"was made on node {made_on}")
    if volume.is_going:
        raise errors.NotFound(f"volume {volume.volume_id} is being deleted")
    if volume.volume_context.get("volumeType") == params.VolumeType.MOUNT_POINT:
        return Plan(step=Step.TAKE_MOUNT_POINT, path=_mount_point(volume))
    if volume.volume_context.get("volumeType") == params.VolumeType.DEVICE:
        return Plan(step=Step.TAKE_DEVICE, path=_device(volume))
    _require_kind(volume)
    if volume.annotations.get(TO_BE_MADE) != "true":
        _require_unused(volume)
    return Plan(step=Step.MAKE, wish=_wish(volume))


def claim(volume: kube_volumes.PersistentVolume, place: topology.Place) -> dict[str, Any]:
    """The patch by which the cluster knows that this node has *volume*, and that it was made."""
    patch: dict[str, Any] = {
        "metadata": {
            "resourceVersion": volume.version,
            "annotations": {MADE_ON: place.value, TO_BE_MADE: None},
        }
    }
    if volume.affinity is None and _is_bound(volume):
        terms = [
            {"key": key, "operator": "In", "values": [value]}
            for key, value in place.segments.items()
        ]
        patch["spec"] = {
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": terms}]}}
        }
    return patch


def _require_kind(volume: kube_volumes.PersistentVolume) -> None:
    """Raise NotFound for types that no publish ever made."""
    kind = volume.volume_context.get("volumeType", "")
    if kind == params.VolumeType.LVM or (not kind and volume.driver == legacy.NAME):
        return
    told = _ELSEWHERE.get(kind, f"volumeType {kind!r} is not known")
    raise errors.NotFound(
        f"volume {volume.volume_id} is not on this node: {told.format(id=volume.volume_id)}"
    )


def _require_unused(volume: kube_volumes.PersistentVolume) -> None:
    """Raise unless the PersistentVolume tells that no publish came to its end."""
    if volume.driver == legacy.NAME:
        raise VolumeUnknown(volume, f"{volume.driver} noted no publish")
    if not _is_bound(volume):
        raise VolumeUnknown(volume, "with nodeAffinity: false no publish was noted")
    if volume.affinity is not None:
        raise VolumeLost(volume, "its nodeAffinity tells that it was made")


def _is_bound(volume: kube_volumes.PersistentVolume) -> bool:
    """Whether a publish binds the volume to its node."""
    return volume.volume_context.get("nodeAffinity", "true") != "false"


def _mount_point(volume: kube_volumes.PersistentVolume) -> str:
    """Where its files are. Raises Precondition, VolumeUnknown for one that may be of ours.

    Ours have a note where their files are: one without was lost, and others are there now.
    """
    path = volume.volume_context.get(params.VolumeType.MOUNT_POINT, "")
    if not path.startswith("/"):
        raise errors.Precondition(
            f"PersistentVolume {volume.name} does not tell its mount point (MountPoint)"
        )
    is_old = _SELECTED_NODE in volume.volume_context
    if not is_old and volume.annotations.get(TO_BE_MADE) != "true":
        raise VolumeUnknown(
            volume, f"{path} has no note of it, and its attributes are not those of the old driver"
        )
    return path


def _device(volume: kube_volumes.PersistentVolume) -> str:
    """A link to its disk. Raises NotFound without an operator's word: /dev/vdb may be any disk."""
    told = pathlib.PurePosixPath(volume.annotations.get(TAKE_DEVICE, ""))
    if not told.is_relative_to("/dev/disk") or ".." in told.parts:
        raise errors.NotFound(
            f"the disk of volume {volume.volume_id} is not on this node, or none was ever noted as "
            "its disk; then tell which it is, since names such as /dev/vdb change: kubectl "
            f"annotate persistentvolume {volume.name} {TAKE_DEVICE}=/dev/disk/by-id/..."
        )
    return str(told)


def _wish(volume: kube_volumes.PersistentVolume) -> model.VolumeWish:
    """The volume that the old drivers would make. Raises Precondition, InvalidField."""
    told = volume.volume_context
    if not told.get("vgName"):
        raise errors.Precondition(
            f"PersistentVolume {volume.name} names no volume group (vgName), so that its volume "
            "cannot be made"
        )
    if volume.capacity_bytes <= 0:
        raise errors.Precondition(f"PersistentVolume {volume.name} has no capacity")
    own = {key: told[key] for key in ("vgName", "lvmType") if told.get(key)}
    return model.VolumeWish(
        name=volume.name,
        volume_id=volume.volume_id,
        required_bytes=volume.capacity_bytes,
        limit_bytes=0,
        parameters=params.parse({"volumeType": params.VolumeType.LVM.value, **own}),
        unclaimed=True,
    )
