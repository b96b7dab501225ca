"""Which access modes and types a disk can serve. Pure.

Source: spec/csi-driver.md 2.4 (last lines), spec/conformance.md b.4.
"""

from collections.abc import Sequence

from core import errors
from csi import requests
from csi.disk.controller import params

Mode = requests.AccessMode


def require(
    capabilities: Sequence[requests.VolumeCapability], *, multi_attach: bool, restored: bool = False
) -> None:
    """Raise InvalidField for the first of *capabilities* that a disk cannot serve.

    multi_attach: whether the disk can be attached to several instances.
    restored: made from a snapshot, so it may hold any file system already.
    """
    for capability in capabilities:
        why = choose_refusal(capability, multi_attach=multi_attach)
        if why:
            raise errors.InvalidField(
                "volume_capability.access_mode", why, value=str(capability.mode)
            )
        if not restored:
            params.require_fs_type("volume_capability.fs_type", capability.fs_type)
        if capability.mount_group:
            raise errors.InvalidField(
                "volume_capability.volume_mount_group",
                "is not supported",
                value=capability.mount_group,
                allowed="none; kubelet applies fsGroup itself",
            )


def choose_refusal(capability: requests.VolumeCapability, *, multi_attach: bool) -> str:
    """Why a disk cannot serve the mode of *capability*, "" when it can.

    | mode | single-attach disk | multi-attach, mount | multi-attach, block |
    | SINGLE_NODE_* | yes | yes | yes |
    | MULTI_NODE_READER_ONLY | no | yes | yes |
    | MULTI_NODE_SINGLE_WRITER, MULTI_NODE_MULTI_WRITER | no | no | yes |
    """
    if not capability.mode.multi_node:
        return ""
    if not multi_attach:
        return "needs a disk made with multiAttach: true"
    if capability.mode is Mode.MULTI_NODE_READER_ONLY:
        return ""
    if capability.access is not requests.AccessType.BLOCK:
        return "needs block access: a file system mounted on two nodes would be destroyed"
    return ""
