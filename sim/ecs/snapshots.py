"""Snapshots in the store: reading, the rules for making one, and what happens to them in time.

The actions are in snapshot_actions.py and snapshot_groups.py.
"""

import dataclasses
from collections.abc import Iterable

from sim import actions, errors
from sim import cloud as cloud_module
from sim.ecs import behaviour, categories, hands, instances, refusals, snapshot_model
from sim.ecs.disk_model import Disk, DiskStatus
from sim.ecs.snapshot_model import Snapshot
from sim.hardware import api

_DAY_S = 86_400


def find(cloud: cloud_module.Cloud, snapshot_id: str) -> Snapshot | None:
    """The snapshot, or None when it is absent or being deleted."""
    row = cloud.store.get(snapshot_model.KIND, snapshot_id)
    if row is None:
        return None
    snapshot = Snapshot.from_row(row)
    return None if snapshot.delete_due_s is not None else snapshot


def require(cloud: cloud_module.Cloud, snapshot_id: str) -> Snapshot:
    """The snapshot; 404 InvalidSnapshotId.NotFound."""
    snapshot = find(cloud, snapshot_id)
    if snapshot is None:
        raise refusals.snapshot_not_found(snapshot_id)
    return snapshot


def put(cloud: cloud_module.Cloud, snapshot: Snapshot) -> None:
    """Store the snapshot."""
    cloud.store.put(snapshot_model.KIND, snapshot.snapshot_id, snapshot.row())


def of_disk(cloud: cloud_module.Cloud, disk_id: str) -> list[Snapshot]:
    """Snapshots of a disk, oldest first, without those being deleted."""
    rows = cloud.store.by(snapshot_model.KIND, "source_disk_id", disk_id)
    return [Snapshot.from_row(row) for row in rows if row["delete_due_s"] is None]


def being_cut(cloud: cloud_module.Cloud, disk_id: str) -> bool:
    """Whether a snapshot of the disk has been asked for and not cut yet."""
    return any(not snapshot.is_cut for snapshot in of_disk(cloud, disk_id))


def require_can_cut(cloud: cloud_module.Cloud, disk: Disk) -> None:
    """Refuse a disk that cannot be snapshotted now; codes of CreateSnapshot and -Group."""
    if categories.find(disk.category).ephemeral:
        raise errors.ApiError(
            "InvalidDiskCategory.NotSupported",
            403,
            f"A disk of category {disk.category} does not support snapshots.",
        )
    if disk.status not in {DiskStatus.AVAILABLE, DiskStatus.IN_USE}:
        raise refusals.incorrect_disk_status(disk.disk_id, disk.status, "In_use or Available")
    for attachment in disk.attachments:
        instances.require_running_or_stopped(cloud, attachment.instance_id)
    if behaviour.of(cloud).snapshot_needs_attach and not disk.ever_attached:
        raise errors.ApiError(
            "IncorrectDiskStatus.NeverAttached",
            403,
            f"The specified disk {disk.disk_id} has never been attached to an instance.",
        )
    existing = of_disk(cloud, disk.disk_id)
    if any(not row.is_cut or not (row.available or row.instant_access) for row in existing):
        raise errors.ApiError(
            "IncorrectDiskStatus.CreatingSnapshot",
            403,
            f"A previous snapshot creation is in process on disk {disk.disk_id}.",
        )
    if len(existing) >= cloud.world.quotas.snapshots_per_disk:
        raise errors.ApiError(
            "QuotaExceed.Snapshot",
            403,
            f"The snapshot quota of disk {disk.disk_id} exceeds "
            f"{cloud.world.quotas.snapshots_per_disk}.",
        )


