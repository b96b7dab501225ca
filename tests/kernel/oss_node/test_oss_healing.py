"""Clients, mounters and plug-ins that die or hang, storage that is away: volumes come back."""

import json
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator

import grpc
import pytest

from host import mountinfo
from tests.support import containers, mounter, oss_node, rpc, wrappers

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]
Code = grpc.StatusCode


POD = {"csi.storage.k8s.io/pod.name": "web-0", "csi.storage.k8s.io/pod.namespace": "shop"}


def told_to_pods(node: oss_node.OssNode) -> list[tuple[str, str | None, str]]:
    """(reason, pod, what happened to the client) of each event of the plug-in."""
    found = []
    for line in node.plugin.log.read_text().splitlines():
        if line.startswith("{") and (row := json.loads(line)).get("event") == "event":
            happened = row["message"].partition("; ")[2].partition(":")[0]
            found.append((row["reason"], row["about"], happened))
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_pods_see_the_volume_again_after_the_next_publish(
    node: oss_node.OssNode, number: signal.Signals
) -> None:
    first, second = node.publish("pod-1"), node.publish("pod-2", readonly=True)
    (first / "a").write_text("kept")

    os.kill(int(str(node.volume()["pid"])), number)
    rpc.wait_until(lambda: node.volume()["restarts"] == 1, timeout_s=20)
    rpc.wait_until(lambda: node.volume()["state"] == "mounted", timeout_s=20)
    with pytest.raises(OSError, match="not connected"):
        (first / "a").read_text()
    condition = node.stats("pod-1").volume_condition
    assert condition.abnormal
    event = "FuseClientEnded" if number == signal.SIGKILL else "FuseClientSilent"
    assert f"; {event}: its client is mounted, was started again 1 times" in condition.message
    assert "the pod sees it again after the next publish" in condition.message
    node.publish("pod-1", **POD)
    node.publish("pod-2", readonly=True)
    told = [("VolumeRemounted", "web-0", event), ("VolumeRemounted", None, event)]
    assert told_to_pods(node) == told

    assert (first / "a").read_text() == (second / "a").read_text() == "kept"
    assert not node.stats("pod-1").volume_condition.abnormal
    with pytest.raises(OSError, match="Read-only"):
        (second / "b").write_text("y")
    assert len(mountinfo.mounts_at(first)) == 1
    node.unpublish("pod-1")
    node.unpublish("pod-2")
    node.unstage()
    assert node.left_mounts() == []


def test_a_volume_whose_client_and_mounter_are_dead_can_be_taken_away(
    node: oss_node.OssNode,
) -> None:
    target = node.publish()
    pid = int(str(node.volume()["pid"]))
    node.mounter.stop(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)

    node.unpublish()
    assert not target.exists()
    with pytest.raises(grpc.RpcError) as refusal:
        node.unstage()
    assert refusal.value.code() is Code.UNAVAILABLE
    assert "start csi-mounter" in refusal.value.details()
    node.mounter.start()
    node.unstage()

    assert node.left_mounts() == []
    assert node.mounter.client_pids() == []


def test_a_running_container_sees_it_again_too(
    node: oss_node.OssNode, tmp_path: pathlib.Path
) -> None:
    target = node.publish()
    (target / "sub").mkdir()
    (target / "sub" / "a").write_text("kept")
    inside, part = tmp_path / "inside", tmp_path / "part"
    inside.mkdir()
    part.mkdir()
    prepare = (
        f"mount --bind {target} {inside}; mount --bind {target}/sub {part}; "
        f"mount -o remount,bind,ro {part}"
    )
    with containers.running(prepare) as container:
        assert container.read(inside / "sub" / "a") == "kept"
        node.kill_client()
        assert container.read(inside / "sub" / "a") == ""
        node.publish()

        assert container.read(inside / "sub" / "a") == "kept"
        assert container.read(part / "a") == "kept"
        assert "Read-only" in container.run("touch", str(part / "b")).stderr


def test_the_subpaths_of_a_pod_are_healed_where_kubelet_binds_them(node: oss_node.OssNode) -> None:
    target = node.publish()
    (target / "sub").mkdir()
    (target / "sub" / "a").write_text("kept")
    part = node.rig.kubelet / "pods/pod/volume-subpaths/pv/container/0"
    part.mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(target / "sub"), str(part)], check=True)

    node.kill_client()
    node.publish()

    assert (part / "a").read_text() == "kept"
    assert len(mountinfo.mounts_at(part)) == 1


@pytest.mark.parametrize("phase", wrappers.Phase)
def test_a_plug_in_that_is_killed_while_it_heals_leaves_no_container_behind(
    tmp_path: pathlib.Path, phase: wrappers.Phase
) -> None:
    killing = wrappers.Wrappers(tmp_path / "bin")
    inside = tmp_path / "inside"
    inside.mkdir()
    node = oss_node.OssNode(PATH=f"{killing.directory}:{os.environ['PATH']}")
    try:
        node.start()
        target = node.publish()
        (target / "a").write_text("kept")
        with containers.running(f"mount --bind {target} {inside}") as container:
            node.kill_client()
            killing.arm(node.plugin.pid, 1, phase)
            assert rpc.refusal(node.publish).code is Code.UNAVAILABLE
            assert killing.calls()[0].startswith("umount")
            killing.disarm()
            node.start_plugin()
            node.publish()

            assert container.read(inside / "a") == (target / "a").read_text() == "kept"
        assert len(mountinfo.mounts_at(target)) == 1
    finally:
        node.close()


