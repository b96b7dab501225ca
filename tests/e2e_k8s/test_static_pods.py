"""Pods that begin while the API server is away: static ones, and those whose sandbox ends."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e_k8s import test_api_server_away as away
from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant, traces

pytestmark = pytest.mark.usefixtures("healed")
HERE, THERE = layout.NODES
STARTED_S = 90.0
"""kubelet waits longer each time before it tries again."""
SEEN_S = 60.0
STATIC = f"static-{HERE}"


@pytest.fixture
def manifests(cluster: cluster_module.Cluster, user: tenant.Tenant) -> Iterator[None]:
    """The node has no static pod afterwards, when *user* looks what is left."""
    assert user.cluster is cluster
    yield
    for path in cluster.where.manifests(HERE).iterdir():
        path.unlink()


def pool(cluster: cluster_module.Cluster) -> list[dict[str, Any]]:
    """What the node's daemon has; nothing while it does not answer."""
    try:
        return traces.pool(cluster, HERE)
    except RuntimeError:
        return []


def address_of(cluster: cluster_module.Cluster, pod: str, other_than: str = "") -> str:
    """What the node's daemon gave to a pod, "namespace/name", once it did."""

    def found() -> list[str]:
        return [
            str(row["ip"])
            for row in pool(cluster)
            if row["pod"] == pod and row["state"] not in traces.IDLE and row["ip"] != other_than
        ]

    kubectl.wait_until(f"{pod} has an address", lambda: len(found()) == 1, STARTED_S)
    return found()[0]


def is_reached(cluster: cluster_module.Cluster, asker: str, address: str) -> bool:
    pods = {THERE: asker, HERE: address}
    try:
        return " 0% packet loss" in away.ping(cluster, pods, THERE, HERE)
    except RuntimeError:
        return False


def kill_sandbox(cluster: cluster_module.Cluster, pod: str) -> None:
    """Kill the process that holds a pod's namespaces."""
    chosen = f'labels."io.kubernetes.pod.name"=={pod},labels."io.cri-containerd.kind"==sandbox'
    (sandbox,) = cluster.run(HERE, "ctr", "-n", "k8s.io", "containers", "ls", "-q", chosen).split()
    cluster.run(HERE, "ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", sandbox)


@pytest.mark.usefixtures("manifests")
def test_they_get_addresses_and_the_api_server_learns_of_them(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    asker = str(user.run("asker", nodeName=THERE)["status"]["podIP"])
    victim = user.run("victim", nodeName=HERE, restartPolicy="Always")
    old = str(victim["status"]["podIP"])
    static = kubectl.pod("static", tenant.SLEEP, restartPolicy="Always")
    static["metadata"]["namespace"] = user.name

    cluster.stop("kube-apiserver", signal.SIGKILL)
    try:
        cluster.stop(f"{HERE}/ipamd", signal.SIGKILL)
        cluster.start(f"{HERE}/ipamd")
        (cluster.where.manifests(HERE) / "static.json").write_text(json.dumps(static))
        address = address_of(cluster, f"{user.name}/{STATIC}")
        kubectl.wait_until(
            "the static pod is reached", lambda: is_reached(cluster, asker, address), STARTED_S
        )
        kill_sandbox(cluster, "victim")
        new = address_of(cluster, f"{user.name}/victim", other_than=old)
        kubectl.wait_until(
            "the other pod is reached again", lambda: is_reached(cluster, asker, new), STARTED_S
        )
    finally:
        cluster.up()

    user.wait("pod", STATIC, "condition=Ready")
    assert user.get("pod", STATIC)["status"]["podIP"] == address
    kubectl.wait_until(
        "the API server knows the new address",
        lambda: user.get("pod", "victim")["status"].get("podIP") == new,
        SEEN_S,
    )
    user.wait("pod", "victim", "condition=Ready")
    assert is_reached(cluster, asker, address)

    (cluster.where.manifests(HERE) / "static.json").unlink()
    user.kubectl("wait", "pod", STATIC, "--for=delete", f"--timeout={SEEN_S:.0f}s")
    kubectl.wait_until(
        "its address is free",
        lambda: (
            address
            not in {
                row["ip"] for row in traces.pool(cluster, HERE) if row["state"] not in traces.IDLE
            }
        ),
        SEEN_S,
    )
