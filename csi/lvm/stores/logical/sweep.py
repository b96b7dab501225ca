"""What a collection does to a logical volume, once more checked. Blocking."""

import pathlib
import time

import structlog

from core import errors
from csi.lvm import collection, tags
from csi.lvm.stores import store
from csi.lvm.stores.logical import groups, wiping
from host import lvm_model

log = structlog.get_logger()

Fate = collection.Fate


class Sweep:
    """The logical volumes of this node; the callers hold the volume's lock."""

    def __init__(self, allowed: groups.Groups) -> None:
        self._groups = allowed

    def candidates(self) -> list[collection.Candidate]:
        """Every logical volume of every group that may be used."""
        rows = self._groups.volumes()
        origins = {(row.group, row.origin) for row in rows if row.is_thick_snapshot}
        return [
            collection.Candidate(
                name=row.name,
                where=row.group,
                identity=row.uuid,
                tags=row.tags,
                is_open=row.is_open,
                has_snapshots=(row.group, row.name) in origins,
            )
            for row in rows
        ]

    def carry_out(self, found: collection.Candidate, fate: Fate) -> None:
        """Do it, unless *found* has changed since. Raises Busy for one in use."""
        on = self._groups.commands()
        row = on.find(found.where, found.name)
        if row is None or (row.uuid, row.tags, row.is_open) != (
            found.identity,
            found.tags,
            found.is_open,
        ):
            return
        stale = [f"{tags.STALE}{told}" for told in tags.values(row.tags, tags.STALE)]
        match fate:
            case Fate.MARK:
                mark = f"{tags.STALE}{int(time.time())}"
                on.retag(row.group, row.name, add=[mark], delete=stale)
                log.info("nobody names a volume of ours", group=row.group, name=row.name)
            case Fate.UNMARK:
                on.retag(row.group, row.name, delete=stale)
            case Fate.RETAIN:
                on.retag(row.group, row.name, add=[tags.RETAINED], delete=stale)
            case Fate.RELEASE:
                on.retag(row.group, row.name, delete=[tags.RETAINED])
            case Fate.REMOVE:
                _require_unmounted(row)
                # In one step: who stages it takes that mark away before, and looks again after.
                on.retag_marked(row.group, row.uuid, marked=stale, add=tags.GOING)
                row = on.find(row.group, row.name)
                if row is None or row.uuid != found.identity or tags.GOING not in row.tags:
                    return
                log.info("removing what nobody names", group=row.group, name=row.name, seen=stale)
                wiping.wipe_and_remove(on, row)
            case Fate.KEEP:
                pass


def _require_unmounted(row: lvm_model.LogicalVolume) -> None:
    """Raise Busy while it is mounted, or bound as a device: LVM sees only what is open."""
    device = pathlib.Path(row.device)
    if device.is_block_device() and store.is_mounted(device):
        raise errors.Busy(f"volume {row.group}/{row.name} is published; unpublish it first")
