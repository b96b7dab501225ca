"""The NAS driver with a real NFS server and two nodes: a server of one's own, no cloud needed."""

import contextlib
import os
import pathlib
import sys
import time
from collections.abc import Iterator

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.lab.conftest import Node
from tests.support import csi_client, nfs_server, processes, sanity

NAME = "nasplugin.csi.alibabacloud.com"
MODES = {"mode": "MULTI_NODE_MULTI_WRITER"}
LONG_S = 120.0
PORT = 18080
"""Of the simulator, in a network of its own."""


class Driver:
    """The driver in one node's namespaces, controller and node service on one socket."""

    def __init__(self, node: Node, directory: pathlib.Path, name: str) -> None:
        self.node = node
        self.server = "nas.test"
        hosts = directory / name / "hosts"
        hosts.parent.mkdir()
        hosts.write_text(f"127.0.0.1 localhost\n{node.server_address} {self.server}\n")
        node.machine.run("mount", "--bind", hosts, "/etc/hosts")
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
            "NAS_ENDPOINT": f"127.0.0.1:{PORT}",
            "STS_ENDPOINT": f"127.0.0.1:{PORT}",
            "VPC_ENDPOINT": f"127.0.0.1:{PORT}",
        }
        self.process = processes.Process(
            node.machine.argv(*argv), directory / f"{name}.log", environment
        )
        self.process.start(processes.DRIVER_READY)
        self.client = csi_client.Client(self.socket)

    def create(self, name: str, size: int = 1 << 30, **parameters: str) -> pb.Volume:
        told = {"volumeAs": "subpath", "server": f"{self.server}:/base", **parameters}
        request = pb.CreateVolumeRequest(
            name=name,
            parameters=told,
            capacity_range=pb.CapacityRange(required_bytes=size),
            volume_capabilities=[csi_client.mount_capability("", **MODES)],
        )
        return self.client.controller.CreateVolume(request, timeout=LONG_S).volume

    def delete(self, volume_id: str) -> None:
        request = pb.DeleteVolumeRequest(volume_id=volume_id)
        self.client.controller.DeleteVolume(request, timeout=LONG_S)

    def publish(self, volume: pb.Volume, *, readonly: bool = False, pod: str = "pod") -> str:
        target = self.kubelet / "pods" / pod / "volumes/kubernetes.io~csi/pv/mount"
        target.parent.mkdir(parents=True, exist_ok=True)
        request = pb.NodePublishVolumeRequest(
            volume_id=volume.volume_id,
            target_path=str(target),
            volume_context=volume.volume_context,
            volume_capability=csi_client.mount_capability("", **MODES),
            readonly=readonly,
        )
        self.client.node.NodePublishVolume(request, timeout=LONG_S)
        return str(target)

    def unpublish(self, volume: pb.Volume, target: str) -> None:
        request = pb.NodeUnpublishVolumeRequest(volume_id=volume.volume_id, target_path=target)
        self.client.node.NodeUnpublishVolume(request, timeout=LONG_S)

    def stats(self, volume: pb.Volume, target: str) -> pb.NodeGetVolumeStatsResponse:
        request = pb.NodeGetVolumeStatsRequest(volume_id=volume.volume_id, volume_path=target)
        return self.client.node.NodeGetVolumeStats(request, timeout=LONG_S)

    def close(self) -> None:
        self.client.close()
        self.process.kill9()


@pytest.fixture
def drivers(nodes: tuple[Node, Node], tmp_path: pathlib.Path) -> Iterator[tuple[Driver, Driver]]:
    with contextlib.ExitStack() as undo:
        made = []
        for node, name in zip(nodes, ("node-a", "node-b"), strict=True):
            made.append(Driver(node, tmp_path, name))
            undo.callback(made[-1].close)
        yield made[0], made[1]


def test_two_nodes_share_a_volume_and_archiving_keeps_what_they_wrote(
    drivers: tuple[Driver, Driver], nfs_server: nfs_server.NfsServer
) -> None:
    one, two = drivers
    volume = one.create("pvc-1")
    again = one.create("pvc-1")
    here, there = one.publish(volume), two.publish(volume)
    one.node.machine.run("sh", "-c", f"echo from-one > {here}/file")
    seen = two.node.machine.run("cat", f"{there}/file")
    usage = one.stats(volume, here)
    reader = two.publish(volume, readonly=True, pod="reader")
    refused = two.node.machine.fails("touch", f"{reader}/other")
    one.publish(volume)
    two.unpublish(volume, reader)
    two.unpublish(volume, there)
    one.unpublish(volume, here)
    one.unpublish(volume, here)

    assert again == volume
    assert volume.volume_id == "nfs#nas.test#/base#pvc-1"
    assert volume.capacity_bytes == 1 << 30
    assert seen == "from-one\n"
    assert not usage.volume_condition.abnormal
    assert usage.usage[0].total >= usage.usage[0].available > 0
    assert "Read-only file system" in refused
    with pytest.raises(grpc.RpcError) as caught:
        one.create("pvc-1", size=2 << 30)
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS

    one.delete(volume.volume_id)
    one.delete(volume.volume_id)

    base = nfs_server.root / "base"
    left = nfs_server.machine.run("sh", "-c", f"cd {base}; find . -type f; ls .csi-volumes")
    assert left.startswith("./archived-pvc-1.")
    assert left.endswith("/file\n")


