"""CreateSnapshotGroup, DescribeSnapshotGroups, DeleteSnapshotGroup.

Limits: at most 16 disks (a world quota) and 32 TiB, one zone, ESSD family, no multi-attach
(API pages of 2024; the newest SDK comments say 128 disks and 256 TiB: the stricter numbers rule).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim import params as params_module
from sim.ecs import (
    categories,
    disks,
    instances,
    names,
    refusals,
    snapshot_model,
    snapshot_view,
    snapshots,
)
from sim.ecs.disk_model import AttachmentState, Disk
from sim.ecs.snapshot_model import Group, Snapshot

VERSION = "2014-05-26"
_MAX_TOTAL_GIB = 32 * 1024
_MAX_IDS = 10


@actions.action(VERSION, "CreateSnapshotGroup", idempotent=True)
def create_snapshot_group(call: actions.Call) -> dict[str, Any]:
    """Snapshots of several disks, cut together."""
    cloud, params = call.cloud, call.params
    instance_id = params.text("InstanceId")
    name, description = params.text("Name"), params.text("Description")
    names.require_name("Name", name, code="InvalidName.Malformed")
    names.require_description(description)
    tags = names.parse_tags(params.structs("Tag"))
    members = _choose_disks(cloud, params, instance_id)
    _require_groupable(cloud, members)
    for disk in members:
        snapshots.require_can_cut(cloud, disk)
    group = Group(
        group_id=cloud.ids.new("ssg"),
        instance_id=instance_id,
        name=name,
        description=description,
        creation_time=cloud.clock.timestamp(),
        resource_group_id=params.text("ResourceGroupId"),
        tags=tags,
    )
    cloud.store.put(snapshot_model.GROUP_KIND, group.group_id, group.row())
    for disk in members:
        snapshot = dataclasses.replace(
            snapshots.begin(cloud, disk),
            # How clients find the group of a member: spec/csi-driver.md 2.12.
            name=f"Created_from_{group.group_id}",
            description=f"Created_from_{group.group_id}",
            group_id=group.group_id,
            resource_group_id=group.resource_group_id,
        )
        snapshots.put(cloud, snapshot)
    return {"SnapshotGroupId": group.group_id}


def _choose_disks(
    cloud: cloud_module.Cloud, params: params_module.Params, instance_id: str
) -> list[Disk]:
    """Disks named, or those of the instance without the excluded ones."""
    disk_ids, excluded = params.strings("DiskId"), params.strings("ExcludeDiskId")
    if disk_ids and excluded:
        raise errors.ApiError(
            "InvalidParameter.Conflict",
            400,
            "DiskId.N and ExcludeDiskId.N cannot be given together.",
        )
    if not instance_id:
        if not disk_ids:
            raise errors.missing_parameter("DiskId.N")
        return [disks.require(cloud, disk_id) for disk_id in dict.fromkeys(disk_ids)]
    instances.require(cloud, instance_id)
    attached = {
        disk.disk_id: disk
        for disk in disks.on_instance(cloud, instance_id)
        if any(item.state is AttachmentState.ATTACHED for item in disk.attachments)
    }
    for disk_id in [*disk_ids, *excluded]:
        disks.require(cloud, disk_id)
        if disk_id not in attached:
            raise errors.ApiError(
                "DependencyViolation",
                403,
                f"The specified disk {disk_id} has not been attached on the specified instance "
                f"{instance_id}.",
            )
    return [attached[disk_id] for disk_id in disk_ids or attached if disk_id not in excluded]


def _require_groupable(cloud: cloud_module.Cloud, members: Sequence[Disk]) -> None:
    limit = cloud.world.quotas.snapshot_group_disks
    if not 1 <= len(members) <= limit:
        raise errors.invalid_parameter("DiskId.N", f"{len(members)} disks", f"1 to {limit} disks")
    for disk in members:
        if not categories.find(disk.category).group_snapshot:
            raise errors.ApiError(
                "InvalidDiskCategory.NotSupported",
                403,
                f"Disk {disk.disk_id} is {disk.category}; snapshot groups take the ESSD family "
                "only.",
            )
        if disk.multi_attach:
            raise refusals.multi_attach_disk(disk.disk_id)
    if len({disk.zone_id for disk in members}) > 1:
        raise errors.ApiError(
            "ResourcesNotInSameZone", 403, "The disks of a snapshot group must be in one zone."
        )
    total_gib = sum(disk.size_gib for disk in members)
    if total_gib > _MAX_TOTAL_GIB:
        raise errors.invalid_parameter(
            "DiskId.N", f"{total_gib} GiB in all", f"up to {_MAX_TOTAL_GIB} GiB in all"
        )


@actions.action(VERSION, "DescribeSnapshotGroups")
def describe_snapshot_groups(call: actions.Call) -> dict[str, Any]:
    """Groups that pass all filters, newest first."""
    params, view = call.params, call.cloud.view
    ids, statuses = params.strings("SnapshotGroupId"), params.strings("Status")
    if len(ids) > _MAX_IDS:
        raise errors.invalid_parameter("SnapshotGroupId.N", f"{len(ids)} ids", f"up to {_MAX_IDS}")
    tags = names.parse_filter(params.structs("Tag"))
    members: dict[str, list[Snapshot]] = {}
    for row in view.all(snapshot_model.KIND):
        members.setdefault(row["group_id"], []).append(Snapshot.from_row(row))
    groups = [Group.from_row(row) for row in view.all(snapshot_model.GROUP_KIND)]
    found = [
        group
        for group in reversed(groups)
        if (not ids or group.group_id in ids)
        and params.text("Name") in ("", group.name)
        and params.text("InstanceId") in ("", group.instance_id)
        and params.text("ResourceGroupId") in ("", group.resource_group_id)
        and names.match(group.tags, tags)
        and (
            not statuses or snapshot_view.group_status(members.get(group.group_id, [])) in statuses
        )
    ]
    page = paging.by_token(params, found, lambda group: group.group_id)
    rows = [
        snapshot_view.group_to_api(group, members.get(group.group_id, [])) for group in page.items
    ]
    return {**page.fields, "SnapshotGroups": {"SnapshotGroup": rows}}


@actions.action(VERSION, "DeleteSnapshotGroup")
def delete_snapshot_group(call: actions.Call) -> dict[str, Any]:
    """Delete the group and all its snapshots, also those that disks were made from."""
    cloud = call.cloud
    group_id = call.params.required("SnapshotGroupId")
    if cloud.store.get(snapshot_model.GROUP_KIND, group_id) is None:
        raise refusals.snapshot_not_found(group_id)
    members = [
        Snapshot.from_row(row)
        for row in cloud.store.by(snapshot_model.KIND, "group_id", group_id)
        if row["delete_due_s"] is None
    ]
    cloud.store.delete(snapshot_model.GROUP_KIND, group_id)
    for snapshot in members:
        snapshots.delete(cloud, snapshot)
    progress = [
        {
            "ErrorCode": "",
            "ErrorMsg": "",
            "OperationStatus": "Success",
            "RelatedItemSet": {
                "RelatedItem": [{"Name": "SnapshotId", "Value": snapshot.snapshot_id}]
            },
        }
        for snapshot in members
    ]
    return {"OperationProgressSet": {"OperationProgress": progress}}
