"""Logical volumes that are made before it is sure that they may be: of volumes of the old drivers.

Such a volume says that it is not complete, so that nobody uses it, and that it is fresh. It counts
once the cluster knows where it is (`csi.lvm.old_volumes`); until then it is worthless, and what a
killed call leaves is collected like any other leftover.
"""

import structlog

from core import errors
from csi.lvm import model, tags
from csi.lvm.stores.logical import groups, logical_volumes, wiping
from host import lvm_model

log = structlog.get_logger()

_OWN = frozenset({tags.OWNER, tags.VOLUME, tags.FRESH, tags.MAKING})


class Unclaimed:
    """The unclaimed volumes of this node. Blocking; the callers hold the volume's lock."""

    def __init__(self, allowed: groups.Groups, volumes: logical_volumes.LogicalVolumes) -> None:
        self._groups = allowed
        self._volumes = volumes

    def has(self, volume_id: str) -> bool:
        """Whether there is such a volume, unclaimed."""
        return bool(self._rows(volume_id))

    def make(self, want: model.VolumeWish) -> None:
        """Make it, or make it again. Raises Precondition without its group, else as `create`."""
        group = want.parameters.group
        try:
            self._groups.extent_bytes(group)
        except errors.NotFound as e:
            raise errors.Precondition(
                f"volume group {group} of volume {want.volume_id} is not on this node: bring its "
                "disks and name them in LVM_DEVICES, or make it with LVM_CREATE_GROUPS"
            ) from e
        self._volumes.create(want)

    def claim(self, volume_id: str) -> None:
        """Let it count."""
        for row in self._rows(volume_id):
            self._groups.commands().retag(row.group, row.name, delete=[tags.MAKING])
            log.info("logical volume claimed", group=row.group, name=row.name)

    def discard(self, volume_id: str) -> None:
        """Remove it; a volume that counts stays."""
        for row in self._rows(volume_id):
            wiping.wipe_and_remove(self._groups.commands(), row)

    def _rows(self, volume_id: str) -> list[lvm_model.LogicalVolume]:
        return [row for row in self._groups.volumes() if row.name == volume_id and row.tags >= _OWN]
