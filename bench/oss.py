"""The OSS driver: a publish beside the bare client, the mounter's memory, recovery after a kill.

The peer is what nobody can beat: the same client with the same options, started by hand, until its
mount answers, and one `mount --bind`. Ours and the peer's turns alternate. Ours comes after the
calls that kubelet makes right before it, NodeStageVolume and NodeGetCapabilities.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

from bench import report
from csi._pb import csi_pb2 as pb
from tests.sim.conftest import KEY_ID, SECRET
from tests.support import oss_node, rpc

ROUNDS, VOLUMES, KILLS, STATS = 40, 10, 5, 100
PUBLISH_GOAL, VOLUME_GOAL_MIB = 1.3, 2.0
_KIB = 1024
_PEER = "s3fs and mount --bind"
_MEMORY = pathlib.Path("/dev/shm")  # noqa: S108 - as /run is on a node, where the mounter works


def run() -> report.Report:
    """Measure everything; about a minute."""
    told = report.Report(target="oss")
    node = oss_node.OssNode(run_root=_MEMORY)
    try:
        node.start()
        _publish(told, node)
        _again(told, node)
        _stats(told, node)
        _memory(told, node)
        _recovery(told, node)
    finally:
        node.close()
    return told


def _publish(told: report.Report, node: oss_node.OssNode) -> None:
    """As kubelet publishes; and once more with nothing before it, when all that runs is cold."""
    node.publish("warm-up", volume_id="warm-up")
    ratio = told.add_pair("publish of a volume", _PEER, *_rounds(node, _kubelets_calls), "s")
    told.goals.append(report.Goal(name="publish / bare client", value=ratio, limit=PUBLISH_GOAL))
    told.add_pair("publish, the first call after a rest", _PEER, *_rounds(node, _nothing), "s")
    _unpublish(node, "warm-up", "warm-up")


def _rounds(
    node: oss_node.OssNode, before: Callable[[oss_node.OssNode, str], None]
) -> tuple[list[float], list[float]]:
    """Seconds of our publishes, *before* having been called with the volume, and of the peer's."""
    ours, bare = [], []
    for number in range(ROUNDS):
        node.target(f"pod-{number}")  # the directories are there on both sides
        before(node, f"pv-{number}")
        began_s = time.monotonic()
        node.publish(f"pod-{number}", volume_id=f"pv-{number}")
        ours.append(time.monotonic() - began_s)
        _unpublish(node, f"pod-{number}", f"pv-{number}")
        bare.append(_bare(node, number))
    return ours, bare


def _kubelets_calls(node: oss_node.OssNode, volume_id: str) -> None:
    node.stage(volume_id)
    node.client.node.NodeGetCapabilities(pb.NodeGetCapabilitiesRequest(), timeout=20)


def _nothing(node: oss_node.OssNode, volume_id: str) -> None:
    """The driver has rested since the volume before."""


def _again(told: report.Report, node: oss_node.OssNode) -> None:
    """What kubelet does every minute or so: publish what is published."""
    node.publish()
    values = []
    for _ in range(50):
        began_s = time.monotonic()
        node.publish()
        values.append(1000 * (time.monotonic() - began_s))
    told.add("publish again", report.OURS, values, "ms")
    _unpublish(node, "pod", "pv-1")


def _stats(told: report.Report, node: oss_node.OssNode) -> None:
    """What kubelet asks about once a minute; its floors are a bare statvfs and an empty RPC."""
    target = node.publish()
    node.stats()
    ours, bare, empty = [], [], []
    for _ in range(STATS):
        began_s = time.perf_counter()
        node.stats()
        asked_s = time.perf_counter()
        os.statvfs(target)
        looked_s = time.perf_counter()
        node.client.node.NodeGetCapabilities(pb.NodeGetCapabilitiesRequest(), timeout=20)
        ours.append(1000 * (asked_s - began_s))
        bare.append(1000 * (looked_s - asked_s))
        empty.append(1000 * (time.perf_counter() - looked_s))
    told.add_pair("NodeGetVolumeStats", "statvfs", ours, bare, "ms")
    told.add_pair("NodeGetVolumeStats, beside an RPC", "NodeGetCapabilities", ours, empty, "ms")
    _unpublish(node, "pod", "pv-1")


