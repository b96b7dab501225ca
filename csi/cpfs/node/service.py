"""The Node service of the CPFS driver: parse, lock, service, respond; and how it is made."""

import pathlib
from typing import Any

from core import keyed_lock
from csi import answers, driver, requests
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.cpfs.node import delays, identity, node_requests, publish, published
from csi.cpfs.node import settings as node_settings
from csi.node import at_path, network_mounts, network_stats, servers
from host import mountinfo, paths

_Rpc = csi_pb2.NodeServiceCapability.RPC
_NAME = "bmcpfsplugin.csi.alibabacloud.com"
_WELL = "the file system answers"

CAPABILITIES = (
    _Rpc.STAGE_UNSTAGE_VOLUME,
    _Rpc.GET_VOLUME_STATS,
    _Rpc.VOLUME_CONDITION,
    _Rpc.SINGLE_NODE_MULTI_WRITER,
)


class NodeServicer(csi_pb2_grpc.NodeServicer):
    """Publishes, measures and unpublishes volumes on this node. Staging only keeps time."""

    def __init__(
        self,
        settings: node_settings.NodeSettings,
        *,
        who: identity.Identity,
        publisher: publish.Publisher,
        leaving: delays.Delays,
        by_server: servers.Servers,
    ) -> None:
        self._settings = settings
        self._who = who
        self._publisher = publisher
        self._leaving = leaving
        self._servers = by_server
        self._locks = keyed_lock.KeyedLock()

    async def NodeStageVolume(
        self, request: csi_pb2.NodeStageVolumeRequest, context: Any
    ) -> csi_pb2.NodeStageVolumeResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        self._staging(request.staging_target_path)
        node_requests.parse_capability(request.volume_capability)
        requests.check_secrets(request.secrets)
        with self._locks.hold(volume_id):
            await self._local().run(self._leaving.stay, volume_id)
        return csi_pb2.NodeStageVolumeResponse()

    async def NodeUnstageVolume(
        self, request: csi_pb2.NodeUnstageVolumeRequest, context: Any
    ) -> csi_pb2.NodeUnstageVolumeResponse:
        at = at_path.parse_unstage(request, self._settings.kubelet_root)
        with self._locks.hold(at.volume_id):
            await self._local().run(self._leave, at.volume_id)
        return csi_pb2.NodeUnstageVolumeResponse()

    async def NodePublishVolume(
        self, request: csi_pb2.NodePublishVolumeRequest, context: Any
    ) -> csi_pb2.NodePublishVolumeResponse:
        want = node_requests.parse_publish(request, self._settings.kubelet_root)
        # The volume too: two paths at once would each find it nowhere else (SINGLE_WRITER).
        with self._locks.hold(want.volume_id, str(want.target_path)):
            await self._servers.of(want.server).run(self._publish, want)
        return csi_pb2.NodePublishVolumeResponse()

    async def NodeUnpublishVolume(
        self, request: csi_pb2.NodeUnpublishVolumeRequest, context: Any
    ) -> csi_pb2.NodeUnpublishVolumeResponse:
        at = at_path.parse_unpublish(request, self._settings.kubelet_root)
        with self._locks.hold(at.volume_id, str(at.path)):
            await self._servers.of(_server_at(at.path)).run(self._publisher.unpublish, at)
        return csi_pb2.NodeUnpublishVolumeResponse()

    async def NodeGetVolumeStats(
        self, request: csi_pb2.NodeGetVolumeStatsRequest, context: Any
    ) -> csi_pb2.NodeGetVolumeStatsResponse:
        at = at_path.parse_stats(request, self._settings.kubelet_root)
        return await network_stats.read(
            self._servers.usage(_server_at(at.path), at.path), well=_WELL
        )

    async def NodeGetCapabilities(
        self, request: csi_pb2.NodeGetCapabilitiesRequest, context: Any
    ) -> csi_pb2.NodeGetCapabilitiesResponse:
        return answers.node_capabilities(CAPABILITIES)

    async def NodeGetInfo(
        self, request: csi_pb2.NodeGetInfoRequest, context: Any
    ) -> csi_pb2.NodeGetInfoResponse:
        return csi_pb2.NodeGetInfoResponse(node_id=str(await self._who.read()))

    async def close(self) -> None:
        """Take no more work; what runs ends in its own time."""
        self._servers.close()

    def _publish(self, want: node_requests.Publishing) -> None:
        self._leaving.stay(want.volume_id)
        self._publisher.publish(want)

    def _leave(self, volume_id: str) -> None:
        self._publisher.require_unpublished(volume_id)
        self._leaving.leave(volume_id)

    def _local(self) -> Any:
        return self._servers.of(servers.LOCAL)

    def _staging(self, text: str) -> pathlib.Path:
        told = requests.path("staging_target_path", text)
        return paths.resolve_under(self._settings.kubelet_root, told, "staging_target_path")


def _server_at(path: pathlib.Path) -> str:
    """The server mounted at *path*, as the kernel tells it."""
    there = mountinfo.mounts_at(path)
    return there[-1].source.partition(":")[0] if there else servers.LOCAL


def build(context: driver.DriverContext) -> NodeServicer:
    """The Node service of this process. Faults in its settings are left in *context.reader*."""
    settings = node_settings.read_node(context.reader, _NAME)
    by_server = servers.Servers("cpfs")
    mounted = network_mounts.NetworkMounts(
        settings.proxy_socket, settings.connector_socket, by_server.looks
    )
    return NodeServicer(
        settings,
        who=identity.Identity(
            context.metadata,
            told=context.node_id,
            node_name=context.reader.text("KUBE_NODE_NAME"),
        ),
        publisher=publish.Publisher(mounted, published.Published(settings.work_dir)),
        leaving=delays.Delays(settings.work_dir, settings.detach_delay_s, context.clock),
        by_server=by_server,
    )
