"""Two minutes without an API server, with volumes on their way when it goes."""

import datetime
import json
import signal
import time

import pytest

from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import gate, kubectl, layout, tenant

pytestmark = [pytest.mark.usefixtures("healed"), pytest.mark.timeout(600)]
HERE, THERE = layout.NODES
AWAY_S = 120.0
HEALED_S = 150.0
HELD_S = 30.0
RESTARTED = ("csi-controller", f"{HERE}/csi-node", f"{HERE}/ipamd")


def namespace_of(cluster: cluster_module.Cluster, node: str, address: str) -> str:
    """Name of the network namespace of *node* that has an address."""
    script = (
        "for name in $(ls /run/netns); do "
        f"ip -n $name -4 -o address show | grep -q ' {address}/' && echo $name; done; true"
    )
    return cluster.run(node, "sh", "-c", script).strip()


def ping(cluster: cluster_module.Cluster, pods: dict[str, str], node: str, to: str) -> str:
    """What ping says in the pod of *node* about the pod of *to*. `kubectl exec` needs the API."""
    inside = ("ip", "netns", "exec", namespace_of(cluster, node, pods[node]))
    return cluster.run(node, *inside, "busybox", "ping", "-c", "5", "-W", "5", pods[to])


def leases(cluster: cluster_module.Cluster) -> dict[str, tuple[str, datetime.datetime]]:
    """Leader leases: name to holder and time of the last renewal."""
    return {
        str(row["metadata"]["name"]): (
            str(row["spec"].get("holderIdentity", "")),
            datetime.datetime.fromisoformat(row["spec"]["renewTime"]),
        )
        for row in cluster.kubectl.list("leases")
        if row["metadata"]["namespace"] == "kube-system"
        and not row["metadata"]["name"].startswith("apiserver-")
    }


def kill_and_see_again(cluster: cluster_module.Cluster) -> None:
    for name in RESTARTED:
        cluster.stop(name, signal.SIGKILL)
    for name in RESTARTED:
        cluster.start(name)


def leave_alone(cluster: cluster_module.Cluster, user: tenant.Tenant, pods: dict[str, str]) -> None:
    """A disk is mounted, one detached, one attached, when the API server goes for two minutes."""
    with gate.Gate(cluster, HERE, "mkfs.ext4") as mounting:
        user.start_user_of("mounted", "mounted", node=HERE)
        mounting.wait_held()
        detach = cluster.control.add_fault("DetachDisk", "notify")
        user.delete("pod", "leaving")
        cluster.control.wait_held(detach, HELD_S)
        attach = cluster.control.add_fault("AttachDisk", "notify")
        user.start_user_of("attached", "attached", node=THERE)
        cluster.control.wait_held(attach, HELD_S)

        cluster.stop("kube-apiserver", signal.SIGKILL)
        gone_s = time.monotonic()
        for fault in (attach, detach):
            cluster.control.release(fault)
        mounting.open()
        kill_and_see_again(cluster)
        while time.monotonic() < gone_s + AWAY_S:
            for node, to in ((HERE, THERE), (THERE, HERE)):
                assert " 0% packet loss" in ping(cluster, pods, node, to)


def test_all_goes_on_where_it_stood(cluster: cluster_module.Cluster, user: tenant.Tenant) -> None:
    for claim in ("mounted", "detached", "attached"):
        user.claim(claim)
    pods = {node: str(user.run(node, nodeName=node)["status"]["podIP"]) for node in layout.NODES}
    user.user_of("detached", "leaving", node=HERE)
    user.shell("leaving", "echo kept >/data/file; sync")
    led = leases(cluster)
    assert led

    try:
        leave_alone(cluster, user, pods)
    finally:
        back = datetime.datetime.now(datetime.UTC)
        cluster.up()
    kill_and_see_again(cluster)
    for name in ("mounted", "attached"):
        user.wait("pod", name, "condition=Ready", HEALED_S)
    user.user_of("detached", "arrived", node=THERE)
    assert user.shell("arrived", "cat /data/file") == "kept\n"
    kubectl.wait_until(
        f"somebody leads again: {json.dumps(sorted(led))}",
        lambda: all(
            holder and renewed > back
            for name, (holder, renewed) in leases(cluster).items()
            if name in led
        ),
        HEALED_S,
    )
    for node in layout.NODES:
        name = f"{node}-again"
        user.run(name, nodeName=node)
        assert user.get("pod", node)["status"]["podIP"] == pods[node]
        assert user.get("pod", node)["status"]["containerStatuses"][0]["restartCount"] == 0
    assert len(cluster.control.data_disks()) == 3
