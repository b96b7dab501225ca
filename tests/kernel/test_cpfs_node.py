"""The CPFS node service as a process, with what stands for the elastic client on a real socket."""

import dataclasses
import os
import pathlib
import subprocess
from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, mount_proxy, processes
from tests.support.doubled import doubled

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]

TARGET = "cpfs-0a1b2c3d4e5f6072-000001.cn-hangzhou.cpfs.aliyuncs.com"
VOLUME = "bmcpfs-0a1b2c3d4e5f6072+fset-1"
BY_CHANNEL = {"networkType": "vsc", "vscId": "vsc-1", "vscMountTarget": TARGET}
Code = grpc.StatusCode


@dataclasses.dataclass
class Node:
    rig: processes.Rig
    driver: processes.Process
    client: csi_client.Client
    served: pathlib.Path
    socket: pathlib.Path

    def target(self, pod: str = "pod") -> pathlib.Path:
        path = self.rig.kubelet / "pods" / pod / "volumes/kubernetes.io~csi/pv/mount"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def publish(
        self, pod: str = "pod", mode: str = "MULTI_NODE_MULTI_WRITER", *, readonly: bool = False
    ) -> pathlib.Path:
        request = pb.NodePublishVolumeRequest(
            volume_id=VOLUME,
            target_path=str(self.target(pod)),
            volume_context={"path": "/pvc-1"},
            publish_context=BY_CHANNEL,
            volume_capability=csi_client.mount_capability("", mode=mode),
            readonly=readonly,
        )
        self.client.node.NodePublishVolume(request, timeout=60)
        return self.target(pod)

    def unpublish(self, pod: str = "pod") -> None:
        request = pb.NodeUnpublishVolumeRequest(volume_id=VOLUME, target_path=str(self.target(pod)))
        self.client.node.NodeUnpublishVolume(request, timeout=60)

    def staging(self) -> str:
        return str(self.rig.kubelet / "plugins/kubernetes.io/csi/driver/hash/globalmount")

    def stage(self) -> None:
        request = pb.NodeStageVolumeRequest(
            volume_id=VOLUME,
            staging_target_path=self.staging(),
            volume_capability=csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER"),
        )
        self.client.node.NodeStageVolume(request, timeout=60)

    def unstage(self) -> None:
        request = pb.NodeUnstageVolumeRequest(volume_id=VOLUME, staging_target_path=self.staging())
        self.client.node.NodeUnstageVolume(request, timeout=60)

    def stats(self, pod: str = "pod") -> pb.NodeGetVolumeStatsResponse:
        request = pb.NodeGetVolumeStatsRequest(volume_id=VOLUME, volume_path=str(self.target(pod)))
        told: pb.NodeGetVolumeStatsResponse = self.client.node.NodeGetVolumeStats(
            request, timeout=60
        )
        return told


@pytest.fixture
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """With the settings that a test gives it."""
    rig = processes.Rig(hardware="none")
    try:
        socket = rig.dir / "run/proxy.sock"
        driver = rig.start_driver(
            "cpfs",
            driver="bmcpfs",
            controller=False,
            node_id="common:worker-1",
            NAS_MOUNT_PROXY_SOCKET=str(socket),
            NAS_CONNECTOR_SOCKET=str(rig.dir / "run/connector.sock"),
            **getattr(request, "param", {}),
        )
        client = csi_client.Client(rig.socket("cpfs"))
        served = rig.dir / "served"
        (served / "pvc-1").mkdir(parents=True)
        yield Node(rig, driver, client, served, socket)
        client.close()
    finally:
        rig.close()


@pytest.fixture
def proxy(node: Node) -> Iterator[mount_proxy.MountProxy]:
    made = mount_proxy.MountProxy(node.socket, node.served)
    yield made
    made.close()


def code_of(call: grpc.RpcError) -> tuple[Code, str]:
    return call.code(), call.details() or ""  # type: ignore[attr-defined]


def test_a_volume_is_mounted_by_the_client_and_unmounted_by_it(
    node: Node, proxy: mount_proxy.MountProxy
) -> None:
    target = node.publish()
    node.publish()
    (target / "file").write_text("there")
    usage = node.stats()
    node.unpublish()
    node.unpublish()

    asked = [request["body"] for request in proxy.asked if request["header"]["method"] == "mount"]
    assert len(asked) == 1
    assert (asked[0]["source"], asked[0]["fstype"]) == (f"{TARGET}:/pvc-1", "alinas")
    assert asked[0]["options"] == [
        *("_netdev", "net=vsc", "g_lease_Enable=false", "efc", "protocol=efc", "fstype=cpfs")
    ]
    assert (node.served / "pvc-1/file").read_text() == "there"
    assert not usage.volume_condition.abnormal
    assert usage.usage[0].total > 0
    assert not target.exists()
    assert node.rig.mounts() == []


def test_a_reader_cannot_write(node: Node, proxy: mount_proxy.MountProxy) -> None:
    target = node.publish(readonly=True)
    with pytest.raises(OSError, match="Read-only"):
        (target / "file").touch()
    with pytest.raises(grpc.RpcError) as caught:
        node.publish()
    node.unpublish()

    assert code_of(caught.value)[0] is Code.ALREADY_EXISTS


