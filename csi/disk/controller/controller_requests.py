"""The controller's requests, parsed and checked: protobuf in, plain frozen values out.

Required fields come before everything else, because a CO may send nothing but what it tests.
Secrets are only measured, never read. Source: spec/conformance.md a.2, a.3, b.3.
"""

import dataclasses
import enum

from core import errors, units
from csi import requests
from csi._pb import csi_pb2
from csi.disk.controller import mutable_params, params, snapshot_params, topology


class SourceKind(enum.StrEnum):
    """What a volume can be made from."""

    SNAPSHOT = "snapshot"
    VOLUME = "volume"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a volume is made from."""

    kind: SourceKind
    source_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRequest:
    """CreateVolume. required_bytes, limit_bytes: 0 = not given. source: None = empty volume.

    from_content_source: the CO named the source, so the answer must echo it.
    """

    name: str
    required_bytes: int
    limit_bytes: int
    capabilities: tuple[requests.VolumeCapability, ...]
    parameters: params.VolumeParameters
    requirement: topology.Requirement
    source: Source | None = None
    from_content_source: bool = False

    @property
    def required_gib(self) -> int:
        """Whole GiB that hold required_bytes, 0 = not given."""
        return units.ceil_gib(self.required_bytes)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """ControllerPublishVolume."""

    volume_id: str
    instance_id: str
    capability: requests.VolumeCapability
    readonly: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExpandRequest:
    """ControllerExpandVolume. capability: None = the CO did not say."""

    volume_id: str
    required_bytes: int
    limit_bytes: int
    capability: requests.VolumeCapability | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRequest:
    """CreateSnapshot."""

    name: str
    disk_id: str
    parameters: snapshot_params.SnapshotParameters


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupRequest:
    """CreateVolumeGroupSnapshot."""

    name: str
    disk_ids: tuple[str, ...]
    parameters: snapshot_params.SnapshotParameters


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CapacityRequest:
    """GetCapacity."""

    capabilities: tuple[requests.VolumeCapability, ...]
    parameters: params.VolumeParameters
    segments: topology.Segments


def parse_create_volume(request: csi_pb2.CreateVolumeRequest) -> VolumeRequest:
    """CreateVolume. Mutable parameters override parameters."""
    name = requests.name(request.name)
    capabilities = requests.capabilities(request.volume_capabilities)
    required_bytes, limit_bytes = requests.capacity_range(request.capacity_range)
    requests.check_secrets(request.secrets)
    parameters = params.parse(requests.string_map("parameters", request.parameters))
    mutable = requests.string_map("mutable_parameters", request.mutable_parameters)
    if mutable:
        parameters = mutable_params.override(parameters, mutable_params.parse(mutable))
    source = _content_source(request.volume_content_source)
    from_content_source = source is not None
    if source is None and parameters.snapshot_id:
        source = Source(kind=SourceKind.SNAPSHOT, source_id=parameters.snapshot_id)
    return VolumeRequest(
        name=name,
        required_bytes=required_bytes,
        limit_bytes=limit_bytes,
        capabilities=capabilities,
        parameters=parameters,
        requirement=_requirement(request.accessibility_requirements),
        source=source,
        from_content_source=from_content_source,
    )


def parse_publish(request: csi_pb2.ControllerPublishVolumeRequest) -> PublishRequest:
    """ControllerPublishVolume. A reader-only mode is a read-only publish."""
    volume_id = requests.require("volume_id", request.volume_id)
    instance_id = requests.node_id(request.node_id)
    capability = requests.capability(request.volume_capability)
    requests.check_secrets(request.secrets)
    requests.string_map("volume_context", request.volume_context)
    return PublishRequest(
        volume_id=volume_id,
        instance_id=instance_id,
        capability=capability,
        readonly=request.readonly,
    )


def parse_unpublish(request: csi_pb2.ControllerUnpublishVolumeRequest) -> tuple[str, str]:
    """(volume_id, instance_id); "" = from every instance."""
    volume_id = requests.require("volume_id", request.volume_id)
    requests.check_secrets(request.secrets)
    instance_id = requests.optional(
        "node_id", request.node_id, max_bytes=requests.NODE_ID_MAX_BYTES
    )
    return volume_id, instance_id


def parse_expand(request: csi_pb2.ControllerExpandVolumeRequest) -> ExpandRequest:
    """ControllerExpandVolume."""
    volume_id = requests.require("volume_id", request.volume_id)
    required_bytes, limit_bytes = requests.required_capacity_range(request)
    requests.check_secrets(request.secrets)
    given = request.HasField("volume_capability")
    return ExpandRequest(
        volume_id=volume_id,
        required_bytes=required_bytes,
        limit_bytes=limit_bytes,
        capability=requests.capability(request.volume_capability) if given else None,
    )


def parse_modify(
    request: csi_pb2.ControllerModifyVolumeRequest,
) -> tuple[str, mutable_params.MutableParameters]:
    """(volume_id, what is to change)."""
    volume_id = requests.require("volume_id", request.volume_id)
    requests.check_secrets(request.secrets)
    mutable = requests.string_map("mutable_parameters", request.mutable_parameters)
    if not mutable:
        raise errors.InvalidField("mutable_parameters", "is required")
    return volume_id, mutable_params.parse(mutable)


def parse_create_snapshot(request: csi_pb2.CreateSnapshotRequest) -> SnapshotRequest:
    """CreateSnapshot."""
    disk_id = requests.require("source_volume_id", request.source_volume_id)
    name = requests.name(request.name)
    requests.check_secrets(request.secrets)
    parameters = requests.string_map("parameters", request.parameters)
    return SnapshotRequest(name=name, disk_id=disk_id, parameters=snapshot_params.parse(parameters))


def parse_create_group(request: csi_pb2.CreateVolumeGroupSnapshotRequest) -> GroupRequest:
    """CreateVolumeGroupSnapshot."""
    name = requests.name(request.name)
    disk_ids = requests.ids("source_volume_ids", request.source_volume_ids)
    requests.check_secrets(request.secrets)
    parameters = requests.string_map("parameters", request.parameters)
    return GroupRequest(
        name=name, disk_ids=disk_ids, parameters=snapshot_params.parse_group(parameters)
    )


def parse_capacity(request: csi_pb2.GetCapacityRequest) -> CapacityRequest:
    """GetCapacity, where everything is optional."""
    given = request.volume_capabilities
    parameters = requests.string_map("parameters", request.parameters)
    return CapacityRequest(
        capabilities=requests.capabilities(given) if given else (),
        parameters=params.parse(parameters),
        segments=dict(request.accessible_topology.segments),
    )


def _content_source(message: csi_pb2.VolumeContentSource) -> Source | None:
    match message.WhichOneof("type"):
        case "snapshot":
            field = "volume_content_source.snapshot.snapshot_id"
            snapshot_id = requests.require(field, message.snapshot.snapshot_id)
            return Source(kind=SourceKind.SNAPSHOT, source_id=snapshot_id)
        case "volume":
            field = "volume_content_source.volume.volume_id"
            volume_id = requests.require(field, message.volume.volume_id)
            return Source(kind=SourceKind.VOLUME, source_id=volume_id)
        case _:
            return None


def _requirement(message: csi_pb2.TopologyRequirement) -> topology.Requirement:
    return topology.Requirement(
        requisite=tuple(dict(term.segments) for term in message.requisite),
        preferred=tuple(dict(term.segments) for term in message.preferred),
    )
