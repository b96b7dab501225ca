"""The Controller service of node-local volumes: parse, lock, service, respond.

It runs on every node, and knows that node's volumes alone.
"""

from typing import Any

from google.protobuf import timestamp_pb2, wrappers_pb2

from core import errors, executor, keyed_lock
from csi import answers, requests
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.lvm import model, params, topology
from csi.lvm.controller import controller_requests, paging
from csi.lvm.stores import volumes

_Rpc = csi_pb2.ControllerServiceCapability.RPC
_WORKERS = 8

CAPABILITIES = (
    _Rpc.CREATE_DELETE_VOLUME,
    _Rpc.GET_CAPACITY,
    _Rpc.LIST_VOLUMES,
    _Rpc.GET_VOLUME,
    _Rpc.VOLUME_CONDITION,
    _Rpc.SINGLE_NODE_MULTI_WRITER,
)
"""No EXPAND_VOLUME: external-resizer runs once in a cluster, so that it would ask one node for the
volumes of all. Without it, it leaves all to NodeExpandVolume, which is asked on the right node."""
OF_LVM = (
    _Rpc.CREATE_DELETE_SNAPSHOT,
    _Rpc.LIST_SNAPSHOTS,
    _Rpc.GET_SNAPSHOT,
    _Rpc.CLONE_VOLUME,
)
"""What files and directories do not have."""


