"""ipamd and a real kube-apiserver: what pods ask, what kubectl shows, and a server that is away.

The server runs on the loopback of the simulated node, so that ipamd reaches it from there.
"""

import contextlib
import json
import pathlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import api_pods, api_server, network_rig

pytestmark = pytest.mark.e2e

NODE = "node-1"
CONF = {
    "min_pool_size": 2,
    "max_pool_size": 4,
    "max_eni": 1,
    "ip_cooldown_period": "1s",
    "ip_pool_sync_period": "1h",
}
STATEFUL = [
    {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": "web",
        "uid": str(uuid.uuid4()),
        "controller": True,
    }
]


class World:
    """A node with ipamd, its API server, and pods that are in both."""

    def __init__(self, executable: pathlib.Path) -> None:
        self.rig = network_rig.NetworkRig(time_scale=0.02)
        self.server: api_server.ApiServer | None = None
        try:
            self.rig.start_sim()
            self.rig.install(executable)
            self.node = self.rig.node(NODE)
            self.node.configure(CONF)
            self.server = api_server.ApiServer(self.rig.dir / "api", enter=self.node.enter())
            # The API server is not there yet.
            self.start_ipamd()
        except BaseException:
            self.close()
            raise

    @property
    def api(self) -> api_server.ApiServer:
        assert self.server is not None
        return self.server

    def start_ipamd(self) -> None:
        self.node.start_daemon(
            "--kubeconfig", str(self.api.kubeconfig(api_server.ADMIN)), "--check-period", "1"
        )

    def close(self) -> None:
        if self.server is not None:
            self.server.close()
        self.rig.close()

    def pod(self, name: str = "", **metadata: Any) -> network_rig.CniPod:
        """A pod that the API server has, and a namespace for it; not added yet."""
        name = name or f"pod-{uuid.uuid4().hex[:8]}"
        return self.sandbox(name, api_pods.make_pod(self.api, NODE, name, **metadata))

    def sandbox(self, name: str, uid: str) -> network_rig.CniPod:
        """A namespace for a pod, as a runtime makes it."""
        told = f"K8S_POD_NAMESPACE=default;K8S_POD_NAME={name};K8S_POD_UID={uid}"
        return self.rig.pod(self.node, name, CNI_ARGS=f"IgnoreUnknown=1;{told}")

    def reasons(self, name: str) -> dict[str, str]:
        """Events of an object: reason and last message."""
        found = self.api.kubectl.list("events", f"--field-selector=involvedObject.name={name}")
        return {each["reason"]: each["message"] for each in found}

    def condition(self) -> dict[str, str]:
        found = self.api.kubectl.get("node", NODE)["status"].get("conditions") or []
        return next((each for each in found if each["type"] == "SufficientIP"), {})

    def metric(self, name: str) -> float:
        lines = self.page("metrics").splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))

    def page(self, path: str) -> str:
        """What ipamd's debug socket shows."""
        fetch = ["curl", "-s", "--unix-socket", str(self.node.debug_socket), f"http://i/{path}"]
        return self.node.run(*fetch)

    def until_watched(self) -> None:
        until(lambda: self.metric("ipamd_pod_watch_live") == 1)


def until(holds: Callable[[], Any]) -> None:
    """Return once *holds*; pytest's limit ends the wait."""
    while not holds():
        time.sleep(0.1)


@pytest.fixture(scope="module")
def world(cni_executable: pathlib.Path) -> Iterator[World]:
    if not api_pods.are_programs_built():
        pytest.skip("kube-apiserver is not built; `make cluster` builds it")
    made = World(cni_executable)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(autouse=True)
def no_pods_are_left(world: World) -> Iterator[None]:
    yield
    for pod in world.rig.pods:
        with contextlib.suppress(RuntimeError):
            pod.delete()
        pod.remove()
    world.rig.pods.clear()


def address(result: Any) -> str:
    return str(result["ips"][-1]["address"].split("/")[0])


def rates(pod: network_rig.CniPod, host_ifname: str) -> tuple[int, int]:
    """Bytes/s that the pod may receive and send, 0 = no limit, as the kernel has them."""
    shown = [pod.node.run("tc", "-j", "qdisc", "show", "dev", host_ifname)]
    shown.append(pod.run("tc", "-j", "qdisc", "show", "dev", "eth0"))
    found = [
        next((q["options"]["rate"] for q in json.loads(text) if q["kind"] == "tbf"), 0)
        for text in shown
    ]
    return found[0], found[1]


def host_ifname(result: Any) -> str:
    return str(next(each["name"] for each in result["interfaces"] if not each.get("sandbox")))


