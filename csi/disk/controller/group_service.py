"""The GroupController service of the disk driver: parse, lock, service, respond."""

from typing import Any

from core import keyed_lock
from csi import requests
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.disk.controller import controller_requests, group_snapshot, responses

_Rpc = csi_pb2.GroupControllerServiceCapability.RPC

CAPABILITIES = (_Rpc.CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT,)


class GroupControllerServicer(csi_pb2_grpc.GroupControllerServicer):
    """Snapshots groups of volumes."""

    def __init__(
        self, snapshotter: group_snapshot.GroupSnapshotter, locks: keyed_lock.KeyedLock
    ) -> None:
        self._snapshotter = snapshotter
        self._locks = locks

    async def GroupControllerGetCapabilities(
        self, request: csi_pb2.GroupControllerGetCapabilitiesRequest, context: Any
    ) -> csi_pb2.GroupControllerGetCapabilitiesResponse:
        return csi_pb2.GroupControllerGetCapabilitiesResponse(
            capabilities=[
                csi_pb2.GroupControllerServiceCapability(rpc=_Rpc(type=t)) for t in CAPABILITIES
            ]
        )

    async def CreateVolumeGroupSnapshot(
        self, request: csi_pb2.CreateVolumeGroupSnapshotRequest, context: Any
    ) -> csi_pb2.CreateVolumeGroupSnapshotResponse:
        want = controller_requests.parse_create_group(request)
        with self._locks.hold(f"group snapshot {want.name}"):
            made = await self._snapshotter.create(want)
        return csi_pb2.CreateVolumeGroupSnapshotResponse(
            group_snapshot=responses.group_message(made)
        )

    async def DeleteVolumeGroupSnapshot(
        self, request: csi_pb2.DeleteVolumeGroupSnapshotRequest, context: Any
    ) -> csi_pb2.DeleteVolumeGroupSnapshotResponse:
        group_id = requests.require("group_snapshot_id", request.group_snapshot_id)
        requests.check_secrets(request.secrets)
        with self._locks.hold(group_id):
            await self._snapshotter.delete(group_id, request.snapshot_ids)
        return csi_pb2.DeleteVolumeGroupSnapshotResponse()

    async def GetVolumeGroupSnapshot(
        self, request: csi_pb2.GetVolumeGroupSnapshotRequest, context: Any
    ) -> csi_pb2.GetVolumeGroupSnapshotResponse:
        group_id = requests.require("group_snapshot_id", request.group_snapshot_id)
        requests.check_secrets(request.secrets)
        found = await self._snapshotter.get(group_id, request.snapshot_ids)
        return csi_pb2.GetVolumeGroupSnapshotResponse(group_snapshot=responses.group_message(found))
