"""The controller's answers: plain values in, protobuf out."""

from collections.abc import Iterable

from google.protobuf import timestamp_pb2, wrappers_pb2

from cloud import ecs_model
from core import units
from csi import paging
from csi._pb import csi_pb2
from csi.disk.controller import (
    capacity,
    controller_requests,
    listing,
    snapshot,
    volume_context,
)

Disk = ecs_model.Disk

SERIAL_KEY = "serialNumber"
"""Key of publish_context. Source: spec/csi-driver.md 2.8."""

_ListEntry = csi_pb2.ListVolumesResponse.Entry
_ListStatus = csi_pb2.ListVolumesResponse.VolumeStatus
_GetStatus = csi_pb2.ControllerGetVolumeResponse.VolumeStatus


def created(
    disk: Disk, want: controller_requests.VolumeRequest, *, private_topology_key: bool
) -> csi_pb2.CreateVolumeResponse:
    """The answer to CreateVolume."""
    message = volume(
        disk,
        instance_id=want.requirement.instance_id,
        private_topology_key=private_topology_key,
    )
    message.volume_context.update(volume_context.volume_context(want.parameters, disk))
    if want.source is not None and want.from_content_source:
        if want.source.kind is controller_requests.SourceKind.SNAPSHOT:
            message.content_source.snapshot.snapshot_id = want.source.source_id
        else:
            message.content_source.volume.volume_id = want.source.source_id
    return csi_pb2.CreateVolumeResponse(volume=message)


def volume(disk: Disk, *, instance_id: str, private_topology_key: bool) -> csi_pb2.Volume:
    """A volume without its context. instance_id: node it was made for, "" = not known."""
    segments = volume_context.accessible_topology(
        disk, instance_id=instance_id, private_topology_key=private_topology_key
    )
    return csi_pb2.Volume(
        volume_id=disk.disk_id,
        capacity_bytes=units.gib_to_bytes(disk.size_gib),
        accessible_topology=[csi_pb2.Topology(segments=segments)],
    )


def published(disk: Disk) -> csi_pb2.ControllerPublishVolumeResponse:
    """The answer to ControllerPublishVolume: how the node recognises the disk."""
    return csi_pb2.ControllerPublishVolumeResponse(publish_context={SERIAL_KEY: disk.serial_number})


def listed_volumes(
    found: paging.Listed[Disk], *, private_topology_key: bool
) -> csi_pb2.ListVolumesResponse:
    """The answer to ListVolumes."""
    return csi_pb2.ListVolumesResponse(
        entries=[
            _ListEntry(
                volume=volume(disk, instance_id="", private_topology_key=private_topology_key),
                status=_ListStatus(
                    published_node_ids=listing.published_instances(disk),
                    volume_condition=_condition(disk),
                ),
            )
            for disk in found.items
        ],
        next_token=found.next_token,
    )


def got_volume(disk: Disk, *, private_topology_key: bool) -> csi_pb2.ControllerGetVolumeResponse:
    """The answer to ControllerGetVolume."""
    return csi_pb2.ControllerGetVolumeResponse(
        volume=volume(disk, instance_id="", private_topology_key=private_topology_key),
        status=_GetStatus(
            published_node_ids=listing.published_instances(disk), volume_condition=_condition(disk)
        ),
    )


def capacity_response(found: capacity.Capacity) -> csi_pb2.GetCapacityResponse:
    """The answer to GetCapacity; sizes are told only when something can be made."""
    message = csi_pb2.GetCapacityResponse(available_capacity=found.available_bytes)
    if found.maximum_bytes:
        message.maximum_volume_size.CopyFrom(wrappers_pb2.Int64Value(value=found.maximum_bytes))
        message.minimum_volume_size.CopyFrom(wrappers_pb2.Int64Value(value=found.minimum_bytes))
    return message


def snapshot_message(found: ecs_model.Snapshot) -> csi_pb2.Snapshot:
    """A snapshot."""
    return csi_pb2.Snapshot(
        snapshot_id=found.snapshot_id,
        source_volume_id=found.source_disk_id,
        size_bytes=units.gib_to_bytes(found.source_disk_size_gib),
        creation_time=_time(found),
        ready_to_use=found.available,
        group_snapshot_id=snapshot.group_id_of(found),
    )


def listed_snapshots(found: paging.Listed[ecs_model.Snapshot]) -> csi_pb2.ListSnapshotsResponse:
    """The answer to ListSnapshots."""
    return csi_pb2.ListSnapshotsResponse(
        entries=[
            csi_pb2.ListSnapshotsResponse.Entry(snapshot=snapshot_message(row))
            for row in found.items
        ],
        next_token=found.next_token,
    )


def group_message(group: ecs_model.SnapshotGroup) -> csi_pb2.VolumeGroupSnapshot:
    """A group snapshot; ready when all its snapshots are."""
    members = [snapshot_message(row) for row in group.snapshots]
    for member in members:
        member.group_snapshot_id = group.group_id
    message = csi_pb2.VolumeGroupSnapshot(
        group_snapshot_id=group.group_id,
        snapshots=members,
        ready_to_use=all(row.available for row in group.snapshots),
    )
    cut = _earliest(group.snapshots)
    if cut is not None:
        message.creation_time.CopyFrom(cut)
    return message


def _condition(disk: Disk) -> csi_pb2.VolumeCondition:
    told = listing.choose_condition(disk)
    return csi_pb2.VolumeCondition(abnormal=told.abnormal, message=told.message)


def _time(found: ecs_model.Snapshot) -> timestamp_pb2.Timestamp | None:
    if found.creation_time is None:
        return None
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(found.creation_time)
    return stamp


def _earliest(rows: Iterable[ecs_model.Snapshot]) -> timestamp_pb2.Timestamp | None:
    """Members are cut at one moment; lists of the cloud may round it differently."""
    cut = [row for row in rows if row.creation_time is not None]
    if not cut:
        return None
    return _time(
        min(cut, key=lambda row: row.creation_time.timestamp() if row.creation_time else 0)
    )
