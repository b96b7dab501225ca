"""The driver of node-local volumes on this machine, and the calls of a CO in short."""

import functools
import os
import pathlib
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, processes, rpc

NODE = "node-a"
TOPOLOGY = {"kubernetes.io/hostname": NODE}
MIB = 1 << 20
LONG_S = 120.0


class LvmDriver:
    """Both halves on one socket. devices: the only ones that LVM may look at."""

    def __init__(
        self,
        directory: pathlib.Path,
        devices: Sequence[str],
        *,
        path: str = os.environ["PATH"],
        name: str = "local",
        socket: str = "csi",
        **more: str,
    ) -> None:
        self.kubelet = directory / "kubelet"
        self.kubelet.mkdir(parents=True, exist_ok=True)
        self.socket = directory / f"{socket}.sock"
        argv = [sys.executable, "-m", "csi", f"--driver={name}", f"--endpoint=unix://{self.socket}"]
        argv += [f"--nodeid={NODE}", "--logging-format=json", "--v=5"]
        environment = {
            "PATH": path,
            "KUBELET_ROOT_DIR": str(self.kubelet),
            "LVM_DEVICES": ",".join(devices),
            "SERVICE_ADDRESS": "127.0.0.1",
            "SERVICE_PORT": "0",
            **more,
        }
        self.process = processes.Process(argv, directory / f"{socket}.log", environment)
        try:
            self.process.start(processes.DRIVER_READY)
        except RuntimeError:
            self.process.kill9()
            raise
        self.client = csi_client.Client(self.socket)

    def create(
        self,
        name: str,
        size: int = 64 * MIB,
        *,
        limit: int = 0,
        source: pb.VolumeContentSource | None = None,
        block: bool = False,
        fs_type: str = "ext4",
        **parameters: str,
    ) -> pb.Volume:
        request = pb.CreateVolumeRequest(
            name=name,
            parameters={"volumeType": "LVM", **parameters},
            capacity_range=pb.CapacityRange(required_bytes=size, limit_bytes=limit),
            volume_capabilities=[capability(block=block, fs_type=fs_type)],
            volume_content_source=source,
            accessibility_requirements=pb.TopologyRequirement(
                requisite=[pb.Topology(segments=TOPOLOGY)]
            ),
        )
        made: pb.Volume = self.client.controller.CreateVolume(request, timeout=LONG_S).volume
        return made

    def delete(self, volume_id: str) -> None:
        request = pb.DeleteVolumeRequest(volume_id=volume_id)
        self.client.controller.DeleteVolume(request, timeout=LONG_S)

    def capacity(self, **parameters: str) -> pb.GetCapacityResponse:
        request = pb.GetCapacityRequest(
            parameters={"volumeType": "LVM", **parameters},
            accessible_topology=pb.Topology(segments=TOPOLOGY),
        )
        told: pb.GetCapacityResponse = self.client.controller.GetCapacity(request, timeout=LONG_S)
        return told

    def listed(self) -> dict[str, pb.ListVolumesResponse.Entry]:
        answer = self.client.controller.ListVolumes(pb.ListVolumesRequest(), timeout=LONG_S)
        return {entry.volume.volume_id: entry for entry in answer.entries}

    def get(self, volume_id: str) -> pb.ControllerGetVolumeResponse:
        request = pb.ControllerGetVolumeRequest(volume_id=volume_id)
        told: pb.ControllerGetVolumeResponse = self.client.controller.ControllerGetVolume(
            request, timeout=LONG_S
        )
        return told

    def staging(self, volume_id: str, where: str = "local") -> pathlib.Path:
        path = self.kubelet / "plugins/kubernetes.io/csi" / where / volume_id / "globalmount"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def stage(
        self,
        volume: pb.Volume,
        *,
        block: bool = False,
        fs_type: str = "ext4",
        mode: str = "SINGLE_NODE_WRITER",
        secrets: Mapping[str, str] | None = None,
        where: str = "local",
    ) -> pathlib.Path:
        path = self.staging(volume.volume_id, where)
        request = pb.NodeStageVolumeRequest(
            volume_id=volume.volume_id,
            staging_target_path=str(path),
            volume_capability=capability(block=block, fs_type=fs_type, mode=mode),
            volume_context=volume.volume_context,
            secrets=secrets,
        )
        self.client.node.NodeStageVolume(request, timeout=LONG_S)
        return path

    def publish(
        self,
        volume: pb.Volume,
        *,
        pod: str = "pod",
        block: bool = False,
        fs_type: str = "ext4",
        mode: str = "SINGLE_NODE_WRITER",
        readonly: bool = False,
        secrets: Mapping[str, str] | None = None,
        **context: str,
    ) -> pathlib.Path:
        """Stage and publish; the target path."""
        staging = self.stage(volume, block=block, fs_type=fs_type, mode=mode, secrets=secrets)
        target = self.kubelet / "pods" / pod / "volumes" / volume.volume_id
        target.parent.mkdir(parents=True, exist_ok=True)
        request = pb.NodePublishVolumeRequest(
            volume_id=volume.volume_id,
            staging_target_path=str(staging),
            target_path=str(target),
            volume_capability=capability(block=block, fs_type=fs_type, mode=mode),
            volume_context={**volume.volume_context, **context},
            readonly=readonly,
        )
        self.client.node.NodePublishVolume(request, timeout=LONG_S)
        return target

    def unpublish(self, volume: pb.Volume, target: pathlib.Path) -> None:
        """Unpublish and unstage."""
        self.client.node.NodeUnpublishVolume(
            pb.NodeUnpublishVolumeRequest(volume_id=volume.volume_id, target_path=str(target)),
            timeout=LONG_S,
        )
        self.unstage(volume)

    def unstage(self, volume: pb.Volume, *, where: str = "local") -> None:
        request = pb.NodeUnstageVolumeRequest(
            volume_id=volume.volume_id,
            staging_target_path=str(self.staging(volume.volume_id, where)),
        )
        self.client.node.NodeUnstageVolume(request, timeout=LONG_S)

    def stats(self, volume: pb.Volume, target: pathlib.Path) -> pb.NodeGetVolumeStatsResponse:
        request = pb.NodeGetVolumeStatsRequest(volume_id=volume.volume_id, volume_path=str(target))
        told: pb.NodeGetVolumeStatsResponse = self.client.node.NodeGetVolumeStats(
            request, timeout=LONG_S
        )
        return told

    def expand(self, volume: pb.Volume, target: pathlib.Path, size: int, *, limit: int = 0) -> int:
        request = pb.NodeExpandVolumeRequest(
            volume_id=volume.volume_id,
            volume_path=str(target),
            capacity_range=pb.CapacityRange(required_bytes=size, limit_bytes=limit),
        )
        answer = self.client.node.NodeExpandVolume(request, timeout=LONG_S)
        size_bytes: int = answer.capacity_bytes
        return size_bytes

    def snapshot(self, name: str, volume_id: str, **parameters: str) -> pb.Snapshot:
        request = pb.CreateSnapshotRequest(
            name=name, source_volume_id=volume_id, parameters=parameters
        )
        made: pb.Snapshot = self.client.controller.CreateSnapshot(request, timeout=LONG_S).snapshot
        return made

    def delete_snapshot(self, snapshot_id: str) -> None:
        request = pb.DeleteSnapshotRequest(snapshot_id=snapshot_id)
        self.client.controller.DeleteSnapshot(request, timeout=LONG_S)

    def metrics(self) -> str:
        """What /metrics tells."""
        url = f"http://127.0.0.1:{self.process.http_port()}/metrics"
        with urllib.request.urlopen(url, timeout=LONG_S) as page:
            text: str = page.read().decode()
        return text

    def close(self) -> None:
        self.client.close()
        self.process.kill9()


def capability(
    *, block: bool = False, fs_type: str = "ext4", mode: str = "SINGLE_NODE_WRITER"
) -> pb.VolumeCapability:
    """Of a volume."""
    if block:
        return csi_client.block_capability(mode)
    return csi_client.mount_capability(fs_type, mode=mode)


def code_of(call: Callable[..., object], *args: Any, **named: Any) -> str:
    """Name of the status with which *call* fails."""
    name: str = rpc.refusal(functools.partial(call, *args, **named)).code.name
    return name
