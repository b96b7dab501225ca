"""The OSS node service as a process, csi-mounter beside it, and the simulated object storage."""

import contextlib
import os
import pathlib
import shutil
import signal
import tempfile
from collections.abc import Mapping
from typing import Any

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.sim.conftest import KEY_ID, SECRET, Sim
from tests.support import csi_client, mounter, ports, processes, rpc

BUCKET = "simulated-bucket"
WORLD = "oss_buckets: [{name: simulated-bucket}, {name: far-away, region_id: cn-beijing}]\n"
MODE = "MULTI_NODE_MULTI_WRITER"
QUICK = ("--probe-interval", "1s", "--probe-timeout", "1s", "--timeout", "10s")


class OssNode:
    """One node. starts_mounter: csi-plugin starts its mounter by itself. fuse_type: of volumes.

    run_root: where the mounter's directory is made; None = where temporary files are.
    """

    def __init__(
        self,
        *,
        starts_mounter: bool = False,
        fuse_type: str = "s3fs",
        run_root: pathlib.Path | None = None,
        **environment: str,
    ) -> None:
        self._fuse_type = fuse_type
        self.rig = processes.Rig(hardware="none")
        # A socket's path must be short.
        self.run_dir = pathlib.Path(tempfile.mkdtemp(prefix="oss-", dir=run_root))
        self._open_port = ports.free_port()
        world = self.run_dir / "world.yaml"
        world.write_text(WORLD)
        options = ("--world", str(world), "--oss-address", f"127.0.0.1:{self._open_port}")
        self.cloud = Sim(self.run_dir / "cloud", *options)
        self.mounter = mounter.MounterProcess(self.run_dir, *QUICK)
        self.environment = {
            "OSS_WORK_DIR": str(self.mounter.work_dir),
            "OSS_MOUNTER_SOCKET": str(self.mounter.socket),
            "ALIBABA_CLOUD_ACCESS_KEY_ID": "",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "",
            "OSS_START_MOUNTER": str(starts_mounter).lower(),
            **environment,
        }
        self._starts_mounter = starts_mounter
        self._client: csi_client.Client | None = None

    @property
    def client(self) -> csi_client.Client:
        assert self._client is not None
        return self._client

    def start(self) -> None:
        self.cloud.start()
        self.environment |= {
            "IMDS_ENDPOINT": f"http://{self.cloud.endpoint}",
            "STS_ENDPOINT": self.cloud.endpoint,
            "ALIBABA_CLOUD_ACCOUNT_ID": "1234567890123456",
            "CLUSTER_ID": "sim",
        }
        if not self._starts_mounter:
            self.mounter.start()
        self.start_plugin()

    def start_plugin(self) -> None:
        self.plugin = self.rig.start_driver(
            "oss", driver="oss", controller=False, node_id="worker-1", **self.environment
        )
        self._client = csi_client.Client(self.rig.socket("oss"))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        try:
            self.mounter.close()
            self.cloud.stop()
        finally:
            mounter.unmount_below(self.rig.kubelet)
            self.rig.close()
            shutil.rmtree(self.run_dir, ignore_errors=True)

    def open_port(self) -> int:
        """Of a listener of the cloud that serves object storage alone."""
        return self._open_port

    def target(self, pod: str = "pod") -> pathlib.Path:
        path = self.rig.kubelet / "pods" / pod / "volumes/kubernetes.io~csi/pv/mount"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def publish(
        self,
        pod: str = "pod",
        *,
        volume_id: str = "pv-1",
        readonly: bool = False,
        secrets: Mapping[str, str] | None = None,
        flags: tuple[str, ...] = (),
        mode: str = MODE,
        timeout_s: float = 60.0,
        **context: str,
    ) -> pathlib.Path:
        """Publish; *context* changes the volume's attributes, an empty value removes one."""
        attributes = {
            "bucket": BUCKET,
            "url": f"http://{self.cloud.endpoint}",
            "region": "cn-hangzhou",
            "fuseType": self._fuse_type,
            **context,
        }
        given = {"akId": KEY_ID, "akSecret": SECRET} if secrets is None else secrets
        request = pb.NodePublishVolumeRequest(
            volume_id=volume_id,
            target_path=str(self.target(pod)),
            volume_context={key: value for key, value in attributes.items() if value},
            volume_capability=csi_client.mount_capability("", mode=mode, flags=flags),
            readonly=readonly,
            secrets=given,
        )
        self.client.node.NodePublishVolume(request, timeout=timeout_s)
        return self.target(pod)

    def unpublish(self, pod: str = "pod", volume_id: str = "pv-1") -> None:
        self.client.node.NodeUnpublishVolume(
            pb.NodeUnpublishVolumeRequest(volume_id=volume_id, target_path=str(self.target(pod))),
            timeout=60,
        )

    def stage(self, volume_id: str = "pv-1") -> None:
        self.client.node.NodeStageVolume(
            pb.NodeStageVolumeRequest(
                volume_id=volume_id,
                staging_target_path=str(self._staging()),
                volume_capability=csi_client.mount_capability("", mode=MODE),
            ),
            timeout=60,
        )

    def unstage(self, volume_id: str = "pv-1") -> None:
        self.client.node.NodeUnstageVolume(
            pb.NodeUnstageVolumeRequest(
                volume_id=volume_id, staging_target_path=str(self._staging())
            ),
            timeout=60,
        )

    def _staging(self) -> pathlib.Path:
        path = self.rig.kubelet / "plugins/kubernetes.io/csi/oss/globalmount"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def stats(self, pod: str = "pod", volume_id: str = "pv-1") -> pb.NodeGetVolumeStatsResponse:
        told: pb.NodeGetVolumeStatsResponse = self.client.node.NodeGetVolumeStats(
            pb.NodeGetVolumeStatsRequest(volume_id=volume_id, volume_path=str(self.target(pod))),
            timeout=60,
        )
        return told

    def volume(self) -> dict[str, object]:
        """The mounter's row of the only volume."""
        (row,) = self.mounter.ask("status")["volumes"]
        return dict(row)

    def started_mounters(self) -> list[int]:
        """Mounters of this node, whoever started them."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if b"csi.mounter" in words and str(self.mounter.socket).encode() in words:
                    found.append(int(path.parent.name))
        return found

    def kill_client(self, number: int = signal.SIGKILL) -> None:
        """Send *number* to the only volume's client; returns when there is a new one."""
        before = int(str(self.volume()["restarts"]))
        os.kill(int(str(self.volume()["pid"])), number)
        rpc.wait_until(lambda: self.volume()["restarts"] == before + 1, timeout_s=20)
        rpc.wait_until(lambda: self.volume()["state"] == "mounted", timeout_s=20)

    def left_mounts(self) -> list[str]:
        """Mounts below this node's directories, but for the mounter's own memory."""
        points = [
            line.split(" ")[4]
            for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        ]
        roots = (f"{self.run_dir}/", f"{self.rig.dir}/")
        memory = f"{self.mounter.work_dir}/.mounter"
        return [point for point in points if point.startswith(roots) and point != memory]

    def files_with(self, word: str) -> list[str]:
        """Files of this node that hold *word*, but for what is inside volumes and the cloud."""
        found = []
        for root in (self.run_dir, self.rig.dir):
            for path in root.rglob("*"):
                inside = any(path.is_relative_to(point) for point in self.left_mounts())
                if inside or path.is_relative_to(self.run_dir / "cloud") or not path.is_file():
                    continue
                if word.encode() in path.read_bytes():
                    found.append(os.fspath(path))
        return found


def refused(node: OssNode, code: grpc.StatusCode, *words: str, **changes: Any) -> str:
    """Words of a publish that is refused with *code*, and has all *words*."""
    with pytest.raises(grpc.RpcError) as refusal:
        node.publish(**changes)
    said = refusal.value.details() or ""
    assert refusal.value.code() is code, said
    assert all(word in said for word in words), said
    return said
