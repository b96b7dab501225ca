"""CreateSnapshot, DescribeSnapshots, DeleteSnapshot. Rules and time: snapshots.py."""

import dataclasses
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim.ecs import disk_model, disks, lists, names, snapshot_model, snapshot_view, snapshots
from sim.ecs.snapshot_model import Snapshot

VERSION = "2014-05-26"
_MAX_IDS = 100
_MAX_RETENTION_DAYS = 65536


@actions.action(VERSION, "CreateSnapshot", idempotent=True)
def create_snapshot(call: actions.Call) -> dict[str, Any]:
    """A snapshot that is cut and then completed after the world's latencies."""
    cloud, params = call.cloud, call.params
    disk = disks.require(cloud, params.required("DiskId"))
    name, description = params.text("SnapshotName"), params.text("Description")
    require_snapshot_name("SnapshotName", name)
    names.require_description(description)
    days = params.integer(
        "RetentionDays", 0, 1, _MAX_RETENTION_DAYS, code="InvalidRetentionDays.Malformed"
    )
    tags = names.parse_tags(params.structs("Tag"))
    snapshots.require_can_cut(cloud, disk)
    snapshot = dataclasses.replace(
        snapshots.begin(cloud, disk),
        name=name,
        description=description,
        retention_days=days or 0,
        resource_group_id=params.text("ResourceGroupId"),
        tags=tags,
    )
    snapshots.put(cloud, snapshot)
    return {"SnapshotId": snapshot.snapshot_id}


def require_snapshot_name(field: str, value: str) -> None:
    """A usual name that does not start with `auto`. 400 InvalidSnapshotName.Malformed."""
    names.require_name(field, value, code="InvalidSnapshotName.Malformed")
    if value.startswith("auto"):
        raise errors.invalid_parameter(
            field, value, "a name that does not start with auto", "InvalidSnapshotName.Malformed"
        )


@actions.action(VERSION, "DescribeSnapshots")
def describe_snapshots(call: actions.Call) -> dict[str, Any]:
    """Snapshots that pass all filters, newest first; unknown ids are absent from the answer."""
    cloud, params = call.cloud, call.params
    lists.refuse_dry_run(params)
    ids = lists.id_filter(params, "SnapshotIds", maximum=_MAX_IDS)
    rows = cloud.view.all(snapshot_model.KIND)
    found = [Snapshot.from_row(row) for row in rows if ids is None or row["snapshot_id"] in ids]
    found = [row for row in found if lists.created_in(params, row.creation_time)]
    chosen = snapshot_view.choose(params, found, disk_ids=_disks_of_instance(call))
    used = {row["source_snapshot_id"] for row in cloud.view.all(disk_model.KIND)}
    usage = params.text("Usage")
    if usage:
        chosen = [row for row in chosen if _usage(row, used) == usage]
    page = paging.either(params, chosen, lambda row: row.snapshot_id)
    now_s = cloud.clock.now_s()
    shown = [
        snapshot_view.to_api(
            row,
            usage=_usage(row, used),
            remain_s=None if row.done_due_s is None else row.done_due_s - now_s,
        )
        for row in page.items
    ]
    return {**page.fields, "Snapshots": {"Snapshot": shown}}


def _usage(snapshot: Snapshot, used: set[str]) -> str:
    return "disk" if snapshot.snapshot_id in used else "none"


def _disks_of_instance(call: actions.Call) -> frozenset[str] | None:
    instance_id = call.params.text("InstanceId")
    if not instance_id:
        return None
    return frozenset(disk.disk_id for disk in disks.on_instance(call.cloud, instance_id))


@actions.action(VERSION, "DeleteSnapshot")
def delete_snapshot(call: actions.Call) -> dict[str, Any]:
    """Delete a snapshot; one that disks were made from only with Force=true.

    A snapshot that is still being made is cancelled.
    """
    cloud = call.cloud
    snapshot = snapshots.require(cloud, call.params.required("SnapshotId"))
    if not call.params.boolean("Force"):
        require_unused(cloud, snapshot)
    snapshots.delete(cloud, snapshot)
    return {}


def require_unused(cloud: cloud_module.Cloud, snapshot: Snapshot) -> None:
    """403 SnapshotCreatedDisk while a disk exists that was made from the snapshot."""
    made = cloud.store.by(disk_model.KIND, "source_snapshot_id", snapshot.snapshot_id)
    if made:
        raise errors.ApiError(
            "SnapshotCreatedDisk",
            403,
            f"The snapshot {snapshot.snapshot_id} has been used to create disk "
            f"{made[0]['disk_id']}; use Force to delete it all the same.",
        )
