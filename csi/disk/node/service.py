"""The Node service of the disk driver: parse, lock, service, respond; and how it is made."""

from typing import Any

from cloud import metadata as cloud_metadata
from core import clock, executor, keyed_lock, shared_reads
from csi import answers, driver, requests, volume_stats
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.disk.node import (
    device,
    expand,
    info,
    node_requests,
    node_settings,
    publish,
    stage,
    unstage,
    volume_limits,
)
from csi.node import at_path, device_stats

_Rpc = csi_pb2.NodeServiceCapability.RPC
_HANGING_MAX = 64
"""Disks that may hang at once, each with a thread, before the health of others is not told."""


class NodeServicer(csi_pb2_grpc.NodeServicer):
    """Stages, publishes, measures and grows volumes on this node.

    workers: for calls that change something. reads: for those that only look and may hang.
    """

    def __init__(
        self,
        settings: node_settings.NodeSettings,
        *,
        devices: device.Devices,
        stager: stage.Stager,
        unstager: unstage.Unstager,
        publisher: publish.Publisher,
        info: info.NodeInfoReader,
        workers: executor.BoundedExecutor,
        reads: shared_reads.SharedReads,
    ) -> None:
        self._settings = settings
        self._root = settings.kubelet_root
        self._devices = devices
        self._stager = stager
        self._unstager = unstager
        self._publisher = publisher
        self._info = info
        self._workers = workers
        self._reads = reads
        self._locks = keyed_lock.KeyedLock()

    async def NodeStageVolume(
        self, request: csi_pb2.NodeStageVolumeRequest, context: Any
    ) -> csi_pb2.NodeStageVolumeResponse:
        want = node_requests.parse_stage(request, self._root)
        with self._locks.hold(want.volume_id, str(want.staging_target_path)):
            await self._stager.stage(want)
        return csi_pb2.NodeStageVolumeResponse()

    async def NodeUnstageVolume(
        self, request: csi_pb2.NodeUnstageVolumeRequest, context: Any
    ) -> csi_pb2.NodeUnstageVolumeResponse:
        at = at_path.parse_unstage(request, self._root)
        with self._locks.hold(at.volume_id, str(at.path)):
            await self._unstager.unstage(at)
        return csi_pb2.NodeUnstageVolumeResponse()

    async def NodePublishVolume(
        self, request: csi_pb2.NodePublishVolumeRequest, context: Any
    ) -> csi_pb2.NodePublishVolumeResponse:
        want = node_requests.parse_publish(request, self._root)
        with self._locks.hold(want.staging.volume_id, str(want.target_path)):
            await self._publisher.publish(want)
        return csi_pb2.NodePublishVolumeResponse()

    async def NodeUnpublishVolume(
        self, request: csi_pb2.NodeUnpublishVolumeRequest, context: Any
    ) -> csi_pb2.NodeUnpublishVolumeResponse:
        at = at_path.parse_unpublish(request, self._root)
        with self._locks.hold(at.volume_id, str(at.path)):
            await self._publisher.unpublish(at)
        return csi_pb2.NodeUnpublishVolumeResponse()

    async def NodeGetVolumeStats(
        self, request: csi_pb2.NodeGetVolumeStatsRequest, context: Any
    ) -> csi_pb2.NodeGetVolumeStatsResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        found = await self._reads.read(
            volume_id, node_settings.STATS_TIMEOUT_S, self._read_stats, request
        )
        return volume_stats.response(
            found.condition, usage=found.usage, total_bytes=found.total_bytes
        )

    async def NodeExpandVolume(
        self, request: csi_pb2.NodeExpandVolumeRequest, context: Any
    ) -> csi_pb2.NodeExpandVolumeResponse:
        want = node_requests.parse_expand(request, self._root)
        with self._locks.hold(want.volume_id):
            size_bytes = await self._workers.run(expand.expand, want, self._devices)
        return csi_pb2.NodeExpandVolumeResponse(capacity_bytes=size_bytes)

    async def NodeGetCapabilities(
        self, request: csi_pb2.NodeGetCapabilitiesRequest, context: Any
    ) -> csi_pb2.NodeGetCapabilitiesResponse:
        offered = [
            _Rpc.STAGE_UNSTAGE_VOLUME,
            _Rpc.EXPAND_VOLUME,
            _Rpc.SINGLE_NODE_MULTI_WRITER,
        ]
        if self._settings.serve_stats:
            offered += [_Rpc.GET_VOLUME_STATS, _Rpc.VOLUME_CONDITION]
        return answers.node_capabilities(offered)

    async def NodeGetInfo(
        self, request: csi_pb2.NodeGetInfoRequest, context: Any
    ) -> csi_pb2.NodeGetInfoResponse:
        info = await self._info.read()
        return csi_pb2.NodeGetInfoResponse(
            node_id=info.node_id,
            max_volumes_per_node=info.max_volumes,
            accessible_topology=csi_pb2.Topology(segments=info.segments),
        )

    def _read_stats(self, request: csi_pb2.NodeGetVolumeStatsRequest) -> device_stats.VolumeStats:
        """In a thread from the first look at the path on: the volume may be the one that hangs."""
        return device_stats.read(node_requests.parse_stats(request, self._root), self._devices)

    async def close(self) -> None:
        """Take no more work; what runs ends in its own time."""
        self._workers.close()
        self._reads.close()
        self._info.close()


def build(context: driver.DriverContext) -> NodeServicer:
    """The Node service of this process. Faults in its settings are left in *context.reader*."""
    settings = node_settings.read_node(context.reader)
    limits: volume_limits.NodeLimits
    if context.roles.controller:
        limits = volume_limits.CloudLimits(
            context.cloud, is_marked=volume_limits.marked_on_node(settings)
        )
    else:
        limits = volume_limits.ProbeLimits(
            executor.BoundedExecutor("disk-node-limits", 1), context.clock
        )
    return make_node(
        context.metadata, settings, node_id=context.node_id, limits=limits, time=context.clock
    )


def make_node(
    metadata: cloud_metadata.Metadata,
    settings: node_settings.NodeSettings,
    *,
    node_id: str,
    limits: volume_limits.NodeLimits,
    time: clock.Clock,
) -> NodeServicer:
    """The Node service. node_id: value of --nodeid, "" = ask *metadata*."""
    workers = executor.BoundedExecutor("disk-node", settings.worker_threads)
    devices = device.Devices(settings, workers, time)
    stager = stage.Stager(settings, devices, workers)
    return NodeServicer(
        settings,
        devices=devices,
        stager=stager,
        unstager=unstage.Unstager(settings, devices, workers),
        publisher=publish.Publisher(settings, devices, stager, workers),
        info=info.NodeInfoReader(settings, metadata, limits, node_id=node_id),
        workers=workers,
        reads=shared_reads.SharedReads("disk-node-stats", _HANGING_MAX),
    )
