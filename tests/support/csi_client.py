"""A thin CSI client: what kubelet and the sidecars send, with as little ceremony as possible."""

import pathlib
from collections.abc import Mapping
from typing import Any

import grpc

from csi._pb import csi_pb2 as pb
from csi._pb import csi_pb2_grpc

GIB = 1 << 30
TIMEOUT_S = 30.0


def mount_capability(
    fs_type: str = "ext4", mode: str = "SINGLE_NODE_WRITER", flags: tuple[str, ...] = ()
) -> pb.VolumeCapability:
    return pb.VolumeCapability(
        mount=pb.VolumeCapability.MountVolume(fs_type=fs_type, mount_flags=list(flags)),
        access_mode=pb.VolumeCapability.AccessMode(mode=mode),
    )


def block_capability(mode: str = "SINGLE_NODE_WRITER") -> pb.VolumeCapability:
    return pb.VolumeCapability(
        block=pb.VolumeCapability.BlockVolume(),
        access_mode=pb.VolumeCapability.AccessMode(mode=mode),
    )


def snapshot_source(snapshot_id: str) -> pb.VolumeContentSource:
    return pb.VolumeContentSource(
        snapshot=pb.VolumeContentSource.SnapshotSource(snapshot_id=snapshot_id)
    )


def volume_source(volume_id: str) -> pb.VolumeContentSource:
    return pb.VolumeContentSource(volume=pb.VolumeContentSource.VolumeSource(volume_id=volume_id))


def _connect(socket: pathlib.Path) -> grpc.Channel:
    # A global subchannel pool would remember that a killed driver's socket was down.
    return grpc.insecure_channel(
        f"unix:{socket}",
        options=[
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200),
            ("grpc.enable_retries", 0),
        ],
    )