def test_deleting_leaves_nothing_and_follows_no_link(
    drivers: tuple[Driver, Driver], nfs_server: nfs_server.NfsServer
) -> None:
    one, _ = drivers
    volume = one.create("pvc-2", archiveOnDelete="false")
    target = one.publish(volume)
    neighbour = nfs_server.root / "base/neighbour"
    script = f"mkdir {neighbour}; touch {neighbour}/kept"
    nfs_server.machine.run("sh", "-ec", script)
    run = one.node.machine.run
    run("sh", "-ec", f"cd {target}; mkdir -p a/b; touch a/b/c; ln -s ../../neighbour link")
    one.unpublish(volume, target)

    one.delete(volume.volume_id)

    left = nfs_server.machine.run("sh", "-c", f"cd {nfs_server.root}/base; find . -mindepth 1")
    assert sorted(left.split()) == ["./.csi-volumes", "./neighbour", "./neighbour/kept"]


def test_a_directory_that_is_missing_is_made_at_publish_with_its_mode(
    drivers: tuple[Driver, Driver], nfs_server: nfs_server.NfsServer
) -> None:
    one, _ = drivers
    context = {"server": one.server, "path": "/not/yet/there", "mode": "0750"}
    volume = pb.Volume(volume_id="static", volume_context={**context, "vers": "4.1"})

    target = one.publish(volume)
    mode = one.node.machine.run("stat", "-c", "%a", target)
    one.unpublish(volume, target)

    assert mode == "750\n"
    assert nfs_server.machine.run("ls", "-d", nfs_server.root / "not/yet/there")


def test_a_server_that_is_gone_holds_nobody_up_and_a_mount_that_died_is_replaced(
    drivers: tuple[Driver, Driver], nfs_server: nfs_server.NfsServer
) -> None:
    one, two = drivers
    options = {"options": "soft,timeo=20,retrans=1,proto=tcp,nolock"}
    volume = one.create("pvc-3", **options)
    here = one.publish(volume)
    there = two.publish(volume)

    with nfs_server.unreachable(one.node.server_address):
        started_s = time.monotonic()
        ill = one.stats(volume, here)
        stats_s = time.monotonic() - started_s
        with pytest.raises(grpc.RpcError) as caught:
            one.create("pvc-4", **options)
        started_s = time.monotonic()
        one.unpublish(volume, here)
        unpublish_s = time.monotonic() - started_s
    well = two.stats(volume, there)

    assert ill.volume_condition.abnormal
    assert stats_s < 30
    assert unpublish_s < 60
    assert caught.value.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
    )
    assert not well.volume_condition.abnormal

    path = nfs_server.root / "base/pvc-3"
    nfs_server.machine.run("sh", "-ec", f"rm -rf {path}; mkdir -m 777 {path}; touch {path}/new")
    two.publish(volume)
    assert two.node.machine.run("ls", there) == "new\n"
    two.unpublish(volume, there)


@pytest.fixture
def cloud(nodes: tuple[Node, Node], tmp_path: pathlib.Path) -> Iterator[int]:
    """The simulator in the first node's network; its port."""
    argv = [sys.executable, "-m", "sim", "serve", "--listen", f"127.0.0.1:{PORT}"]
    argv += ["--state-dir", str(tmp_path / "cloud"), "--time-scale", "0"]
    made = processes.Process(
        nodes[0].machine.argv(*argv),
        tmp_path / "sim.log",
        {"PATH": os.environ["PATH"], "PYTHONPATH": str(processes.ROOT)},
    )
    made.start(processes.SIM_READY)
    yield PORT
    made.kill9()


def test_csi_sanity(cloud: int, drivers: tuple[Driver, Driver]) -> None:
    one, _ = drivers

    report = sanity.run(
        one.kubelet / "sanity",
        one.socket,
        access_type="mount",
        seed=1,
        parameters={"server": f"{one.server}:/sanity", "archiveOnDelete": "false"},
        mutable_parameters={},
        prefix=one.node.machine.argv(),
    )

    assert not report.failed, f"{report.failed}\n{report.output[:6000]}"
    assert len(report.passed) > 30
