"""A machine that goes for good with a disk attached, and another that comes with its name."""

from collections.abc import Iterator

import pytest

from tests.support import processes, signed_api
from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant

pytestmark = pytest.mark.timeout(600)
HERE, THERE = layout.NODES
SILENT_S = 150.0
"""The controller manager waits 50 s for a node that says nothing."""
GONE_S = 120.0
"""It looks every 20 s for pods of a node that is out of service."""
HEALED_S = 150.0
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
ECS = "2014-05-26"
KEY = (processes.ACCESS_KEY_ID, processes.ACCESS_KEY_SECRET)


@pytest.fixture
def back(cluster: cluster_module.Cluster) -> Iterator[None]:
    """The machine runs, whatever the test left."""
    yield
    come_back(cluster)
    if "out-of-service" in str(cluster.kubectl.get("node", HERE)["spec"].get("taints")):
        cluster.kubectl("taint", "node", HERE, f"{OUT_OF_SERVICE}-")
    assert [row for row in cluster.status() if not row.well] == []


def power(cluster: cluster_module.Cluster, action: str, reached: str) -> None:
    """StopInstance or StartInstance, until the cloud tells that it is so."""
    instance = cluster.instance_id(HERE)

    def status() -> str:
        return str(cluster.control.resources("instance")[instance]["status"])

    if status() != reached:
        signed_api.call(cluster.cloud_address, KEY, ECS, action, {"InstanceId": instance})
        kubectl.wait_until(f"{instance} is {reached}", lambda: status() == reached, 30.0)


def lose(cluster: cluster_module.Cluster) -> None:
    """The power fails, and the cloud knows it."""
    cluster.kill_machine(HERE)
    power(cluster, "StopInstance", "Stopped")


def come_back(cluster: cluster_module.Cluster) -> None:
    power(cluster, "StartInstance", "Running")
    cluster.up()
    kubectl.wait_until(f"{HERE} is ready", lambda: is_ready(cluster), HEALED_S)


def is_ready(cluster: cluster_module.Cluster) -> bool:
    """Whether the node is, and its kubelet runs.

    A kubelet ends when its node is not there soon enough, and is started again, as systemd does.
    """
    cluster.start(f"{HERE}/kubelet")
    return any(row.well for row in cluster.status() if row.name == f"node {HERE}")


def attached_to(cluster: cluster_module.Cluster) -> list[str]:
    """Nodes that VolumeAttachments name."""
    return [str(each["spec"]["nodeName"]) for each in cluster.kubectl.list("volumeattachments")]


@pytest.mark.usefixtures("back")
def test_its_volumes_come_to_the_other_node_at_once_when_it_is_told_out_of_service(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data")
    user.claim("raw", mode="Block")
    user.user_of("data", "first", node=HERE)
    user.start_user_of("raw", "raw-first", node=HERE, at="/dev/raw")
    user.wait("pod", "raw-first", "condition=Ready")
    user.shell("first", "echo kept >/data/file; sync")
    user.shell("raw-first", "echo kept | dd of=/dev/raw conv=fsync 2>/dev/null")

    lose(cluster)
    cluster.kubectl.wait(
        "node",
        HERE,
        'jsonpath={.status.conditions[?(@.type=="Ready")].status}=Unknown',
        limit_s=SILENT_S,
    )
    cluster.kubectl("taint", "node", HERE, OUT_OF_SERVICE)
    user.kubectl("wait", "pods", "--all", "--for=delete", f"--timeout={GONE_S:.0f}s")
    # Kubernetes would else wait six minutes for the node to unmount.
    kubectl.wait_until("nothing is attached", lambda: not attached_to(cluster), GONE_S)
    cluster.kubectl("delete", "node", HERE)

    user.user_of("data", "second", node=THERE)
    assert user.shell("second", "cat /data/file") == "kept\n"
    user.start_user_of("raw", "raw-second", node=THERE, at="/dev/raw")
    user.wait("pod", "raw-second", "condition=Ready")
    assert user.shell("raw-second", "head -c 5 /dev/raw") == "kept\n"
    assert attached_to(cluster) == [THERE, THERE]
    for claim in ("data", "raw"):
        instances = list(cluster.control.attachments(user.disk_of(claim)))
        assert instances == [cluster.instance_id(THERE)]
    assert len(cluster.control.data_disks()) == 2

    come_back(cluster)
    # A new node: not the one that was told out of service.
    assert "out-of-service" not in str(cluster.kubectl.get("node", HERE)["spec"].get("taints"))
    address = user.run("later", nodeName=HERE)["status"]["podIP"]
    user.run("asker", nodeName=THERE)
    assert " 0% packet loss" in user.execute("asker", "ping", "-c", "3", "-W", "5", address)
    user.delete("pod", "second")
    user.user_of("data", "third", node=HERE)
    assert user.shell("third", "cat /data/file") == "kept\n"