class Client:
    """Connections to a driver; every RPC by a short name.

    controller_socket: for split deployments; *socket* is the node's then.
    """

    def __init__(self, socket: pathlib.Path, controller_socket: pathlib.Path | None = None) -> None:
        self._channels = [_connect(path) for path in (socket, controller_socket or socket)]
        of_node, of_controller = self._channels
        self.identity = csi_pb2_grpc.IdentityStub(of_node)
        self.node = csi_pb2_grpc.NodeStub(of_node)
        self.controller = csi_pb2_grpc.ControllerStub(of_controller)
        self.group = csi_pb2_grpc.GroupControllerStub(of_controller)

    def close(self) -> None:
        """Close the connections."""
        for channel in self._channels:
            channel.close()

    def create(
        self,
        name: str,
        *,
        size_gib: int = 20,
        capability: pb.VolumeCapability | None = None,
        parameters: Mapping[str, str] | None = None,
        source: pb.VolumeContentSource | None = None,
        zone_id: str = "cn-hangzhou-k",
        timeout_s: float = TIMEOUT_S,
        **fields: Any,
    ) -> pb.Volume:
        request = pb.CreateVolumeRequest(
            name=name,
            capacity_range=pb.CapacityRange(required_bytes=size_gib * GIB),
            volume_capabilities=[capability or mount_capability()],
            parameters={"type": "cloud_essd"} if parameters is None else parameters,
            volume_content_source=source,
            accessibility_requirements=pb.TopologyRequirement(
                requisite=[
                    pb.Topology(segments={"topology.diskplugin.csi.alibabacloud.com/zone": zone_id})
                ]
            ),
            **fields,
        )
        volume: pb.Volume = self.controller.CreateVolume(request, timeout=timeout_s).volume
        return volume

    def delete(self, volume_id: str, timeout_s: float = TIMEOUT_S) -> None:
        self.controller.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume_id), timeout=timeout_s)

    def attach(
        self,
        volume: pb.Volume,
        node_id: str,
        *,
        capability: pb.VolumeCapability | None = None,
        readonly: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> dict[str, str]:
        answer = self.controller.ControllerPublishVolume(
            pb.ControllerPublishVolumeRequest(
                volume_id=volume.volume_id,
                node_id=node_id,
                volume_capability=capability or mount_capability(),
                readonly=readonly,
                volume_context=volume.volume_context,
            ),
            timeout=timeout_s,
        )
        return dict(answer.publish_context)

    def detach(self, volume_id: str, node_id: str, timeout_s: float = TIMEOUT_S) -> None:
        self.controller.ControllerUnpublishVolume(
            pb.ControllerUnpublishVolumeRequest(volume_id=volume_id, node_id=node_id),
            timeout=timeout_s,
        )

    def stage(
        self,
        volume: pb.Volume,
        publish_context: Mapping[str, str],
        staging: pathlib.Path,
        *,
        capability: pb.VolumeCapability | None = None,
        timeout_s: float = TIMEOUT_S,
        **fields: Any,
    ) -> None:
        self.node.NodeStageVolume(
            pb.NodeStageVolumeRequest(
                volume_id=volume.volume_id,
                publish_context=publish_context,
                staging_target_path=str(staging),
                volume_capability=capability or mount_capability(),
                volume_context=volume.volume_context,
                **fields,
            ),
            timeout=timeout_s,
        )

    def unstage(self, volume_id: str, staging: pathlib.Path, timeout_s: float = TIMEOUT_S) -> None:
        self.node.NodeUnstageVolume(
            pb.NodeUnstageVolumeRequest(volume_id=volume_id, staging_target_path=str(staging)),
            timeout=timeout_s,
        )

    def publish(
        self,
        volume: pb.Volume,
        publish_context: Mapping[str, str],
        staging: pathlib.Path,
        target: pathlib.Path,
        *,
        capability: pb.VolumeCapability | None = None,
        readonly: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.node.NodePublishVolume(
            pb.NodePublishVolumeRequest(
                volume_id=volume.volume_id,
                publish_context=publish_context,
                staging_target_path=str(staging),
                target_path=str(target),
                volume_capability=capability or mount_capability(),
                readonly=readonly,
                volume_context=volume.volume_context,
            ),
            timeout=timeout_s,
        )

    def unpublish(self, volume_id: str, target: pathlib.Path, timeout_s: float = TIMEOUT_S) -> None:
        self.node.NodeUnpublishVolume(
            pb.NodeUnpublishVolumeRequest(volume_id=volume_id, target_path=str(target)),
            timeout=timeout_s,
        )

    def snapshot(self, name: str, volume_id: str, timeout_s: float = TIMEOUT_S) -> pb.Snapshot:
        made: pb.Snapshot = self.controller.CreateSnapshot(
            pb.CreateSnapshotRequest(name=name, source_volume_id=volume_id), timeout=timeout_s
        ).snapshot
        return made

    def delete_snapshot(self, snapshot_id: str, timeout_s: float = TIMEOUT_S) -> None:
        self.controller.DeleteSnapshot(
            pb.DeleteSnapshotRequest(snapshot_id=snapshot_id), timeout=timeout_s
        )

    def expand(
        self, volume_id: str, size_gib: int, timeout_s: float = TIMEOUT_S
    ) -> pb.ControllerExpandVolumeResponse:
        answer: pb.ControllerExpandVolumeResponse = self.controller.ControllerExpandVolume(
            pb.ControllerExpandVolumeRequest(
                volume_id=volume_id,
                capacity_range=pb.CapacityRange(required_bytes=size_gib * GIB),
            ),
            timeout=timeout_s,
        )
        return answer

    def expand_node(
        self,
        volume_id: str,
        path: pathlib.Path,
        size_gib: int,
        *,
        staging: pathlib.Path | None = None,
        capability: pb.VolumeCapability | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.node.NodeExpandVolume(
            pb.NodeExpandVolumeRequest(
                volume_id=volume_id,
                volume_path=str(path),
                staging_target_path=str(staging or ""),
                capacity_range=pb.CapacityRange(required_bytes=size_gib * GIB),
                volume_capability=capability or mount_capability(),
            ),
            timeout=timeout_s,
        )

    def stats(self, volume_id: str, path: pathlib.Path) -> pb.NodeGetVolumeStatsResponse:
        answer: pb.NodeGetVolumeStatsResponse = self.node.NodeGetVolumeStats(
            pb.NodeGetVolumeStatsRequest(volume_id=volume_id, volume_path=str(path)),
            timeout=TIMEOUT_S,
        )
        return answer
