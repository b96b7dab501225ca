"""Disks are made in the zone of their pod, which the scheduler chooses, and keep pods there.

The node of the other zone is an API object without a machine: nothing runs there. What is asked
for here is over before kubelet has a part in it.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant

HERE, _ = layout.NODES
ELSEWHERE = "elsewhere"
MACHINE = "i-bp1simelsewhere0001"
DISK = "diskplugin.csi.alibabacloud.com"
KEY = f"topology.{DISK}/zone"
ZONE, OTHER_ZONE = "cn-hangzhou-k", "cn-hangzhou-j"
CLASS = "disk-of-a-zone"


@pytest.fixture
def elsewhere(cluster: cluster_module.Cluster) -> Iterator[None]:
    """A node of the other zone, as kubelet and the driver would tell of it."""
    name = {"metadata": {"name": ELSEWHERE}}
    csi_node = cluster.kubectl.get("csinode", HERE)
    (driver,) = (each for each in csi_node["spec"]["drivers"] if each["name"] == DISK)
    driver |= {"nodeID": MACHINE}
    values = {"zone": OTHER_ZONE, "region": "cn-hangzhou", "ecs-instance-id": MACHINE}
    labels = {key: values[key.split("/")[1]] for key in driver["topologyKeys"]}
    labels["kubernetes.io/hostname"] = ELSEWHERE
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {**name["metadata"], "labels": labels}}
    told = {"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", **name}
    room = '{"status": {"allocatable": {"cpu": "8", "memory": "8Gi", "pods": "99"}}}'
    try:
        cluster.kubectl.apply(node, {**told, "spec": {"drivers": [driver]}})
        cluster.kubectl("patch", "node", ELSEWHERE, "--subresource=status", "-p", room)
        yield
    finally:
        cluster.kubectl("delete", "csinode", ELSEWHERE, "--ignore-not-found")
        cluster.kubectl("delete", "node", ELSEWHERE)


@pytest.fixture
def class_of_a_zone(cluster: cluster_module.Cluster) -> Iterator[str]:
    """A class whose volumes are in the other zone."""
    terms = [{"matchLabelExpressions": [{"key": KEY, "values": [OTHER_ZONE]}]}]
    made = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS},
        "provisioner": DISK,
        "parameters": {"type": "cloud_essd"},
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowedTopologies": terms,
    }
    cluster.kubectl.apply(made)
    yield CLASS
    cluster.kubectl("delete", "storageclass", CLASS)


def start_pod(user: tenant.Tenant, name: str, claim: str, node: str = "") -> None:
    """Ask for a pod, on a node that is not well either. node: "" = any."""
    spec: dict[str, Any] = {
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        "tolerations": [{"operator": "Exists"}],
    }
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    user.apply(kubectl.pod(name, tenant.SLEEP, container=mount, **spec))


def zones_of(user: tenant.Tenant, claim: str) -> tuple[str, list[str]]:
    """Where a bound claim's disk is in the cloud, and where its volume says that it may be used."""
    volume = user.volume_of(claim)
    disk = user.cluster.control.data_disks()[volume["spec"]["csi"]["volumeHandle"]]
    (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    told = {row["key"]: row["values"] for row in term["matchExpressions"]}
    return disk["zone_id"], told[KEY]


@pytest.mark.usefixtures("elsewhere")
def test_each_disk_is_made_in_the_zone_of_its_pods_node(user: tenant.Tenant) -> None:
    for claim, node in (("near", HERE), ("far", ELSEWHERE)):
        user.claim(claim)
        start_pod(user, claim, claim, node)
    for claim, zone in (("near", ZONE), ("far", OTHER_ZONE)):
        user.wait("pvc", claim, "jsonpath={.status.phase}=Bound")
        assert zones_of(user, claim) == (zone, [zone])


@pytest.mark.usefixtures("elsewhere")
def test_a_class_of_one_zone_brings_its_pods_there(
    user: tenant.Tenant, class_of_a_zone: str
) -> None:
    user.claim("data", storage_class=class_of_a_zone)
    start_pod(user, "pod", "data")
    user.wait("pvc", "data", "jsonpath={.status.phase}=Bound")
    assert zones_of(user, "data") == (OTHER_ZONE, [OTHER_ZONE])
    assert user.get("pod", "pod")["spec"]["nodeName"] == ELSEWHERE


@pytest.mark.usefixtures("elsewhere")
def test_a_pod_cannot_go_where_its_disk_is_not(user: tenant.Tenant) -> None:
    user.claim("data")
    user.user_of("data", "near", node=HERE)
    user.delete("pod", "near")
    start_pod(user, "far", "data", ELSEWHERE)
    reason = 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].reason}=Unschedulable'
    user.wait("pod", "far", reason)
    (told,) = user.get("pod", "far")["status"]["conditions"]
    assert "node affinity" in told["message"]