def test_a_pod_is_added_while_the_server_is_away_and_gets_its_limit_when_it_is_back(
    world: World,
) -> None:
    pod = world.sandbox("early", "")
    result = pod.add()
    assert rates(pod, host_ifname(result)) == (0, 0)
    world.node.ipamd.kill9()  # that it is still to be looked up is not in memory only
    world.start_ipamd()

    world.api.start()
    api_pods.make_namespace(world.api, "default")
    api_pods.make_node(world.api, NODE)
    api_pods.make_pod(
        world.api, NODE, "early", annotations={"k8s.aliyun.com/egress-bandwidth": "2M"}
    )
    world.until_watched()

    until(lambda: rates(pod, host_ifname(result)) == (0, 2 << 20))
    assert pod.cni("CHECK", {"cniVersion": "1.0.0", "name": "terway", "prevResult": result})[0] == 0


def test_limits_of_annotations_hold_from_the_start_and_the_runtime_s_win(world: World) -> None:
    told = {"ingress-bandwidth": "1M", "egress-bandwidth": "512KiB"}
    pod = world.pod(annotations={f"k8s.aliyun.com/{key}": text for key, text in told.items()})
    config = {
        "cniVersion": "1.0.0",
        "name": "terway",
        "type": "terway",
        "runtimeConfig": {"bandwidth": {"ingressRate": 80_000_000}},
    }

    result = pod.add(config)

    assert rates(pod, host_ifname(result)) == (10_000_000, 512 << 10)
    until(lambda: "AllocIPSucceed" in world.reasons(pod.name))
    assert f"Alloc IP {address(result)}/32 took " in world.reasons(pod.name)["AllocIPSucceed"]
    assert "Alloc IP" in world.api.kubectl("describe", "pod", pod.name)


def test_a_pod_is_annotated_with_its_address_and_later_if_the_server_is_away(world: World) -> None:
    def told(name: str) -> str:
        annotations = world.api.kubectl.get("pod", name)["metadata"].get("annotations") or {}
        return str(annotations.get("k8s.aliyun.com/pod-ips", ""))

    pod, late = world.pod(), world.pod()
    first = address(pod.add())
    until(lambda: told(pod.name) == first)

    world.api.stop()
    second = address(late.add())
    world.api.start()
    world.until_watched()
    until(lambda: told(late.name) == second)


def test_a_limit_that_cannot_be_read_is_an_event_and_no_limit(world: World) -> None:
    pod = world.pod(annotations={"k8s.aliyun.com/ingress-bandwidth": "10Mb/s"})

    result = pod.add()

    assert rates(pod, host_ifname(result)) == (0, 0)
    until(lambda: "ParseFailed" in world.reasons(pod.name))
    assert "'10Mb/s' is not allowed" in world.reasons(pod.name)["ParseFailed"]


def test_a_pod_that_asks_for_its_own_interface_is_refused_and_told(world: World) -> None:
    pod = world.pod(annotations={"k8s.aliyun.com/pod-eni": "true"})

    status, told = pod.cni("ADD")

    assert (status, told["code"]) == (1, 11)
    until(lambda: "AllocIPFailed" in world.reasons(pod.name))
    assert "interface of its own" in world.reasons(pod.name)["AllocIPFailed"]
    assert "terway-cli doctor default/" in world.reasons(pod.name)["AllocIPFailed"]


def test_a_stateful_pod_s_successor_gets_its_address_also_after_a_restart(world: World) -> None:
    pod = world.pod("web-0", ownerReferences=STATEFUL)
    first = address(pod.add())
    pod.delete()
    api_pods.delete_pod(world.api, "web-0")

    others = {address(world.pod().add()) for _ in range(4)}
    world.node.ipamd.kill9()
    world.start_ipamd()
    world.until_watched()
    others |= {address(world.pod().add())}
    again = world.pod("web-0", ownerReferences=STATEFUL)
    second = address(again.add())

    assert first not in others
    assert second == first
    api_pods.delete_pod(world.api, "web-0")


def test_a_lost_database_loses_no_pod_s_name_and_no_keeping(world: World) -> None:
    pod = world.pod("web-2", ownerReferences=STATEFUL)
    first = address(pod.add())
    world.node.ipamd.kill9()
    for path in world.node.state_dir.glob("ipamd.db*"):
        path.unlink()
    world.start_ipamd()

    until(lambda: "default/web-2" in {each["pod"] for each in world.node.cli("list")})
    pod.delete()
    api_pods.delete_pod(world.api, "web-2")
    others = {address(world.pod().add()) for _ in range(3)}
    again = world.pod("web-2", ownerReferences=STATEFUL)

    assert first not in others
    assert address(again.add()) == first
    api_pods.delete_pod(world.api, "web-2")


