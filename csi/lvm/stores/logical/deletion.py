"""How a logical volume goes: only what a request names, is ours, and nobody uses.

A plain volume takes one command, in which LVM itself looks at the tags. Others are looked at first,
and are wiped as their class wants: `wiping`.
"""

import pathlib
from collections.abc import Sequence

from core import call, errors
from csi.lvm import names, settings, tags
from csi.lvm.stores import store
from csi.lvm.stores.logical import groups, logical_rows, wiping
from host import lvm_model


class NotOurs(errors.Precondition):
    """A volume in our group that this driver did not make."""

    def __init__(self, row: lvm_model.LogicalVolume) -> None:
        super().__init__(
            f"volume {row.group}/{row.name} lacks tag {tags.OWNER}, so it is not removed; if it is "
            f"this driver's, as one of the reference's is: lvchange --addtag {tags.OWNER} "
            f"{row.group}/{row.name}, or set LVM_ADOPT=true"
        )


class Deletion:
    """Removes logical volumes. Blocking; the callers hold the volume's lock."""

    def __init__(self, config: settings.LocalSettings, allowed: groups.Groups) -> None:
        self._config = config
        self._groups = allowed

    def delete(self, volume_id: str) -> bool:
        """Remove the volume; whether there was one. Raises Busy, Precondition, NotOurs."""
        if not self._groups.devices() or not names.can_be_ours(volume_id):
            return False
        call.doing(f"removing volume {volume_id}")
        self._require_unpublished(volume_id)
        if self._remove_tagged(volume_id, tags.PLAIN):
            return True
        rows = self._groups.volumes()
        shown = [row for row in rows if f"{tags.IS_VOLUME}{volume_id}" in row.tags]
        for row in shown:
            tag = f"{tags.IS_VOLUME}{volume_id}"
            self._groups.commands().retag(row.group, row.name, delete=[tag])
        named = [row for row in rows if row.name == volume_id]
        # What only has the name, in another group, is nobody's concern while one of them is ours.
        own = [row for row in named if tags.OWNER in row.tags] or named
        for row in own:
            if self._remove_copies(row, rows):
                rows = self._groups.volumes()
            self._require_removable(row, rows)
            wiping.wipe_and_remove(self._groups.commands(), row)
        return bool(shown or own)

    def delete_ephemeral(self, volume_id: str) -> None:
        """Remove the volume if it goes with its pod; another one stays."""
        if self._groups.devices():
            self._remove_tagged(volume_id, tags.EPHEMERAL)

    def _remove_tagged(self, volume_id: str, tag: str) -> bool:
        """Remove what is ours and has *tag*, in one step; whether there was one."""
        return self._groups.commands().remove_tagged(
            volume_id, (tags.OWNER, tag), unless=tags.PROTECTED, groups=self._config.groups
        )

    def _remove_copies(
        self, row: lvm_model.LogicalVolume, rows: Sequence[lvm_model.LogicalVolume]
    ) -> bool:
        """Remove the snapshots that killed copies of *row* left; whether there were any."""
        left = [
            each
            for each in rows
            if (each.group, each.origin) == (row.group, row.name)
            and {tags.OWNER, tags.SCRATCH} <= each.tags
            and not each.is_open
        ]
        for each in left:
            wiping.wipe_and_remove(self._groups.commands(), each)
        return bool(left)

    def _require_unpublished(self, volume_id: str) -> None:
        """Raise Busy while it is mounted, or bound as a device: LVM sees only what is open."""
        for link in pathlib.Path("/dev").glob(f"*/{volume_id}"):
            usable = self._groups.allows(link.parent.name) and link.is_block_device()
            if usable and store.is_mounted(link):
                raise errors.Busy(f"volume {volume_id} is published; unpublish it first")

    def _require_removable(
        self, row: lvm_model.LogicalVolume, rows: Sequence[lvm_model.LogicalVolume]
    ) -> None:
        if tags.PROTECTED in row.tags:
            raise wiping.Protected(row)
        if tags.OWNER not in row.tags and not self._config.adopt:
            raise NotOurs(row)
        if tags.OWNER in row.tags and tags.VOLUME not in row.tags:
            raise errors.Precondition(f"{row.group}/{row.name} is no volume, but a snapshot or so")
        if row.layout in (lvm_model.Layout.POOL, lvm_model.Layout.OTHER) or row.is_thick_snapshot:
            raise errors.Precondition(f"{row.group}/{row.name} is no volume: {row.layout}")
        logical_rows.require_no_thick_snapshots(row, rows, "be deleted")
        if row.is_open:
            raise errors.Busy(f"volume {row.group}/{row.name} is in use; unpublish it first")
