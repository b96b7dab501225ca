"""The NAS driver in the namespaces of a lab node."""

import os
import pathlib
import sys

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, machine, processes

MODE = "MULTI_NODE_MULTI_WRITER"
LONG_S = 120.0


class NasDriver:
    """Controller and node service on one socket.

    server: default of volumes that `create` makes. endpoint: of the cloud, as the node reaches it.
    """

    def __init__(
        self,
        node: machine.Machine,
        directory: pathlib.Path,
        name: str,
        server: str,
        *,
        endpoint: str = "127.0.0.1:9",
        **more: str,
    ) -> None:
        self.machine = node
        self.server = server
        self.kubelet = directory / name / "kubelet"
        self.kubelet.mkdir(parents=True)
        self.socket = directory / name / "csi.sock"
        argv = [sys.executable, "-m", "csi", "--driver=nas", f"--endpoint=unix://{self.socket}"]
        argv += [f"--nodeid={name}", "--run-controller-service=true", "--run-node-service=true"]
        argv += ["--logging-format=json", "--v=5"]
        environment = {
            "PATH": os.environ["PATH"],
            # Entering a mount namespace leaves the working directory.
            "PYTHONPATH": str(processes.ROOT),
            "KUBELET_ROOT_DIR": str(self.kubelet),
            "NAS_WORK_DIR": str(directory / name / "work"),
            "SERVICE_ADDRESS": "127.0.0.1",
            "SERVICE_PORT": "0",
            "REGION_ID": "cn-hangzhou",
            "ALIBABA_CLOUD_ACCESS_KEY_ID": processes.ACCESS_KEY_ID,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": processes.ACCESS_KEY_SECRET,
            "ALICLOUD_CLIENT_SCHEME": "HTTP",
            "NAS_ENDPOINT": endpoint,
            "STS_ENDPOINT": endpoint,
            "VPC_ENDPOINT": endpoint,
            **more,
        }
        self.process = processes.Process(node.argv(*argv), directory / f"{name}.log", environment)
        self.process.start(processes.DRIVER_READY)
        self.client = csi_client.Client(self.socket)

    def create(self, name: str, size: int = 1 << 30, **parameters: str) -> pb.Volume:
        told = parameters
        if told.get("volumeAs", "subpath") == "subpath":
            told = {"volumeAs": "subpath", "server": f"{self.server}:/base", **parameters}
        request = pb.CreateVolumeRequest(
            name=name,
            parameters=told,
            capacity_range=pb.CapacityRange(required_bytes=size),
            volume_capabilities=[csi_client.mount_capability("", mode=MODE)],
        )
        made: pb.Volume = self.client.controller.CreateVolume(request, timeout=LONG_S).volume
        return made

    def delete(self, volume_id: str) -> None:
        request = pb.DeleteVolumeRequest(volume_id=volume_id)
        self.client.controller.DeleteVolume(request, timeout=LONG_S)

    def expand(self, volume_id: str, size: int) -> int:
        request = pb.ControllerExpandVolumeRequest(
            volume_id=volume_id, capacity_range=pb.CapacityRange(required_bytes=size)
        )
        answer = self.client.controller.ControllerExpandVolume(request, timeout=LONG_S)
        size_bytes: int = answer.capacity_bytes
        return size_bytes

    def publish(self, volume: pb.Volume, *, readonly: bool = False, pod: str = "pod") -> str:
        target = self.kubelet / "pods" / pod / "volumes/kubernetes.io~csi/pv/mount"
        target.parent.mkdir(parents=True, exist_ok=True)
        request = pb.NodePublishVolumeRequest(
            volume_id=volume.volume_id,
            target_path=str(target),
            volume_context=volume.volume_context,
            volume_capability=csi_client.mount_capability("", mode=MODE),
            readonly=readonly,
        )
        self.client.node.NodePublishVolume(request, timeout=LONG_S)
        return str(target)

    def unpublish(self, volume: pb.Volume, target: str) -> None:
        request = pb.NodeUnpublishVolumeRequest(volume_id=volume.volume_id, target_path=target)
        self.client.node.NodeUnpublishVolume(request, timeout=LONG_S)

    def stats(self, volume: pb.Volume, target: str) -> pb.NodeGetVolumeStatsResponse:
        request = pb.NodeGetVolumeStatsRequest(volume_id=volume.volume_id, volume_path=target)
        told: pb.NodeGetVolumeStatsResponse = self.client.node.NodeGetVolumeStats(
            request, timeout=LONG_S
        )
        return told

    def close(self) -> None:
        self.client.close()
        self.process.kill9()