def test_the_address_is_kept_too_while_the_server_is_away(world: World) -> None:
    pod = world.pod("web-1", ownerReferences=STATEFUL)
    first = address(pod.add())
    world.api.stop()
    until(lambda: world.metric("ipamd_pod_watch_live") == 0)
    findings = {each["subject"]: each for each in world.node.cli("doctor")}
    assert findings["Kubernetes API"]["severity"] == "WARNING"
    pod.delete()

    again = world.sandbox("web-1", str(uuid.uuid4()))
    assert address(again.add()) == first
    again.delete()
    last = world.sandbox("web-1", str(uuid.uuid4()))
    assert address(last.add()) == first

    world.api.start()
    world.until_watched()


def test_a_full_node_is_a_condition_and_an_event_and_so_is_its_end(world: World) -> None:
    until(lambda: world.condition().get("status") == "True")
    capacity = int(json.loads(world.page("v1/pool"))["capacity"])
    annotations = world.api.kubectl.get("node", NODE)["metadata"]["annotations"]
    assert annotations["k8s.aliyun.com/max-available-ip"] == str(capacity)

    pods = [world.sandbox(f"full-{number}", "") for number in range(capacity)]
    for pod in pods:
        if pod.cni("ADD")[0] != 0:
            break  # kept for pods of other tests
    until(lambda: world.condition()["status"] == "False")
    assert world.condition()["reason"] == "InsufficientIP"
    assert f"of {capacity} addresses of this node are in use" in world.condition()["message"]
    assert "no address for new pods" in world.reasons(NODE)["AllocIPFailed"]

    for pod in pods[:2]:
        pod.delete()
    until(lambda: world.condition()["status"] == "True")
    until(lambda: "AllocIPSucceed" in world.reasons(NODE))
    assert "again" in world.api.kubectl("describe", "node", NODE)


def test_a_node_that_is_made_anew_has_its_condition_within_seconds(world: World) -> None:
    until(lambda: world.condition().get("status") == "True")
    before = world.api.kubectl.get("node", NODE)["metadata"]["uid"]
    world.api.kubectl("delete", "node", NODE)
    api_pods.make_node(world.api, NODE)

    # Otherwise it is renewed after ten minutes, which is longer than this test may take.
    until(lambda: world.condition().get("status") == "True")

    made = world.api.kubectl.get("node", NODE)["metadata"]
    assert made["uid"] != before
    assert int(made["annotations"]["k8s.aliyun.com/max-available-ip"]) > 0


def test_a_node_s_own_configuration_is_taken_when_its_label_names_one_and_given_back(
    world: World,
) -> None:
    def effective() -> Any:
        with contextlib.suppress(RuntimeError):  # it is starting anew
            return json.loads(world.page("v1/settings"))["conf"]["min_pool_size"]
        return None

    api_pods.make_namespace(world.api, "kube-system")
    pod = world.pod()
    first = address(pod.add())
    until(lambda: effective() == CONF["min_pool_size"])

    world.api.kubectl("label", "node", NODE, "terway-config=own")
    until(lambda: "ConfigError" in world.reasons(NODE))
    assert "there is no ConfigMap kube-system/own" in world.reasons(NODE)["ConfigError"]
    world.api.kubectl(
        *("create", "configmap", "own", "-n", "kube-system"),
        '--from-literal=eni_conf={"min_pool_size": 1}',
    )
    # A change of the label is told by the watch; a ConfigMap that appears is looked for.
    world.api.kubectl("label", "node", NODE, "terway-config-")
    world.api.kubectl("label", "node", NODE, "terway-config=own")
    until(lambda: effective() == 1)
    until(lambda: pod.cni("ADD")[0] == 0)  # as a runtime does while it starts
    assert {each["pod"] for each in world.node.cli("list")} >= {f"default/{pod.name}"}
    assert address(pod.add()) == first

    world.node.ipamd.kill9()
    world.start_ipamd()
    until(lambda: effective() == 1)
    world.api.kubectl("label", "node", NODE, "terway-config-")
    until(lambda: effective() == CONF["min_pool_size"])
    until(lambda: pod.cni("ADD")[0] == 0)
    assert address(pod.add()) == first


def test_the_companion_ends_with_a_killed_ipamd(world: World) -> None:
    companion = int(world.node.run("pgrep", "-P", str(world.node.ipamd.pid), "-f", "kube.agent"))

    world.node.ipamd.kill9()

    until(lambda: not pathlib.Path(f"/proc/{companion}").exists())
    world.start_ipamd()