def test_plug_in_and_mounter_are_replaced_under_a_writer(node: oss_node.OssNode) -> None:
    target = node.publish()
    before = node.volume()

    with (target / "a").open("w") as file:
        file.write("one ")
        node.plugin.kill9()
        node.mounter.stop(signal.SIGKILL)
        file.write("two")
        node.mounter.start()
        node.start_plugin()
    node.publish()

    assert (target / "a").read_text() == "one two"
    assert (node.volume()["pid"], node.volume()["restarts"]) == (before["pid"], 0)
    node.unpublish()
    node.unstage()
    assert node.left_mounts() == []


@pytest.mark.parametrize("how", ["silent", "gone"])
def test_storage_that_is_away_for_half_a_minute(node: oss_node.OssNode, how: str) -> None:
    target = node.publish()
    (target / "a").write_text("x")
    port = node.cloud.port

    if how == "silent":
        os.kill(node.cloud.pid, signal.SIGSTOP)
    else:
        node.cloud.kill()
    reader = subprocess.Popen(["cat", str(target / "a")], stdout=subprocess.PIPE)
    try:
        until_s = time.monotonic() + 30
        while time.monotonic() < until_s:
            node.publish(timeout_s=5)  # as kubelet does; nothing that asks the storage
            time.sleep(2)
        if how == "silent":
            assert node.stats().volume_condition.abnormal
    finally:
        if how == "silent":
            os.kill(node.cloud.pid, signal.SIGCONT)
        else:
            node.cloud.start(port)

    seen = reader.communicate(timeout=60)[0]
    assert seen == b"x" or how == "gone"  # an error is an answer too
    node.publish()
    rpc.wait_until(lambda: readable(target / "a") == "x", timeout_s=30)
    assert node.volume()["restarts"] == 0
    assert zombies_of(node) == []


def readable(path: pathlib.Path) -> str:
    """What is in a file; "" while it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""


def zombies_of(node: oss_node.OssNode) -> list[str]:
    """Ended processes that nobody has asked for, of plug-in and mounter."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        name, _, rest = readable(stat).rpartition(")")
        fields = rest.split()
        if fields and fields[0] == "Z" and int(fields[1]) in (node.plugin.pid, node.mounter.pid):
            found.append(name)
    return found


def test_a_pod_goes_while_its_client_hangs(node: oss_node.OssNode) -> None:
    target = node.publish()
    pid = int(str(node.volume()["pid"]))

    os.kill(pid, signal.SIGSTOP)
    node.unpublish()
    assert not target.exists()
    node.unstage()

    assert node.left_mounts() == []
    assert mounter.is_gone(pid)
    rpc.wait_until(lambda: zombies_of(node) == [], timeout_s=10)


def test_a_pod_comes_while_the_client_hangs(node: oss_node.OssNode) -> None:
    first = node.publish("pod-1")
    (first / "a").write_text("kept")

    os.kill(int(str(node.volume()["pid"])), signal.SIGSTOP)
    second = node.publish("pod-2", timeout_s=30)
    rpc.wait_until(lambda: node.volume()["restarts"] == 1, timeout_s=20)
    rpc.wait_until(lambda: node.volume()["state"] == "mounted", timeout_s=20)
    node.publish("pod-1")
    node.publish("pod-2")

    assert readable(first / "a") == readable(second / "a") == "kept"
    for pod in ("pod-1", "pod-2"):
        node.unpublish(pod)
    node.unstage()
    assert node.left_mounts() == []
    assert zombies_of(node) == []


@pytest.fixture
def embedded() -> Iterator[oss_node.OssNode]:
    """A node whose plug-in starts its mounter itself."""
    made = oss_node.OssNode(starts_mounter=True)
    try:
        made.start()
        yield made
    finally:
        for pid in made.started_mounters():
            os.kill(pid, signal.SIGKILL)
        made.close()


def test_the_plug_in_starts_a_mounter_when_there_is_none(embedded: oss_node.OssNode) -> None:
    target = embedded.publish()
    (target / "a").write_text("x")
    embedded.unpublish()
    embedded.unstage()

    assert embedded.left_mounts() == []


@pytest.mark.parametrize("what", ["plug-in", "mounter", "both", "mounter and client"])
def test_plug_in_and_the_mounter_that_it_started_are_killed(
    embedded: oss_node.OssNode, what: str
) -> None:
    target = embedded.publish()
    (target / "a").write_text("kept")
    before = embedded.volume()
    (started,) = embedded.started_mounters()

    if what != "plug-in":
        os.kill(started, signal.SIGKILL)
        rpc.wait_until(lambda: embedded.started_mounters() == [], timeout_s=20)
    if what in ("plug-in", "both"):
        embedded.plugin.kill9()
    if "client" in what:
        os.kill(int(str(before["pid"])), signal.SIGKILL)
    else:
        assert (target / "a").read_text() == "kept"  # with nobody but the client
    if what in ("plug-in", "both"):
        embedded.start_plugin()
    embedded.publish()

    rpc.wait_until(lambda: embedded.volume()["state"] == "mounted", timeout_s=20)
    embedded.publish()
    assert readable(target / "a") == "kept"
    assert (embedded.volume()["pid"] == before["pid"]) == ("client" not in what)
    assert len(embedded.started_mounters()) == 1
    embedded.unpublish()
    embedded.unstage()
    assert embedded.left_mounts() == []
