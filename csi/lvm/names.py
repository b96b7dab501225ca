"""Names of volumes and snapshots: the request's own where LVM takes it. Pure.

A volume's id is the name of its logical volume, and that is the PersistentVolume's name, as in the
reference. Device-mapper has room for 127 characters of group and volume, hyphens counted twice.
"""

import hashlib

from host import lvm_commands

_KEPT_MAX = 64
_DIGEST_CHARS = 32
_PREFIX = "csi-"


def of_volume(name: str) -> str:
    """Volume id for a CreateVolume with *name*."""
    return name if _fits(name) else f"{_PREFIX}{digest(name)}"


def of_snapshot(name: str) -> str:
    """Snapshot id for a CreateSnapshot with *name*; LVM keeps names that begin with snapshot."""
    own = f"{_PREFIX}{name}"
    return own if _fits(own) else f"{_PREFIX}snap-{digest(name)}"


def of_scratch(volume_id: str) -> str:
    """Name of the snapshot from which *volume_id* is being copied."""
    return f"{_PREFIX}copy-{digest(volume_id)}"


def of_container(volume_id: str) -> str:
    """Name of the open container of an encrypted *volume_id*, which may be too long to be one."""
    return f"{_PREFIX}luks-{volume_id}"


def can_be_ours(volume_id: str) -> bool:
    """Whether a volume or a snapshot can have this id at all."""
    return lvm_commands.is_name(volume_id)


def digest(text: str) -> str:
    """A short stand-in for any text."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARS]


def _fits(name: str) -> bool:
    return lvm_commands.is_name(name) and len(name) + name.count("-") <= _KEPT_MAX