def test_one_writer_means_one_path_also_after_a_kill(
    node: Node, proxy: mount_proxy.MountProxy
) -> None:
    mode = "SINGLE_NODE_SINGLE_WRITER"
    node.publish("first", mode)
    node.driver.kill9()
    node.driver.start(processes.DRIVER_READY)
    node.publish("first", mode)
    with pytest.raises(grpc.RpcError) as caught:
        node.publish("second", mode)
    node.unpublish("first")
    node.publish("second", mode)
    node.unpublish("second")

    assert code_of(caught.value)[0] is Code.FAILED_PRECONDITION
    assert "ReadWriteOncePod" in code_of(caught.value)[1]


def test_one_writer_means_one_path_also_where_that_is_seen_twice(
    node: Node, proxy: mount_proxy.MountProxy
) -> None:
    mode = "SINGLE_NODE_SINGLE_WRITER"
    with doubled(node.rig.kubelet):
        for pod in ("first", "first", "second"):
            node.publish(pod, mode)
            with pytest.raises(grpc.RpcError) as caught:
                node.publish("third", mode)
            node.unpublish(pod)
            assert code_of(caught.value)[0] is Code.FAILED_PRECONDITION


def test_one_writer_means_one_path_also_for_two_at_once(
    node: Node, proxy: mount_proxy.MountProxy
) -> None:
    def publish(pod: str) -> bool:
        try:
            node.publish(pod, "SINGLE_NODE_SINGLE_WRITER")
        except grpc.RpcError as e:
            assert code_of(e)[0] in (Code.ABORTED, Code.FAILED_PRECONDITION)  # noqa: PT017
            return False
        return True

    for turn in range(10):
        pods = [f"{turn}-a", f"{turn}-b"]
        with futures.ThreadPoolExecutor(2) as pool:
            published = list(pool.map(publish, pods))
        for pod in pods:
            node.unpublish(pod)

        assert published.count(True) == 1


def test_a_published_volume_is_not_unstaged(node: Node, proxy: mount_proxy.MountProxy) -> None:
    """The controller would take the channel away from under its pod."""
    node.publish("first")
    node.publish("second")
    node.unpublish("first")
    with pytest.raises(grpc.RpcError) as caught:
        node.unstage()
    node.unpublish("second")
    node.unstage()

    assert code_of(caught.value)[0] is Code.ABORTED
    assert "second" in code_of(caught.value)[1]


@pytest.mark.parametrize("node", [{"BMCPFS_DETACH_DELAY": "1h"}], indirect=True)
def test_g43_a_volume_stays_for_the_next_pod_also_after_a_kill(
    node: Node, proxy: mount_proxy.MountProxy
) -> None:
    def refused() -> tuple[Code, str]:
        with pytest.raises(grpc.RpcError) as caught:
            node.unstage()
        return code_of(caught.value)

    node.unstage()
    node.stage()
    stays = [refused()]
    node.driver.kill9()
    node.driver.start(processes.DRIVER_READY)
    stays.append(refused())
    node.publish()
    in_use = refused()
    node.unpublish()
    stays.append(refused())

    assert {code for code, _ in stays} == {Code.UNAVAILABLE}
    assert all("BMCPFS_DETACH_DELAY" in said for _, said in stays)
    assert in_use[0] is Code.ABORTED


def test_without_its_client_a_volume_is_refused_at_once_and_nothing_is_left(node: Node) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        node.publish()
    code, said = code_of(caught.value)

    assert code is Code.FAILED_PRECONDITION
    assert str(node.socket) in said
    assert "nasplugin" in said
    assert not node.target().exists()


def test_a_missing_directory_is_told(node: Node, proxy: mount_proxy.MountProxy) -> None:
    (node.served / "pvc-1").rmdir()
    with pytest.raises(grpc.RpcError) as caught:
        node.publish()

    assert code_of(caught.value)[0] is Code.NOT_FOUND
    assert not node.target().exists()


def test_g42_with_the_proxy_away_a_volume_is_unmounted_all_the_same(node: Node) -> None:
    made = mount_proxy.MountProxy(node.socket, node.served)
    node.publish()
    made.close()

    node.unpublish()

    assert node.rig.mounts() == []


def test_a_dead_mount_is_told_and_replaced(node: Node, proxy: mount_proxy.MountProxy) -> None:
    """A file system that shut down under its mount answers with errors, as a dead client does."""
    image = node.rig.dir / "image"
    with image.open("wb") as file:
        file.truncate(320 << 20)
    subprocess.run(["mkfs.xfs", "-q", image], check=True)
    target = node.target()
    target.mkdir()
    subprocess.run(["mount", "-o", "loop", image, target], check=True)
    subprocess.run(["xfs_io", "-x", "-c", "shutdown", target], check=True)

    ill = node.stats()
    node.publish()
    (target / "file").write_text("again")
    node.unpublish()

    assert ill.volume_condition.abnormal
    assert (node.served / "pvc-1/file").read_text() == "again"
    assert node.rig.mounts() == []