def begin(cloud: cloud_module.Cloud, disk: Disk) -> Snapshot:
    """A snapshot of *disk* that is about to be cut; not stored yet."""
    now_s = cloud.clock.now_s()
    cut_due_s = now_s + cloud.latency("snapshot_cut")
    return Snapshot(
        snapshot_id=cloud.ids.new("s"),
        region_id=disk.region_id,
        source_disk_id=disk.disk_id,
        source_disk_size_gib=disk.size_gib,
        source_disk_type=disk.type,
        source_category=disk.category,
        last_modified_time=cloud.clock.timestamp(now_s),
        encrypted=disk.encrypted,
        kms_key_id=disk.kms_key_id,
        instant_access=categories.find(disk.category).instant_access,
        cut_due_s=cut_due_s,
        done_due_s=cut_due_s + cloud.latency("snapshot_complete"),
    )


def delete(cloud: cloud_module.Cloud, snapshot: Snapshot) -> None:
    """Let the snapshot vanish after the world's latency, at once when that is 0."""
    latency_s = cloud.latency("delete_snapshot")
    if latency_s > 0:
        put(
            cloud,
            dataclasses.replace(snapshot, delete_due_s=cloud.clock.now_s() + latency_s),
        )
        return
    cloud.store.delete(snapshot_model.KIND, snapshot.snapshot_id)
    hands.act(cloud, lambda hardware: hardware.delete_snapshot(snapshot.snapshot_id))


@actions.settler
def settle(cloud: cloud_module.Cloud, now_s: float) -> float | None:
    """Cut, complete, expire and delete what is due. Members of a group are cut together."""
    pending = [
        Snapshot.from_row(row)
        for row in cloud.store.all(snapshot_model.KIND)
        if row["due_s"] is not None
    ]
    due = [snapshot for snapshot in pending if (snapshot.due_s or 0.0) <= now_s]
    gone = [
        row for row in due if _is_past(row.delete_due_s, now_s) or _is_past(row.expire_due_s, now_s)
    ]
    for snapshot in gone:
        _remove(cloud, snapshot, now_s)
    alive = [snapshot for snapshot in due if snapshot not in gone]
    cuts: dict[str, list[Snapshot]] = {}
    for snapshot in alive:
        if _is_past(snapshot.cut_due_s, now_s):
            cuts.setdefault(snapshot.group_id or snapshot.snapshot_id, []).append(snapshot)
        else:
            put(cloud, _settle_done(snapshot, now_s))
    for members in cuts.values():
        _cut(cloud, members, now_s)
    rows = cloud.store.all(snapshot_model.KIND)
    return min((row["due_s"] for row in rows if row["due_s"] is not None), default=None)


def _cut(cloud: cloud_module.Cloud, members: Iterable[Snapshot], now_s: float) -> None:
    members = list(members)
    # System disks are records only (seeds.py), so there is nothing to copy.
    cuts = [
        api.Cut(disk_id=row.source_disk_id, snapshot_id=row.snapshot_id)
        for row in members
        if row.has_image
    ]
    if not hands.settle(cloud, lambda hardware: hardware.cut(cuts)):
        for snapshot in members:
            put(cloud, dataclasses.replace(snapshot, cut_due_s=now_s + hands.RETRY_S))
        return
    at = cloud.clock.timestamp(now_s)
    for snapshot in members:
        days = snapshot.retention_days
        cut = dataclasses.replace(
            snapshot,
            cut_due_s=None,
            creation_time=at,
            last_modified_time=at,
            expire_due_s=now_s + days * _DAY_S if days else None,
        )
        put(cloud, _settle_done(cut, now_s))


def _settle_done(snapshot: Snapshot, now_s: float) -> Snapshot:
    if _is_past(snapshot.done_due_s, now_s):
        return dataclasses.replace(snapshot, done_due_s=None)
    return snapshot


def _remove(cloud: cloud_module.Cloud, snapshot: Snapshot, now_s: float) -> None:
    if hands.settle(cloud, lambda hardware: hardware.delete_snapshot(snapshot.snapshot_id)):
        cloud.store.delete(snapshot_model.KIND, snapshot.snapshot_id)
    else:
        put(cloud, dataclasses.replace(snapshot, delete_due_s=now_s + hands.RETRY_S))


def _is_past(due_s: float | None, now_s: float) -> bool:
    return due_s is not None and due_s <= now_s
