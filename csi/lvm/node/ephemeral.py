"""Inline volumes: made when a pod's volume is published, removed when it is unpublished. Blocking.

Their attributes are written by whoever makes pods, so only these are taken. The volume carries a
tag or a note, so that an unpublish knows what it is without any attribute.
Source: spec/csi-driver.md 6.2.
"""

import re
from collections.abc import Mapping

from core import errors, units
from csi.lvm import model, params
from csi.lvm.node import node_requests, stage
from csi.lvm.stores import volumes
from csi.node import at_path

CONTEXT_KEY = "csi.storage.k8s.io/ephemeral"
_ID = re.compile(r"csi-[0-9a-f]{64}")
"""What kubelet calls them. Source: Kubernetes pkg/volume/csi, makeVolumeHandle."""
_TYPES = (params.VolumeType.LVM, params.VolumeType.LOOP_DEVICE)
_LIMITS = ("readIOPS", "writeIOPS", "readBPS", "writeBPS")
_TAKEN = ("volumeType", "vgName", "fsType", "mkfsOptions", *_LIMITS)
_SIDECARS = "csi.storage.k8s.io/"
_DEFAULT_SIZE = "1Gi"


def is_wanted(context: Mapping[str, str]) -> bool:
    """Whether a publish is of an inline volume."""
    return context.get(CONTEXT_KEY) == "true"


def parse(volume_id: str, context: Mapping[str, str]) -> model.VolumeWish:
    """The volume to make. Raises InvalidField."""
    own = {key: text for key, text in context.items() if not key.startswith(_SIDECARS)}
    size = own.pop("size", _DEFAULT_SIZE)
    for key in own:
        if key not in _TAKEN:
            raise errors.InvalidField(
                f"volume_context[{key}]", "is not an attribute of inline volumes",
                allowed=", ".join(("size", *_TAKEN)),
            )  # fmt: skip
    kind = own.setdefault("volumeType", params.VolumeType.LVM.value)
    if kind not in _TYPES:
        raise errors.InvalidField(
            "volume_context[volumeType]", "is not a type of inline volumes", value=kind,
            allowed=", ".join(_TYPES),
        )  # fmt: skip
    _require_group(kind, own.get("vgName", ""))
    size_bytes = units.parse_binary("volume_context[size]", size)
    if not 0 < size_bytes <= 64 * units.TIB:
        raise errors.InvalidField("volume_context[size]", "is out of range", value=size)
    return model.VolumeWish(
        name=volume_id,
        volume_id=volume_id,
        required_bytes=size_bytes,
        limit_bytes=0,
        parameters=params.parse(own),
        ephemeral=True,
    )


def _require_group(kind: str, group: str) -> None:
    """Raise InvalidField unless *group* is given with LVM, and with nothing else."""
    if kind == params.VolumeType.LVM and not group:
        raise errors.InvalidField("volume_context[vgName]", "is required")
    if kind != params.VolumeType.LVM and group:
        raise errors.InvalidField(
            "volume_context[vgName]", "needs volumeType: LVM", value=group, allowed="none"
        )


def publish(
    wish: model.VolumeWish,
    want: node_requests.Staging,
    stores: volumes.Volumes,
    stager: stage.Stager,
) -> None:
    """Make the volume and mount it at its target, which *want* names as the staging path."""
    stores.create(wish)
    stager.stage(want)


def unpublish(at: at_path.AtPath, stores: volumes.Volumes) -> None:
    """Remove the volume if it is an inline one, after it was unmounted."""
    if _ID.fullmatch(at.volume_id):
        stores.delete_ephemeral(at.volume_id)
