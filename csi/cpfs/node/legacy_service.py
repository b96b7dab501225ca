"""The Node service of cpfsplugin: what old clusters have published stays usable.

Parse, lock, mount, respond; and how it is made.
"""

import contextlib
from typing import Any

from core import errors, keyed_lock
from csi import answers, driver, requests
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.cpfs import lustre
from csi.cpfs.node import node_requests
from csi.cpfs.node import settings as node_settings
from csi.node import at_path, network_mounts, network_stats, servers
from host import files, mountinfo, mounts, paths, run

_Rpc = csi_pb2.NodeServiceCapability.RPC
_NAME = "cpfsplugin.csi.alibabacloud.com"
_FS_TYPE = "lustre"
_WELL = "the file system answers"
_MIGRATE = (
    "CPFS 1.0 speaks Lustre, whose client (mount.lustre) this node lacks, and the service has been "
    "withdrawn. Move the data to CPFS 2.0 or CPFS for Lingjun, and make PersistentVolumes of "
    "nasplugin.csi.alibabacloud.com (mountProtocol cpfs-nfs, an NFS mount target of the protocol "
    "service) or bmcpfsplugin.csi.alibabacloud.com"
)


class NodeServicer(csi_pb2_grpc.NodeServicer):
    """Publishes, measures and unpublishes old volumes."""

    def __init__(self, settings: node_settings.NodeSettings, *, node_id: str) -> None:
        self._settings = settings
        self._node_id = node_id
        self._servers = servers.Servers("lustre")
        self._mounts = network_mounts.NetworkMounts(
            settings.proxy_socket, settings.connector_socket, self._servers.looks
        )
        self._locks = keyed_lock.KeyedLock()

    async def NodePublishVolume(
        self, request: csi_pb2.NodePublishVolumeRequest, context: Any
    ) -> csi_pb2.NodePublishVolumeResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        told = requests.path("target_path", request.target_path)
        capability = node_requests.parse_mount(request.volume_capability)
        requests.check_secrets(request.secrets)
        volume = lustre.parse(
            requests.string_map("volume_context", request.volume_context),
            capability.mount_flags,
            read_only=request.readonly or capability.mode.reader_only,
        )
        target = paths.resolve_under(self._settings.kubelet_root, told, "target_path")
        at = at_path.AtPath(volume_id=volume_id, path=target)
        with self._locks.hold(str(target)):
            await self._servers.of(volume.server).run(self._publish, at, volume)
        return csi_pb2.NodePublishVolumeResponse()

    async def NodeUnpublishVolume(
        self, request: csi_pb2.NodeUnpublishVolumeRequest, context: Any
    ) -> csi_pb2.NodeUnpublishVolumeResponse:
        at = at_path.parse_unpublish(request, self._settings.kubelet_root)
        with self._locks.hold(str(at.path)):
            await self._servers.of(_server_at(at)).run(self._unpublish, at)
        return csi_pb2.NodeUnpublishVolumeResponse()

    async def NodeGetVolumeStats(
        self, request: csi_pb2.NodeGetVolumeStatsRequest, context: Any
    ) -> csi_pb2.NodeGetVolumeStatsResponse:
        at = at_path.parse_stats(request, self._settings.kubelet_root)
        return await network_stats.read(self._servers.usage(_server_at(at), at.path), well=_WELL)

    async def NodeGetCapabilities(
        self, request: csi_pb2.NodeGetCapabilitiesRequest, context: Any
    ) -> csi_pb2.NodeGetCapabilitiesResponse:
        return answers.node_capabilities((_Rpc.GET_VOLUME_STATS, _Rpc.VOLUME_CONDITION))

    async def NodeGetInfo(
        self, request: csi_pb2.NodeGetInfoRequest, context: Any
    ) -> csi_pb2.NodeGetInfoResponse:
        if not self._node_id:
            raise errors.Precondition("the node's name is unknown; set KUBE_NODE_NAME or --nodeid")
        return csi_pb2.NodeGetInfoResponse(node_id=self._node_id)

    async def close(self) -> None:
        """Take no more work; what runs ends in its own time."""
        self._servers.close()

    def _publish(self, at: at_path.AtPath, volume: lustre.LustreVolume) -> None:
        there = mountinfo.mounts_at(at.path)
        if there:
            _require_same(there[-1], at, volume)
            return
        files.ensure_dir(at.path)
        try:
            mounts.mount(volume.source, at.path, fs_type=_FS_TYPE, options=volume.options)
        except BaseException as e:
            with contextlib.suppress(errors.Error, OSError):
                files.remove_empty(at.path)
            if isinstance(e, run.CommandMissing):
                raise errors.Precondition(f"volume {at.volume_id}: {_MIGRATE}") from e
            raise

    def _unpublish(self, at: at_path.AtPath) -> None:
        self._mounts.unmount(at.path)
        files.remove_empty(at.path)


def _require_same(there: mountinfo.Mount, at: at_path.AtPath, volume: lustre.LustreVolume) -> None:
    wanted = volume.options[0]
    if wanted not in there.options:
        raise errors.Exists(
            f"volume {at.volume_id} is published at {at.path} already, and not as {wanted}; "
            "unpublish it first"
        )


def _server_at(at: at_path.AtPath) -> str:
    there = mountinfo.mounts_at(at.path)
    return there[-1].source.partition("@")[0] if there else servers.LOCAL


def build(context: driver.DriverContext) -> NodeServicer:
    """The Node service of this process. Faults in its settings are left in *context.reader*."""
    settings = node_settings.read_node(context.reader, _NAME)
    node_id = context.node_id or context.reader.text("KUBE_NODE_NAME")
    return NodeServicer(settings, node_id=node_id)
