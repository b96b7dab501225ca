"""The Node service of node-local volumes: parse, lock, service, respond."""

import dataclasses
import pathlib
from typing import Any

from core import errors, executor, keyed_lock, shared_reads
from csi import answers, requests, volume_stats
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.lvm import settings, topology
from csi.lvm.node import ephemeral, expand, node_requests, publish, stage, taking_over
from csi.lvm.stores import volumes
from csi.lvm.stores.logical import logical_rows
from csi.node import at_path, device_stats
from host import mountinfo
from kube import api, events

_Rpc = csi_pb2.NodeServiceCapability.RPC
_WORKERS = 8
_HANGING_MAX = 64
_STATS_TIMEOUT_S = 20.0
_SYS_DEV_BLOCK = pathlib.Path("/sys/dev/block")

CAPABILITIES = (
    _Rpc.STAGE_UNSTAGE_VOLUME,
    _Rpc.EXPAND_VOLUME,
    _Rpc.GET_VOLUME_STATS,
    _Rpc.VOLUME_CONDITION,
    _Rpc.SINGLE_NODE_MULTI_WRITER,
)


class _Devices:
    """Devices as `device_stats` asks for them."""

    def is_alive(self, number: str) -> bool:
        """Whether the block device still exists."""
        return (_SYS_DEV_BLOCK / number).exists()

    def is_lost(self, mount: mountinfo.Mount, volume_id: str) -> bool:
        """Whether its file is gone; which volume has its number now cannot be told."""
        del volume_id
        return mount.deleted


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What this driver is called in the cluster, and how it asks and tells there."""

    driver_name: str
    kubernetes: api.VolumeApi
    recorder: events.Recorder


class NodeServicer(csi_pb2_grpc.NodeServicer):
    """Stages, publishes, measures and grows volumes of this node."""

    def __init__(
        self,
        config: settings.LocalSettings,
        place: topology.Place,
        stores: volumes.Volumes,
        locks: keyed_lock.KeyedLock,
        cluster: "Cluster",
    ) -> None:
        self._root = config.kubelet_root
        self._place = place
        self._stores = stores
        self._locks = locks
        self._stager = stage.Stager(config, stores)
        self._publisher = publish.Publisher(config, self._stager)
        self._pool = executor.BoundedExecutor("lvm-node", _WORKERS)
        self._old = taking_over.TakingOver(
            kubernetes=cluster.kubernetes,
            recorder=cluster.recorder,
            driver_name=cluster.driver_name,
            place=place,
            volumes=stores.unclaimed,
            stores=stores.takers,
            pool=self._pool,
        )
        self._reads = shared_reads.SharedReads("lvm-node-stats", _HANGING_MAX)

    async def NodeStageVolume(
        self, request: csi_pb2.NodeStageVolumeRequest, context: Any
    ) -> csi_pb2.NodeStageVolumeResponse:
        want = node_requests.parse_stage(request, self._root)
        with self._locks.hold(want.volume_id, str(want.staging_target_path)):
            await self._stage(want)
        return csi_pb2.NodeStageVolumeResponse()

    async def NodeUnstageVolume(
        self, request: csi_pb2.NodeUnstageVolumeRequest, context: Any
    ) -> csi_pb2.NodeUnstageVolumeResponse:
        at = at_path.parse_unstage(request, self._root)
        with self._locks.hold(at.volume_id, str(at.path)):
            await self._pool.run(self._stager.unstage, at)
        return csi_pb2.NodeUnstageVolumeResponse()

    async def NodePublishVolume(
        self, request: csi_pb2.NodePublishVolumeRequest, context: Any
    ) -> csi_pb2.NodePublishVolumeResponse:
        if ephemeral.is_wanted(request.volume_context):
            return await self._publish_ephemeral(request)
        want = node_requests.parse_publish(request, self._root)
        with self._locks.hold(want.staging.volume_id, str(want.target_path)):
            await self._pool.run(self._publisher.publish, want)
        return csi_pb2.NodePublishVolumeResponse()

    async def NodeUnpublishVolume(
        self, request: csi_pb2.NodeUnpublishVolumeRequest, context: Any
    ) -> csi_pb2.NodeUnpublishVolumeResponse:
        at = at_path.parse_unpublish(request, self._root)
        with self._locks.hold(at.volume_id, str(at.path)):
            await self._pool.run(at_path.unpublish, at)
            await self._pool.run(ephemeral.unpublish, at, self._stores)
        return csi_pb2.NodeUnpublishVolumeResponse()

    async def NodeGetVolumeStats(
        self, request: csi_pb2.NodeGetVolumeStatsRequest, context: Any
    ) -> csi_pb2.NodeGetVolumeStatsResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        return await self._reads.read(volume_id, _STATS_TIMEOUT_S, self._read_stats, request)

    async def NodeExpandVolume(
        self, request: csi_pb2.NodeExpandVolumeRequest, context: Any
    ) -> csi_pb2.NodeExpandVolumeResponse:
        want = node_requests.parse_expand(request, self._root)
        with self._locks.hold(want.at.volume_id):
            size_bytes = await self._pool.run(expand.expand, want, self._stores)
        return csi_pb2.NodeExpandVolumeResponse(capacity_bytes=size_bytes)

    async def NodeGetCapabilities(
        self, request: csi_pb2.NodeGetCapabilitiesRequest, context: Any
    ) -> csi_pb2.NodeGetCapabilitiesResponse:
        return answers.node_capabilities(CAPABILITIES)

    async def NodeGetInfo(
        self, request: csi_pb2.NodeGetInfoRequest, context: Any
    ) -> csi_pb2.NodeGetInfoResponse:
        if not self._place.node_id:
            raise errors.Precondition("the node's name is unknown; set KUBE_NODE_NAME or --nodeid")
        return csi_pb2.NodeGetInfoResponse(
            node_id=self._place.node_id,
            accessible_topology=csi_pb2.Topology(segments=self._place.segments),
        )

    async def _stage(self, want: node_requests.Staging) -> None:
        try:
            is_ours = await self._pool.run(self._stager.stage, want)
        except (errors.NotFound, logical_rows.Unusable) as e:
            is_there = isinstance(e, logical_rows.Unusable)
            if is_there and not await self._pool.run(self._stores.unclaimed.has, want.volume_id):
                raise
            if not await self._old.make(want.volume_id, read_only=want.read_only):
                raise
            is_ours = await self._pool.run(self._stager.stage, want)
        if not is_ours:
            await self._old.note(want.volume_id)

    async def _publish_ephemeral(
        self, request: csi_pb2.NodePublishVolumeRequest
    ) -> csi_pb2.NodePublishVolumeResponse:
        want, limits, pod_uid = node_requests.parse_ephemeral(request, self._root)
        wish = ephemeral.parse(want.volume_id, request.volume_context)
        with self._locks.hold(want.volume_id, str(want.staging_target_path)):
            await self._pool.run(ephemeral.publish, wish, want, self._stores, self._stager)
            if limits is not None:
                await self._pool.run(publish.limit, want.staging_target_path, pod_uid, limits)
        return csi_pb2.NodePublishVolumeResponse()

    def _read_stats(
        self, request: csi_pb2.NodeGetVolumeStatsRequest
    ) -> csi_pb2.NodeGetVolumeStatsResponse:
        """In a thread: the volume may be the one that hangs."""
        at = node_requests.parse_stats(request, self._root)
        found = device_stats.read(at, _Devices())
        condition = found.condition
        if not condition.abnormal:
            condition = self._condition(at.volume_id) or condition
        return volume_stats.response(condition, usage=found.usage, total_bytes=found.total_bytes)

    def _condition(self, volume_id: str) -> volume_stats.Condition | None:
        """What LVM tells of a volume whose file system is well; None = nothing bad."""
        volume = self._stores.get(volume_id)
        if volume is None or not volume.condition.abnormal:
            return None
        return volume_stats.Condition(abnormal=True, message=volume.condition.message)

    async def close(self) -> None:
        """Take no more work; what runs ends in its own time."""
        self._pool.close()
        self._reads.close()


def build(
    config: settings.LocalSettings,
    place: topology.Place,
    stores: volumes.Volumes,
    locks: keyed_lock.KeyedLock,
    cluster: Cluster,
) -> NodeServicer:
    """The service of this process."""
    return NodeServicer(config, place, stores, locks, cluster)