class ControllerServicer(csi_pb2_grpc.ControllerServicer):
    """Makes, lists and deletes the volumes of this node; one call per volume at a time."""

    def __init__(
        self, place: topology.Place, do: volumes.Volumes, locks: keyed_lock.KeyedLock
    ) -> None:
        self._place = place
        self._do = do
        self._locks = locks
        self._pool = executor.BoundedExecutor("lvm-controller", _WORKERS)

    async def CreateVolume(
        self, request: csi_pb2.CreateVolumeRequest, context: Any
    ) -> csi_pb2.CreateVolumeResponse:
        want = controller_requests.parse_create(request)
        self._place.require_fits(want.terms)
        with self._locks.hold(want.wish.volume_id):
            made = await self._pool.run(self._do.create, want.wish)
        message = self._volume(made, want.wish.parameters)
        if want.wish.source is not None:
            message.content_source.CopyFrom(request.volume_content_source)
        return csi_pb2.CreateVolumeResponse(volume=message)

    async def DeleteVolume(
        self, request: csi_pb2.DeleteVolumeRequest, context: Any
    ) -> csi_pb2.DeleteVolumeResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        requests.check_secrets(request.secrets)
        with self._locks.hold(volume_id):
            await self._pool.run(self._do.delete, volume_id)
        return csi_pb2.DeleteVolumeResponse()

    async def GetCapacity(
        self, request: csi_pb2.GetCapacityRequest, context: Any
    ) -> csi_pb2.GetCapacityResponse:
        wanted = controller_requests.parse_capacity(request)
        if not self._place.fits(request.accessible_topology.segments):
            return csi_pb2.GetCapacityResponse(available_capacity=0)
        found = await self._pool.run(self._do.capacity, wanted)
        return csi_pb2.GetCapacityResponse(
            available_capacity=found.available_bytes,
            maximum_volume_size=wrappers_pb2.Int64Value(value=found.maximum_bytes),
        )

    async def ListVolumes(
        self, request: csi_pb2.ListVolumesRequest, context: Any
    ) -> csi_pb2.ListVolumesResponse:
        max_entries = requests.max_entries(request.max_entries)
        after = paging.parse_token(request.starting_token)
        found = await self._pool.run(self._do.listed)
        page = paging.page(found, lambda each: each.volume_id, after=after, max_entries=max_entries)
        return csi_pb2.ListVolumesResponse(
            entries=[
                csi_pb2.ListVolumesResponse.Entry(
                    volume=self._volume(each),
                    status=csi_pb2.ListVolumesResponse.VolumeStatus(
                        volume_condition=_condition(each.condition)
                    ),
                )
                for each in page.items
            ],
            next_token=page.next_token,
        )

    async def ControllerGetVolume(
        self, request: csi_pb2.ControllerGetVolumeRequest, context: Any
    ) -> csi_pb2.ControllerGetVolumeResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        found = await self._get(volume_id)
        return csi_pb2.ControllerGetVolumeResponse(
            volume=self._volume(found),
            status=csi_pb2.ControllerGetVolumeResponse.VolumeStatus(
                volume_condition=_condition(found.condition)
            ),
        )

    async def CreateSnapshot(
        self, request: csi_pb2.CreateSnapshotRequest, context: Any
    ) -> csi_pb2.CreateSnapshotResponse:
        want = controller_requests.parse_create_snapshot(request)
        with self._locks.hold(want.snapshot_id, want.volume_id):
            made = await self._pool.run(self._do.snapshots.create, want)
        return csi_pb2.CreateSnapshotResponse(snapshot=_snapshot(made))

    async def DeleteSnapshot(
        self, request: csi_pb2.DeleteSnapshotRequest, context: Any
    ) -> csi_pb2.DeleteSnapshotResponse:
        snapshot_id = requests.require("snapshot_id", request.snapshot_id)
        requests.check_secrets(request.secrets)
        with self._locks.hold(snapshot_id):
            await self._pool.run(self._do.snapshots.delete, snapshot_id)
        return csi_pb2.DeleteSnapshotResponse()

    async def GetSnapshot(
        self, request: csi_pb2.GetSnapshotRequest, context: Any
    ) -> csi_pb2.GetSnapshotResponse:
        snapshot_id = requests.require("snapshot_id", request.snapshot_id)
        requests.check_secrets(request.secrets)
        for found in await self._pool.run(self._do.snapshots.listed):
            if found.snapshot_id == snapshot_id:
                return csi_pb2.GetSnapshotResponse(snapshot=_snapshot(found))
        raise errors.NotFound(f"there is no snapshot {snapshot_id} on this node")

    async def ListSnapshots(
        self, request: csi_pb2.ListSnapshotsRequest, context: Any
    ) -> csi_pb2.ListSnapshotsResponse:
        max_entries = requests.max_entries(request.max_entries)
        after = paging.parse_token(request.starting_token)
        requests.check_secrets(request.secrets)
        found = [
            each
            for each in await self._pool.run(self._do.snapshots.listed)
            if request.snapshot_id in ("", each.snapshot_id)
            and request.source_volume_id in ("", each.volume_id)
        ]
        page = paging.page(
            found, lambda each: each.snapshot_id, after=after, max_entries=max_entries
        )
        return csi_pb2.ListSnapshotsResponse(
            entries=[
                csi_pb2.ListSnapshotsResponse.Entry(snapshot=_snapshot(each)) for each in page.items
            ],
            next_token=page.next_token,
        )

    async def ValidateVolumeCapabilities(
        self, request: csi_pb2.ValidateVolumeCapabilitiesRequest, context: Any
    ) -> csi_pb2.ValidateVolumeCapabilitiesResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        capabilities = requests.capabilities(request.volume_capabilities)
        requests.check_secrets(request.secrets)
        await self._get(volume_id)
        try:
            for capability in capabilities:
                controller_requests.require_supported(capability)
        except errors.InvalidField as e:
            return answers.validated(request, str(e))
        return answers.validated(request, "")

    async def ControllerGetCapabilities(
        self, request: csi_pb2.ControllerGetCapabilitiesRequest, context: Any
    ) -> csi_pb2.ControllerGetCapabilitiesResponse:
        offered = (*CAPABILITIES, *OF_LVM) if self._do.has_lvm else CAPABILITIES
        return answers.controller_capabilities(offered)

    async def close(self) -> None:
        """Take no more calls; what runs ends in its own time."""
        self._pool.close()

    async def _get(self, volume_id: str) -> model.Volume:
        found = await self._pool.run(self._do.get, volume_id)
        if found is None:
            raise errors.NotFound(f"there is no volume {volume_id} on this node")
        return found

    def _volume(
        self, found: model.Volume, wanted: params.Parameters | None = None
    ) -> csi_pb2.Volume:
        """*found* as the CO sees it. wanted: what it was made with, for its node."""
        told = dict(found.context)
        if wanted is not None:
            told |= wanted.volume_context
        message = csi_pb2.Volume(
            volume_id=found.volume_id, capacity_bytes=found.capacity_bytes, volume_context=told
        )
        if wanted is None or wanted.bound:
            message.accessible_topology.add().segments.update(self._place.segments)
        return message


def _snapshot(found: model.Snapshot) -> csi_pb2.Snapshot:
    return csi_pb2.Snapshot(
        snapshot_id=found.snapshot_id,
        source_volume_id=found.volume_id,
        size_bytes=found.size_bytes,
        creation_time=timestamp_pb2.Timestamp(seconds=found.time_s),
        ready_to_use=found.is_ready,
    )


def _condition(told: model.Condition) -> csi_pb2.VolumeCondition:
    return csi_pb2.VolumeCondition(abnormal=told.abnormal, message=told.message)


def build(
    place: topology.Place, do: volumes.Volumes, locks: keyed_lock.KeyedLock
) -> ControllerServicer:
    """The service of this process."""
    return ControllerServicer(place, do, locks)
