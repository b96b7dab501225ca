"""Small conversions between the OpenAPI's shapes and ours."""

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cloud import ecs_model


def tags(values: Mapping[str, str]) -> list[dict[str, str]] | None:
    """`Tag.N` of a request; None = leave out."""
    return [{"Key": k, "Value": v} for k, v in values.items()] or None


def read_tags(holder: Any) -> dict[str, str]:
    """Tags of an answer, which spells them TagKey or Key."""
    found = getattr(holder, "tag", None) or []
    return {
        str(getattr(t, "tag_key", None) or getattr(t, "key", "")): str(
            getattr(t, "tag_value", None) or getattr(t, "value", None) or ""
        )
        for t in found
    }


def id_list(ids: Sequence[str]) -> str:
    """A JSON array in a string, as DiskIds wants it."""
    return json.dumps(list(ids), separators=(",", ":"))


def parse_time(text: str | None) -> datetime.datetime | None:
    """UTC time of `2026-01-01T00:00:00Z`, also without seconds; None for nothing."""
    if not text:
        return None
    return datetime.datetime.fromisoformat(text)


def text(value: object) -> str:
    """*value* as text, "" for None."""
    return "" if value is None else str(value)


def disk(raw: Any) -> ecs_model.Disk:
    """A disk of DescribeDisks."""
    attachments = getattr(raw.attachments, "attachment", None) or []
    try:
        state = ecs_model.DiskState(text(raw.status))
    except ValueError:
        state = ecs_model.DiskState.UNKNOWN
    instance_id = text(raw.instance_id)
    attached = tuple(text(a.instance_id) for a in attachments if a.instance_id)
    return ecs_model.Disk(
        disk_id=text(raw.disk_id),
        region_id=text(raw.region_id),
        zone_id=text(raw.zone_id),
        state=state,
        category=text(raw.category),
        performance_level=text(raw.performance_level),
        size_gib=int(raw.size or 0),
        serial_number=text(raw.serial_number),
        instance_id=instance_id,
        attached_instance_ids=attached or ((instance_id,) if instance_id else ()),
        multi_attach=text(raw.multi_attach) == "Enabled",
        encrypted=bool(raw.encrypted),
        kms_key_id=text(raw.kmskey_id),
        resource_group_id=text(raw.resource_group_id),
        storage_cluster_id=text(raw.storage_cluster_id),
        provisioned_iops=None if raw.provisioned_iops is None else int(raw.provisioned_iops),
        bursting_enabled=bool(raw.bursting_enabled),
        disk_type=text(raw.type) or "data",
        name=text(raw.disk_name),
        source_snapshot_id=text(raw.source_snapshot_id),
        tags=read_tags(raw.tags),
        creation_time=parse_time(raw.creation_time),
        detached_time=parse_time(raw.detached_time),
    )


def snapshot(raw: Any) -> ecs_model.Snapshot:
    """A snapshot of DescribeSnapshots. SourceDiskSize is a string of GiB there."""
    return ecs_model.Snapshot(
        snapshot_id=text(raw.snapshot_id),
        source_disk_id=text(raw.source_disk_id),
        source_disk_size_gib=int(raw.source_disk_size or 0),
        creation_time=parse_time(raw.creation_time),
        available=bool(raw.available),
        name=text(raw.snapshot_name),
        description=text(raw.description),
        status=text(raw.status),
        tags=read_tags(raw.tags),
    )


def snapshot_group(raw: Any) -> ecs_model.SnapshotGroup:
    """A group of DescribeSnapshotGroups."""
    members = getattr(raw.snapshots, "snapshot", None) or []
    return ecs_model.SnapshotGroup(
        group_id=text(raw.snapshot_group_id),
        name=text(raw.name),
        status=text(raw.status),
        creation_time=parse_time(raw.creation_time),
        snapshots=tuple(
            ecs_model.Snapshot(
                snapshot_id=text(m.snapshot_id),
                source_disk_id=text(m.source_disk_id),
                available=bool(m.available),
            )
            for m in members
        ),
        tags=read_tags(raw.tags),
    )
