"""The controller's requests, parsed and checked: protobuf in, plain frozen values out.

Required fields come before everything else. Secrets are only measured, never read.
"""

import dataclasses
from collections.abc import Mapping

from core import errors
from csi import requests
from csi._pb import csi_pb2
from csi.lvm import model, names, params, snapshot_params


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Creating:
    """CreateVolume. terms: of topology, of which one must hold; none = anywhere."""

    wish: model.VolumeWish
    terms: tuple[Mapping[str, str], ...]


def parse_create(request: csi_pb2.CreateVolumeRequest) -> Creating:
    """CreateVolume."""
    name = requests.name(request.name)
    capabilities = requests.capabilities(request.volume_capabilities)
    required_bytes, limit_bytes = requests.capacity_range(request.capacity_range)
    requests.check_secrets(request.secrets)
    if request.mutable_parameters:
        raise errors.InvalidField("mutable_parameters", "is not supported", allowed="nothing")
    parameters = params.parse(requests.string_map("parameters", request.parameters))
    for capability in capabilities:
        require_supported(capability)
    source = _source(request.volume_content_source)
    terms = [*request.accessibility_requirements.requisite]
    return Creating(
        wish=model.VolumeWish(
            name=name,
            volume_id=names.of_volume(name),
            required_bytes=required_bytes,
            limit_bytes=limit_bytes,
            parameters=parameters,
            source=source,
        ),
        terms=tuple(dict(term.segments) for term in terms),
    )


def parse_create_snapshot(request: csi_pb2.CreateSnapshotRequest) -> model.SnapshotWish:
    """CreateSnapshot."""
    volume_id = requests.require("source_volume_id", request.source_volume_id)
    name = requests.name(request.name)
    requests.check_secrets(request.secrets)
    told = snapshot_params.parse(requests.string_map("parameters", request.parameters))
    return model.SnapshotWish(
        name=name,
        snapshot_id=names.of_snapshot(name),
        volume_id=volume_id,
        room_bytes=told.room_bytes,
        read_only=told.read_only,
        grow_percent=told.grow_percent,
        grow_bytes=told.grow_bytes,
    )


def parse_capacity(request: csi_pb2.GetCapacityRequest) -> params.Parameters:
    """GetCapacity, where everything is optional: without a class, of logical volumes."""
    given = requests.string_map("parameters", request.parameters)
    if request.volume_capabilities:
        for capability in requests.capabilities(request.volume_capabilities):
            require_supported(capability)
    return params.parse(given or {"volumeType": params.VolumeType.LVM.value})


def require_supported(capability: requests.VolumeCapability) -> None:
    """Raise InvalidField for what a volume of one node cannot serve."""
    if capability.mode.multi_node:
        raise errors.InvalidField(
            "volume_capability.access_mode",
            "is not supported: the volume is on one node",
            value=str(capability.mode),
            allowed="SINGLE_NODE_*",
        )
    if capability.mount_group:
        raise errors.InvalidField(
            "volume_capability.volume_mount_group",
            "is not supported",
            value=capability.mount_group,
            allowed="none; kubelet applies fsGroup itself",
        )


def _source(message: csi_pb2.VolumeContentSource) -> model.Source | None:
    match message.WhichOneof("type"):
        case "snapshot":
            field = "volume_content_source.snapshot.snapshot_id"
            snapshot_id = requests.require(field, message.snapshot.snapshot_id)
            return model.Source(kind=model.SourceKind.SNAPSHOT, source_id=snapshot_id)
        case "volume":
            field = "volume_content_source.volume.volume_id"
            volume_id = requests.require(field, message.volume.volume_id)
            return model.Source(kind=model.SourceKind.VOLUME, source_id=volume_id)
        case _:
            return None
