"""The Node service of the NAS driver: parse, lock, service, respond; and how it is made."""

import pathlib
import threading
from typing import Any

from cloud import metadata as cloud_metadata
from core import errors, keyed_lock
from csi import answers, driver, requests
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.nas import roots, topology
from csi.nas.node import cnfs_choice, loop_volume, modes, mounter, node_requests, publish
from csi.nas.node import settings as node_settings
from csi.node import at_path, network_stats, servers
from host import loop_lease, mountinfo
from kube import events

_Rpc = csi_pb2.NodeServiceCapability.RPC
_WELL = "the server answers"
_DEVICES = "/dev/"
_NAME = "nasplugin.csi.alibabacloud.com"


class NodeServicer(csi_pb2_grpc.NodeServicer):
    """Publishes, measures and unpublishes volumes on this node.

    metadata: knows the node's zone; None = it is nobody's affair.
    choice: knows the servers of ContainerNetworkFileSystem objects.
    """

    def __init__(
        self,
        settings: node_settings.NodeSettings,
        *,
        node_id: str,
        metadata: cloud_metadata.Metadata | None,
        mounting: mounter.Mounter,
        loops: loop_volume.LoopVolumes,
        changing: modes.Modes,
        choice: cnfs_choice.Choice,
        by_server: servers.Servers,
        recorder: events.Recorder,
    ) -> None:
        self._settings = settings
        self._node_id = node_id
        self._metadata = metadata
        self._publisher = publish.Publisher(
            settings, mounting=mounting, loops=loops, changing=changing, recorder=recorder
        )
        self._mounter = mounting
        self._loops = loops
        self._modes = changing
        self._choice = choice
        self._servers = by_server
        self._locks = keyed_lock.KeyedLock()

    async def prepare(self) -> None:
        """Go on with what the last process left, and remove it beside the first calls.

        Its servers may be gone, so nothing waits for that.
        """
        self._modes.resume()
        left = self._mounter.leftovers()

        def clean_up() -> None:
            self._mounter.clean_up(left)
            self._loops.clean_up()

        threading.Thread(target=clean_up, name="nas-clean-up", daemon=True).start()

    async def NodePublishVolume(
        self, request: csi_pb2.NodePublishVolumeRequest, context: Any
    ) -> csi_pb2.NodePublishVolumeResponse:
        told = requests.string_map("volume_context", request.volume_context)
        volume_id, target = node_requests.parse_target(request, self._settings)
        with self._locks.hold(volume_id, str(target)):
            # What is chosen depends on what is mounted there, which nobody may change meanwhile.
            resolved = await self._choice.resolve(told, target)
            want = node_requests.parse_publish(request, self._settings, resolved=resolved)
            pool = self._servers.of(want.volume.place.host)
            await pool.run(self._publisher.publish, want)
        return csi_pb2.NodePublishVolumeResponse()

    async def NodeUnpublishVolume(
        self, request: csi_pb2.NodeUnpublishVolumeRequest, context: Any
    ) -> csi_pb2.NodeUnpublishVolumeResponse:
        at = at_path.parse_unpublish(request, self._settings.kubelet_root)
        with self._locks.hold(at.volume_id, str(at.path)):
            pool = self._servers.of(_server_at(at.path))
            await pool.run(self._publisher.unpublish, at)
        return csi_pb2.NodeUnpublishVolumeResponse()

    async def NodeGetVolumeStats(
        self, request: csi_pb2.NodeGetVolumeStatsRequest, context: Any
    ) -> csi_pb2.NodeGetVolumeStatsResponse:
        at = at_path.parse_stats(request, self._settings.kubelet_root)
        return await network_stats.read(
            self._servers.usage(_server_at(at.path), at.path), well=_WELL
        )

    async def NodeExpandVolume(
        self, request: csi_pb2.NodeExpandVolumeRequest, context: Any
    ) -> csi_pb2.NodeExpandVolumeResponse:
        at, required_bytes = node_requests.parse_expand(request, self._settings.kubelet_root)
        found = mountinfo.mounts_at(at.path)
        if not found:
            raise errors.NotFound(f"volume {at.volume_id} is not at {at.path} any more")
        there = found[-1]
        if there.source.startswith(_DEVICES):
            with self._locks.hold(at.volume_id, str(at.path)):
                pool = self._servers.of(_server_at(at.path))
                required_bytes = await pool.run(self._loops.expand, there, required_bytes)
        # A directory's size is its server's affair; there is nothing to grow here.
        return csi_pb2.NodeExpandVolumeResponse(capacity_bytes=required_bytes)

    async def NodeGetCapabilities(
        self, request: csi_pb2.NodeGetCapabilitiesRequest, context: Any
    ) -> csi_pb2.NodeGetCapabilitiesResponse:
        offered = [_Rpc.EXPAND_VOLUME, _Rpc.SINGLE_NODE_MULTI_WRITER]
        if self._settings.serve_stats:
            offered += [_Rpc.GET_VOLUME_STATS, _Rpc.VOLUME_CONDITION]
        return answers.node_capabilities(offered)

    async def NodeGetInfo(
        self, request: csi_pb2.NodeGetInfoRequest, context: Any
    ) -> csi_pb2.NodeGetInfoResponse:
        if not self._node_id:
            raise errors.Precondition("the node's name is unknown; set KUBE_NODE_NAME or --nodeid")
        answer = csi_pb2.NodeGetInfoResponse(node_id=self._node_id)
        if self._metadata is not None:
            zone_id = await self._metadata.get(cloud_metadata.Key.ZONE_ID)
            answer.accessible_topology.segments[topology.ZONE] = zone_id
        return answer

    async def close(self) -> None:
        """Take no more work; what runs ends in its own time."""
        self._servers.close()
        self._modes.close()


def _server_at(path: pathlib.Path) -> str:
    """The server mounted at *path*, or that of the image there, as the kernel tells it."""
    there = mountinfo.mounts_at(path)
    if there and there[-1].source.startswith(_DEVICES):
        image = loop_lease.backing_file(there[-1].source)
        there = [] if image is None else mountinfo.mounts_at(image.parent)
    return there[-1].source.partition(":/")[0].strip("[]") if there else servers.LOCAL


def build(context: driver.DriverContext) -> NodeServicer:
    """The Node service of this process. Faults in its settings are left in *context.reader*."""
    settings = node_settings.read_node(context.reader, _NAME)
    node_id = context.node_id or context.reader.text("KUBE_NODE_NAME")
    by_server = servers.Servers("nas")
    mounting = mounter.Mounter(settings, roots.Roots(settings.work_dir), by_server.looks)
    return NodeServicer(
        settings,
        node_id=node_id,
        metadata=context.metadata if topology.is_wanted(context.reader) else None,
        mounting=mounting,
        loops=loop_volume.LoopVolumes(settings, mounting, node_id),
        changing=modes.Modes(settings.work_dir),
        choice=cnfs_choice.Choice(context.kubernetes, context.events, by_server),
        by_server=by_server,
        recorder=context.events,
    )
