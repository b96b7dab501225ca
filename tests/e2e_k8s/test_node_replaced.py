"""An instance that is released, and another that comes under its node's name."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e_k8s import test_workloads as workloads
from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, replacement, tenant

pytestmark = pytest.mark.timeout(900)
HERE, THERE = layout.NODES
GONE_S = 150.0
"""The controller manager looks every 20 s for pods without a node, and waits 40 s more."""
HEALED_S = 240.0
"""csi-attacher compares once a minute what is attached with what should be."""
FREE_S = 30.0
POD = "it-0"
DRIVER = "diskplugin.csi.alibabacloud.com"


@pytest.fixture(autouse=True)
def all_is_well_afterwards(cluster: cluster_module.Cluster) -> Iterator[None]:
    yield
    if cluster.instance_id(HERE) not in cluster.control.resources("instance"):
        replacement.make(cluster, HERE)
    cluster.up()
    assert [row for row in cluster.status() if not row.well] == []


def start(user: tenant.Tenant) -> str:
    """A StatefulSet of one pod with data on the node; the pod's container."""
    pod = workloads.template(nodeSelector={"kubernetes.io/hostname": HERE})
    claims = [{"metadata": {"name": "data"}, "spec": workloads.claim_spec()}]
    user.apply(
        workloads.workload("StatefulSet", 1, pod, volumeClaimTemplates=claims, serviceName="it")
    )
    user.wait("pod", POD, "condition=Ready")
    user.shell(POD, "echo kept >/data/file; sync")
    return container(user)


def container(user: tenant.Tenant) -> str:
    """Id of the pod's container, once that is ready; "" before."""
    try:
        told = user.get("pod", POD)["status"].get("containerStatuses") or [{}]
    except kubectl.Refused:
        return ""
    return str(told[0]["containerID"]) if told[0].get("ready") else ""


def interfaces(cluster: cluster_module.Cluster, instance_id: str) -> dict[str, Any]:
    rows = cluster.control.resources("eni")
    return {key: row for key, row in rows.items() if row["instance_id"] == instance_id}


@pytest.mark.parametrize(
    ("is_slow", "keeps_database"),
    [
        pytest.param(False, True, id="at once, made from the old one's image"),
        pytest.param(True, False, id="after its pods were given up"),
    ],
)
def test_its_pods_come_back_with_their_data_and_nothing_is_left_of_the_old_one(
    cluster: cluster_module.Cluster, user: tenant.Tenant, *, is_slow: bool, keeps_database: bool
) -> None:
    before = start(user)
    disk = user.disk_of(f"data-{POD}")
    old = cluster.instance_id(HERE)
    enis = interfaces(cluster, old)
    assert len(enis) > 1
    assert list(cluster.control.attachments(disk)) == [old]

    replacement.release(cluster, HERE)
    cluster.kubectl("delete", "node", HERE)

    assert not enis.keys() & cluster.control.resources("eni").keys()
    kubectl.wait_until("the disk is off", lambda: not cluster.control.attachments(disk), FREE_S)
    if is_slow:
        user.kubectl("wait", "pod", POD, "--for=delete", f"--timeout={GONE_S:.0f}s")
    new = replacement.make(cluster, HERE, keeps_database=keeps_database)
    cluster.up()

    kubectl.wait_until("the pod runs again", lambda: container(user) not in ("", before), HEALED_S)
    assert user.shell(POD, "cat /data/file") == "kept\n"
    assert list(cluster.control.attachments(disk)) == [new]
    assert list(cluster.control.data_disks()) == [disk]
    (attachment,) = cluster.kubectl.list("volumeattachments")
    assert attachment["spec"]["nodeName"] == HERE
    assert attachment["metadata"]["annotations"]["csi.alpha.kubernetes.io/node-id"] == new
    drivers = cluster.kubectl.get("csinode", HERE)["spec"]["drivers"]
    assert [each["nodeID"] for each in drivers if each["name"] == DRIVER] == [new]
    assert cluster.kubectl.get("node", HERE)["spec"]["providerID"] == f"cn-hangzhou.{new}"
    address = user.get("pod", POD)["status"]["podIP"]
    assert any(address in row["ips"] for row in interfaces(cluster, new).values())
    user.run("asker", nodeName=THERE)
    assert " 0% packet loss" in user.execute("asker", "ping", "-c", "3", "-W", "5", address)
