"""Snapshots of logical volumes: thick ones with room of their own for changes, and thin ones.

A snapshot is made in one command. LVM makes a thick one in two steps of its own: what it leaves
when it is killed between them is a volume with our tags and no origin, and is made again.
"""

import structlog

from core import call, clock, errors
from csi.lvm import model, names, tags
from csi.lvm.stores.logical import groups, wiping
from host import luks, lvm_model

log = structlog.get_logger()


class Snapshots:
    """The snapshots on this node. time: when they are made."""

    def __init__(self, allowed: groups.Groups, time: clock.Clock) -> None:
        self._groups = allowed
        self._time = time

    def create(self, want: model.SnapshotWish) -> model.Snapshot:
        """The snapshot of *want*, made if need be.

        Raises NotFound for the volume, Exists when the name is that of another volume's, Exhausted.
        """
        call.doing(f"making snapshot {want.snapshot_id}")
        rows = self._groups.volumes()
        there = next((row for row in rows if row.name == want.snapshot_id), None)
        if there is not None:
            _require_same(there, want)
            if (there.origin or there.pool) and not tags.is_unusable(there.tags):
                return _snapshot(there)
            wiping.wipe_and_remove(self._groups.commands(), there)
        source = _source(rows, want.volume_id)
        wish = lvm_model.SnapshotWish(
            name=want.snapshot_id,
            group=source.group,
            origin=source.name,
            size_bytes=0 if source.pool else _room(want, source),
            tags=self._tags(want, source),
        )
        with self._groups.planning():
            if source.pool:
                self._groups.require_promise(source.group, source.pool, source.size_bytes)
            with luks.still(names.of_container(source.name)):
                self._groups.commands().snapshot(wish)
        made = self._groups.commands().find(source.group, want.snapshot_id)
        if made is None:
            raise errors.Unavailable(f"snapshot {want.snapshot_id} vanished while it was made")
        return _snapshot(made)

    def delete(self, snapshot_id: str) -> None:
        """Remove the snapshot; one that is not there is fine.

        Raises Precondition while a read-only volume of it exists, and for what is no snapshot.
        """
        call.doing(f"removing snapshot {snapshot_id}")
        if not self._groups.devices():
            return
        on = self._groups.commands()
        with self._groups.planning():  # so that it does not become a volume meanwhile
            row = self._deletable(snapshot_id)
            if row is None:
                return
            if not tags.value(row.tags, tags.WIPE):
                on.remove(row.group, row.name)
                return
            on.retag(row.group, row.name, add=[tags.GOING])
        wiping.wipe_and_remove(on, row)

    def _deletable(self, snapshot_id: str) -> lvm_model.LogicalVolume | None:
        """The snapshot, None when there is none. Raises Precondition."""
        for row in self._groups.volumes():
            if row.name != snapshot_id:
                continue
            if not {tags.OWNER, tags.SNAPSHOT} <= row.tags:
                raise errors.Precondition(f"{row.group}/{row.name} is no snapshot of ours")
            if tags.PROTECTED in row.tags:
                raise wiping.Protected(row)
            shown = tags.values(row.tags, tags.IS_VOLUME)
            if shown:
                raise errors.Precondition(
                    f"snapshot {snapshot_id} is volume {', '.join(shown)} too; delete that first"
                )
            return row
        return None

    def listed(self) -> list[model.Snapshot]:
        """Our snapshots, by id."""
        own = [_snapshot(row) for row in self._groups.volumes() if _is_snapshot(row)]
        return sorted(own, key=lambda snapshot: snapshot.snapshot_id)

    def _tags(self, want: model.SnapshotWish, source: lvm_model.LogicalVolume) -> tuple[str, ...]:
        own = [
            tags.OWNER,
            tags.SNAPSHOT,
            f"{tags.NAME}{names.digest(want.name)}",
            f"{tags.SOURCE}{source.name}",
            f"{tags.TIME}{int(self._time.now().timestamp())}",
        ]
        if want.read_only:
            own.append(tags.READ_ONLY)
        if tags.FRESH in source.tags:
            own.append(tags.FRESH)
        own += inherited(source)
        if not source.pool and want.grow_percent:
            own.append(f"{tags.GROW}{want.grow_percent}+{want.grow_bytes}")
        return tuple(own)


def inherited(source: lvm_model.LogicalVolume) -> list[str]:
    """Tags that a snapshot of *source* has because that has them.

    A thick snapshot keeps what was in the volume, which is to be wiped as the volume is. A thin one
    has it in common with the volume, and the pool empties what it gives away.
    """
    policy = tags.value(source.tags, tags.WIPE)
    return [f"{tags.WIPE}{policy}"] if policy and not source.pool else []


def _source(rows: list[lvm_model.LogicalVolume], volume_id: str) -> lvm_model.LogicalVolume:
    for row in rows:
        if row.name == volume_id and {tags.OWNER, tags.VOLUME} <= row.tags:
            if tags.is_unusable(row.tags):
                raise errors.Precondition(f"volume {volume_id} is not complete, or going")
            return row
    raise errors.NotFound(f"there is no volume {volume_id} on this node")


def _room(want: model.SnapshotWish, source: lvm_model.LogicalVolume) -> int:
    """Room for changes. LVM takes no more of it than a change of everything would need."""
    return min(want.room_bytes, 2 * source.size_bytes)


def _require_same(there: lvm_model.LogicalVolume, want: model.SnapshotWish) -> None:
    own = {tags.OWNER, tags.SNAPSHOT, f"{tags.NAME}{names.digest(want.name)}"}
    if not own <= there.tags:
        raise errors.Exists(f"{there.group}/{there.name} is there, and is not this snapshot")
    source = tags.value(there.tags, tags.SOURCE)
    if source != want.volume_id:
        raise errors.Exists(f"snapshot {there.name} is of volume {source}, not {want.volume_id}")


def _is_snapshot(row: lvm_model.LogicalVolume) -> bool:
    is_one = {tags.OWNER, tags.SNAPSHOT} <= row.tags and not tags.is_unusable(row.tags)
    return is_one and bool(row.origin or row.pool)


def _snapshot(row: lvm_model.LogicalVolume) -> model.Snapshot:
    is_lost = row.is_thick_snapshot and (row.data_percent or 0.0) >= 100.0
    return model.Snapshot(
        snapshot_id=row.name,
        volume_id=tags.value(row.tags, tags.SOURCE),
        size_bytes=row.content_bytes,
        time_s=int(tags.value(row.tags, tags.TIME) or 0),
        is_ready=not is_lost and not row.health,
    )
