"""The Controller service of the disk driver: parse, lock, service, respond."""

import dataclasses
from typing import Any

from core import keyed_lock
from csi import answers, requests
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.disk.controller import (
    attach,
    capacity,
    controller_requests,
    create,
    delete,
    detach,
    expand,
    listing,
    modify,
    params,
    responses,
    settings,
    snapshot,
    validate,
)

_Rpc = csi_pb2.ControllerServiceCapability.RPC

CAPABILITIES = (
    _Rpc.CREATE_DELETE_VOLUME,
    _Rpc.PUBLISH_UNPUBLISH_VOLUME,
    _Rpc.LIST_VOLUMES,
    _Rpc.GET_CAPACITY,
    _Rpc.CREATE_DELETE_SNAPSHOT,
    _Rpc.LIST_SNAPSHOTS,
    _Rpc.CLONE_VOLUME,
    _Rpc.PUBLISH_READONLY,
    _Rpc.EXPAND_VOLUME,
    _Rpc.LIST_VOLUMES_PUBLISHED_NODES,
    _Rpc.VOLUME_CONDITION,
    _Rpc.GET_VOLUME,
    _Rpc.SINGLE_NODE_MULTI_WRITER,
    _Rpc.MODIFY_VOLUME,
    _Rpc.GET_SNAPSHOT,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What does the controller's work."""

    provisioner: create.Provisioner
    deleter: delete.Deleter
    attacher: attach.Attacher
    detacher: detach.Detacher
    expander: expand.Expander
    modifier: modify.Modifier
    snapshotter: snapshot.Snapshotter
    lister: listing.Lister
    capacity: capacity.CapacityReader
    validator: validate.Validator


class ControllerServicer(csi_pb2_grpc.ControllerServicer):
    """Makes, attaches, changes and snapshots volumes.

    locks: shared with the group controller; one call per volume, name or snapshot at a time.
    """

    def __init__(
        self, services: Services, config: settings.DiskSettings, locks: keyed_lock.KeyedLock
    ) -> None:
        self._do = services
        self._private_key = config.private_topology_key
        self._locks = locks

    async def CreateVolume(
        self, request: csi_pb2.CreateVolumeRequest, context: Any
    ) -> csi_pb2.CreateVolumeResponse:
        want = controller_requests.parse_create_volume(request)
        adopted = want.parameters.adopt_disk_id
        with self._locks.hold(f"volume {want.name}", *([adopted] if adopted else [])):
            disk = await self._do.provisioner.create(want)
        return responses.created(disk, want, private_topology_key=self._private_key)

    async def DeleteVolume(
        self, request: csi_pb2.DeleteVolumeRequest, context: Any
    ) -> csi_pb2.DeleteVolumeResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        requests.check_secrets(request.secrets)
        with self._locks.hold(volume_id):
            await self._do.deleter.delete(volume_id)
        return csi_pb2.DeleteVolumeResponse()

    async def ControllerPublishVolume(
        self, request: csi_pb2.ControllerPublishVolumeRequest, context: Any
    ) -> csi_pb2.ControllerPublishVolumeResponse:
        want = controller_requests.parse_publish(request)
        with self._locks.hold(want.volume_id):
            disk = await self._do.attacher.attach(want)
        return responses.published(disk)

    async def ControllerUnpublishVolume(
        self, request: csi_pb2.ControllerUnpublishVolumeRequest, context: Any
    ) -> csi_pb2.ControllerUnpublishVolumeResponse:
        volume_id, instance_id = controller_requests.parse_unpublish(request)
        with self._locks.hold(volume_id):
            await self._do.detacher.unpublish(volume_id, instance_id)
        return csi_pb2.ControllerUnpublishVolumeResponse()

    async def ValidateVolumeCapabilities(
        self, request: csi_pb2.ValidateVolumeCapabilitiesRequest, context: Any
    ) -> csi_pb2.ValidateVolumeCapabilitiesResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        wanted = requests.capabilities(request.volume_capabilities)
        requests.check_secrets(request.secrets)
        given = requests.string_map("parameters", request.parameters)
        parameters = params.parse(given) if given else None
        refusal = await self._do.validator.refusal(volume_id, wanted, parameters)
        return answers.validated(request, refusal)

    async def ListVolumes(
        self, request: csi_pb2.ListVolumesRequest, context: Any
    ) -> csi_pb2.ListVolumesResponse:
        found = await self._do.lister.list(
            max_entries=requests.max_entries(request.max_entries),
            starting_token=request.starting_token,
        )
        return responses.listed_volumes(found, private_topology_key=self._private_key)

    async def ControllerGetVolume(
        self, request: csi_pb2.ControllerGetVolumeRequest, context: Any
    ) -> csi_pb2.ControllerGetVolumeResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        disk = await self._do.lister.get(volume_id)
        return responses.got_volume(disk, private_topology_key=self._private_key)

    async def GetCapacity(
        self, request: csi_pb2.GetCapacityRequest, context: Any
    ) -> csi_pb2.GetCapacityResponse:
        found = await self._do.capacity.read(controller_requests.parse_capacity(request))
        return responses.capacity_response(found)

    async def ControllerGetCapabilities(
        self, request: csi_pb2.ControllerGetCapabilitiesRequest, context: Any
    ) -> csi_pb2.ControllerGetCapabilitiesResponse:
        return answers.controller_capabilities(CAPABILITIES)

    async def CreateSnapshot(
        self, request: csi_pb2.CreateSnapshotRequest, context: Any
    ) -> csi_pb2.CreateSnapshotResponse:
        want = controller_requests.parse_create_snapshot(request)
        with self._locks.hold(f"snapshot {want.name}"):
            made = await self._do.snapshotter.create(want)
        return csi_pb2.CreateSnapshotResponse(snapshot=responses.snapshot_message(made))

    async def DeleteSnapshot(
        self, request: csi_pb2.DeleteSnapshotRequest, context: Any
    ) -> csi_pb2.DeleteSnapshotResponse:
        snapshot_id = requests.require("snapshot_id", request.snapshot_id)
        requests.check_secrets(request.secrets)
        with self._locks.hold(snapshot_id):
            await self._do.snapshotter.delete(snapshot_id)
        return csi_pb2.DeleteSnapshotResponse()

    async def ListSnapshots(
        self, request: csi_pb2.ListSnapshotsRequest, context: Any
    ) -> csi_pb2.ListSnapshotsResponse:
        requests.check_secrets(request.secrets)
        found = await self._do.snapshotter.list(
            snapshot_id=requests.optional("snapshot_id", request.snapshot_id),
            source_disk_id=requests.optional("source_volume_id", request.source_volume_id),
            max_entries=requests.max_entries(request.max_entries),
            starting_token=request.starting_token,
        )
        return responses.listed_snapshots(found)

    async def GetSnapshot(
        self, request: csi_pb2.GetSnapshotRequest, context: Any
    ) -> csi_pb2.GetSnapshotResponse:
        snapshot_id = requests.require("snapshot_id", request.snapshot_id)
        requests.check_secrets(request.secrets)
        found = await self._do.snapshotter.get(snapshot_id)
        return csi_pb2.GetSnapshotResponse(snapshot=responses.snapshot_message(found))

    async def ControllerExpandVolume(
        self, request: csi_pb2.ControllerExpandVolumeRequest, context: Any
    ) -> csi_pb2.ControllerExpandVolumeResponse:
        want = controller_requests.parse_expand(request)
        with self._locks.hold(want.volume_id):
            capacity_bytes = await self._do.expander.expand(want)
        return csi_pb2.ControllerExpandVolumeResponse(
            capacity_bytes=capacity_bytes,
            node_expansion_required=expand.needs_node(want.capability),
        )

    async def ControllerModifyVolume(
        self, request: csi_pb2.ControllerModifyVolumeRequest, context: Any
    ) -> csi_pb2.ControllerModifyVolumeResponse:
        volume_id, wanted = controller_requests.parse_modify(request)
        with self._locks.hold(volume_id):
            await self._do.modifier.modify(volume_id, wanted)
        return csi_pb2.ControllerModifyVolumeResponse()
