"""Stored snapshots and groups as the Describe calls show them."""

from collections.abc import Callable, Mapping
from typing import Any

from sim import params as params_module
from sim.ecs import names
from sim.ecs.snapshot_model import Group, Snapshot

_GIB = 1 << 30


def to_api(snapshot: Snapshot, *, usage: str, remain_s: float | None) -> dict[str, Any]:
    """One element of Snapshots.Snapshot.

    usage: none or disk. remain_s: seconds until it is complete, None = it is.
    """
    available = snapshot.available
    return {
        "SnapshotId": snapshot.snapshot_id,
        "SnapshotName": snapshot.name,
        "Description": snapshot.description,
        "RegionId": snapshot.region_id,
        "SourceRegionId": snapshot.region_id,
        "SourceDiskId": snapshot.source_disk_id,
        "SourceDiskSize": str(snapshot.source_disk_size_gib),
        "SourceDiskType": snapshot.source_disk_type,
        "SourceStorageType": "disk",
        "SourceSnapshotId": "",
        "Status": snapshot.status,
        "Progress": "100%" if available else "0%",
        "RemainTime": 0 if remain_s is None else max(1, round(remain_s)),
        "Available": available,
        "CreationTime": snapshot.creation_time,
        "LastModifiedTime": snapshot.last_modified_time,
        "RetentionDays": snapshot.retention_days,
        "InstantAccess": snapshot.instant_access,
        "InstantAccessRetentionDays": 0,
        "FullSnapshotSizeInBytes": snapshot.source_disk_size_gib * _GIB,
        "Category": "standard",
        "SnapshotType": "user",
        "SnapshotLinkId": f"sl-{snapshot.source_disk_id.removeprefix('d-')}",
        "SnapshotSN": snapshot.snapshot_id.removeprefix("s-"),
        "Usage": usage,
        "Encrypted": snapshot.encrypted,
        "KMSKeyId": snapshot.kms_key_id,
        "ProductCode": "",
        "ResourceGroupId": snapshot.resource_group_id,
        "Tags": {
            "Tag": [{"TagKey": key, "TagValue": value} for key, value in snapshot.tags.items()]
        },
    }


def choose(
    params: params_module.Params, snapshots: list[Snapshot], *, disk_ids: frozenset[str] | None
) -> list[Snapshot]:
    """Those that pass the filters of DescribeSnapshots, newest first.

    disk_ids: disks of the InstanceId filter, None when it is not given.
    """
    tags = names.parse_filter(params.structs("Tag"))
    texts: Mapping[str, Callable[[Snapshot], str]] = {
        "DiskId": lambda row: row.source_disk_id,
        "SnapshotName": lambda row: row.name,
        "ResourceGroupId": lambda row: row.resource_group_id,
        "KMSKeyId": lambda row: row.kms_key_id,
        "SnapshotLinkId": lambda row: f"sl-{row.source_disk_id.removeprefix('d-')}",
    }
    choices: Mapping[str, Callable[[Snapshot], str]] = {
        "Status": lambda row: row.status,
        "SnapshotType": lambda _: "user",
        "SourceDiskType": lambda row: row.source_disk_type,
        "Category": lambda _: "standard",
    }
    wanted = {name: params.text(name) for name in texts if name in params}
    chosen = {name: params.text(name).lower() for name in choices if name in params}
    encrypted = params.boolean("Encrypted")
    return [
        row
        for row in reversed(snapshots)
        if names.match(row.tags, tags)
        and (disk_ids is None or row.source_disk_id in disk_ids)
        and (row.encrypted or not encrypted)
        and all(texts[name](row) == value for name, value in wanted.items())
        and all(value in ("all", choices[name](row)) for name, value in chosen.items())
    ]


def group_status(members: list[Snapshot]) -> str:
    """Status of a group: accomplished when every member is."""
    return "accomplished" if all(row.available for row in members) else "progressing"


def group_to_api(group: Group, members: list[Snapshot]) -> dict[str, Any]:
    """One element of SnapshotGroups.SnapshotGroup; Tag has Key and Value here, unlike elsewhere."""
    done = sum(row.available for row in members)
    return {
        "SnapshotGroupId": group.group_id,
        "InstanceId": group.instance_id,
        "Name": group.name,
        "Description": group.description,
        "Status": group_status(members),
        "ProgressStatus": f"{100 * done // len(members) if members else 100}%",
        "CreationTime": group.creation_time,
        "ResourceGroupId": group.resource_group_id,
        "Snapshots": {"Snapshot": [_member_to_api(row) for row in members]},
        "Tags": _pairs(group.tags),
    }


def _member_to_api(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "SnapshotId": snapshot.snapshot_id,
        "SourceDiskId": snapshot.source_disk_id,
        "SourceDiskType": snapshot.source_disk_type,
        "Progress": "100%" if snapshot.available else "0%",
        "Available": snapshot.available,
        "InstantAccess": snapshot.instant_access,
        "InstantAccessRetentionDays": 0,
        "Tags": _pairs(snapshot.tags),
    }


def _pairs(tags: Mapping[str, str]) -> dict[str, Any]:
    return {"Tag": [{"Key": key, "Value": value} for key, value in tags.items()]}