def _memory(told: report.Report, node: oss_node.OssNode) -> None:
    before = _rss_mib(node.mounter.pid)
    for number in range(VOLUMES):
        node.publish(f"pod-{number}", volume_id=f"pv-{number}")
    after = _rss_mib(node.mounter.pid)
    clients = [_rss_mib(pid) for pid in node.mounter.client_pids()]
    for number in range(VOLUMES):
        _unpublish(node, f"pod-{number}", f"pv-{number}")
    told.add("RSS of an idle mounter", "csi-mounter", [before], "MiB")
    each = (after - before) / VOLUMES
    told.add("RSS for each volume, beside the client", "csi-mounter", [each], "MiB")
    told.add("RSS of a client", "s3fs", clients, "MiB")
    told.goals.append(
        report.Goal(name="mounter's RSS for each volume, MiB", value=each, limit=VOLUME_GOAL_MIB)
    )


def _recovery(told: report.Report, node: oss_node.OssNode) -> None:
    """From SIGKILL of the client to a pod that reads again."""
    mounted, readable = [], []
    for number in range(KILLS):
        name = f"killed-{number}"  # a volume of its own: one that dies again and again waits longer
        target = node.publish(name, volume_id=name)
        (target / "a").write_text("x")
        began_s = time.monotonic()
        os.kill(int(str(node.volume()["pid"])), signal.SIGKILL)
        rpc.wait_until(lambda: node.volume()["restarts"] == 1, timeout_s=20)
        rpc.wait_until(lambda: node.volume()["state"] == "mounted", timeout_s=20)
        mounted.append(time.monotonic() - began_s)
        node.publish(name, volume_id=name)
        (target / "a").read_text()
        readable.append(time.monotonic() - began_s)
        _unpublish(node, name, name)
    told.add("from a kill to a new mount", "csi-mounter", mounted, "s")
    told.add("from a kill to a pod that reads, with the next publish", report.OURS, readable, "s")


def _unpublish(node: oss_node.OssNode, pod: str, volume_id: str) -> None:
    node.unpublish(pod, volume_id)
    node.unstage(volume_id)


def _bare(node: oss_node.OssNode, number: int) -> float:
    """Seconds until the client's mount answers and is bound once more."""
    source, target = node.run_dir / f"bare-{number}", node.run_dir / f"bound-{number}"
    for directory in (source, target):
        directory.mkdir(exist_ok=True)
    with _client(node, source) as began_s:
        while not os.path.ismount(source):
            time.sleep(0.001)
        os.statvfs(source)
        subprocess.run(["mount", "--bind", str(source), str(target)], check=True)
        took_s = time.monotonic() - began_s
        subprocess.run(["umount", str(target)], check=True)
        subprocess.run(["umount", str(source)], check=True)
    return took_s


@contextlib.contextmanager
def _client(node: oss_node.OssNode, target: pathlib.Path) -> Iterator[float]:
    """A client of its own; yields when it was started."""
    password = node.run_dir / "bare-passwd"
    password.touch(0o600)
    password.write_text(f"{oss_node.BUCKET}:{KEY_ID}:{SECRET}\n")
    options = (
        f"url=http://{node.cloud.endpoint},use_path_request_style,endpoint=cn-hangzhou,"
        f"allow_other,listobjectsv2,dbglevel=warn,passwd_file={password}"
    )
    began_s = time.monotonic()
    client = subprocess.Popen(
        ["s3fs", oss_node.BUCKET, str(target), "-f", "-o", options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield began_s
    finally:
        client.wait(timeout=20)


def _rss_mib(pid: int) -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / _KIB
    raise RuntimeError(f"process {pid} has no memory")
