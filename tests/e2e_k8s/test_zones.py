"""Disks where nodes are in two zones: a disk can be attached in its own zone only."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant

HERE, FAR = layout.NODES[0], layout.FAR
ZONE = "topology.diskplugin.csi.alibabacloud.com/zone"
WELL_KNOWN_ZONE = "topology.kubernetes.io/zone"
DISK = "diskplugin.csi.alibabacloud.com"
MOUNT = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}


@pytest.fixture(scope="module", autouse=True)
def far_node(cluster: cluster_module.Cluster) -> Iterator[None]:
    """A third node, in the zone where the others are not."""
    try:
        cluster.add_node(FAR)
        yield
    finally:
        cluster.remove_node(FAR)


@pytest.fixture
def class_of_zone(
    cluster: cluster_module.Cluster, user: tenant.Tenant, request: pytest.FixtureRequest
) -> Iterator[str]:
    """A class of disks in zone of `FAR` only. Parameter: its volumeBindingMode."""
    made = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": user.name},
        "provisioner": DISK,
        "parameters": {"type": "cloud_essd,cloud_ssd,cloud_efficiency"},
        "volumeBindingMode": request.param,
        "allowedTopologies": [
            {"matchLabelExpressions": [{"key": ZONE, "values": [layout.ZONES[FAR]]}]}
        ],
    }
    cluster.kubectl.apply(made)
    yield user.name
    cluster.kubectl("delete", "storageclass", user.name)


def zones_of_volume(user: tenant.Tenant, claim: str) -> list[str]:
    """What the node affinity of the volume says."""
    (term,) = user.volume_of(claim)["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    told = {row["key"]: row["values"] for row in term["matchExpressions"]}
    found: list[str] = told[ZONE]
    return found


def zone_of_disk(user: tenant.Tenant, claim: str) -> str:
    """Where the cloud has the disk."""
    handle = user.volume_of(claim)["spec"]["csi"]["volumeHandle"]
    return str(user.cluster.control.data_disks()[handle]["zone_id"])


def ask_for_zone(user: tenant.Tenant, pod: str, node: str) -> None:
    """A pod with the claim `data` that wants the zone of *node*; not waited for."""
    selector = {WELL_KNOWN_ZONE: layout.ZONES[node]}
    user.apply(
        kubectl.pod(pod, tenant.SLEEP, container=MOUNT, volumes=[DATA], nodeSelector=selector)
    )


def why_unscheduled(user: tenant.Tenant, pod: str) -> str:
    """The scheduler's reasons, once it found no node for the pod."""
    path = '{.status.conditions[?(@.type=="PodScheduled")]'
    user.wait("pod", pod, f"jsonpath={path}.reason}}=Unschedulable")
    return user.kubectl("get", "pod", pod, "-o", f"jsonpath={path}.message}}")


@pytest.mark.parametrize("node", [HERE, FAR])
def test_a_disk_is_made_in_the_zone_of_its_pods_node(user: tenant.Tenant, node: str) -> None:
    user.claim("data")
    user.user_of("data", "pod", node=node)
    assert zones_of_volume(user, "data") == [layout.ZONES[node]]
    assert zone_of_disk(user, "data") == layout.ZONES[node]
    told = user.execute("pod", "/bin/sh", "-ec", "echo written >/data/file; cat /data/file")
    assert told == "written\n"


def test_a_pod_waits_that_asks_for_another_zone_than_its_disk_has(user: tenant.Tenant) -> None:
    user.claim("data")
    user.user_of("data", "first", node=FAR)
    user.execute("first", "/bin/sh", "-ec", "echo written >/data/file; sync")
    user.delete("pod", "first")

    ask_for_zone(user, "elsewhere", HERE)
    assert "node affinity" in why_unscheduled(user, "elsewhere")
    # One that asks for nothing is sent to its disk, past two nodes with more room.
    assert user.user_of("data", "follows")["spec"]["nodeName"] == FAR
    assert user.execute("follows", "cat", "/data/file") == "written\n"
    assert user.get("pod", "elsewhere")["status"]["phase"] == "Pending"


def test_replicas_that_are_spread_over_zones_have_each_a_disk_of_its_own_zone(
    user: tenant.Tenant,
) -> None:
    labels = {"app": "it"}
    spread = {
        "maxSkew": 1,
        "topologyKey": WELL_KNOWN_ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }
    pod = kubectl.pod("", tenant.SLEEP, container=MOUNT, topologySpreadConstraints=[spread])
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": tenant.DISK_CLASS,
        "resources": {"requests": {"storage": "20Gi"}},
    }
    spec: dict[str, Any] = {
        "replicas": 2,
        "serviceName": "it",
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": pod["spec"] | {"restartPolicy": "Always"},
        },
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
    }
    kind = {"apiVersion": "apps/v1", "kind": "StatefulSet"}
    user.apply({**kind, "metadata": {"name": "it"}, "spec": spec})
    user.wait("statefulset", "it", "jsonpath={.status.readyReplicas}=2")

    zones = []
    for number in range(2):
        zone = layout.ZONES[user.get("pod", f"it-{number}")["spec"]["nodeName"]]
        assert zones_of_volume(user, f"data-it-{number}") == [zone]
        assert zone_of_disk(user, f"data-it-{number}") == zone
        zones.append(zone)
    assert sorted(zones) == sorted({layout.ZONES[HERE], layout.ZONES[FAR]})


@pytest.mark.parametrize("class_of_zone", ["Immediate"], indirect=True)
def test_a_disk_that_is_made_at_once_is_in_an_allowed_zone_and_draws_its_pod(
    user: tenant.Tenant, class_of_zone: str
) -> None:
    user.claim("data", storage_class=class_of_zone)
    user.wait("pvc", "data", "jsonpath={.status.phase}=Bound")
    assert zone_of_disk(user, "data") == layout.ZONES[FAR]
    assert zones_of_volume(user, "data") == [layout.ZONES[FAR]]
    assert user.user_of("data", "pod")["spec"]["nodeName"] == FAR


@pytest.mark.parametrize("class_of_zone", ["WaitForFirstConsumer"], indirect=True)
def test_no_disk_is_made_for_a_pod_outside_of_the_allowed_zones(
    cluster: cluster_module.Cluster, user: tenant.Tenant, class_of_zone: str
) -> None:
    user.claim("data", storage_class=class_of_zone)
    ask_for_zone(user, "elsewhere", HERE)
    why_unscheduled(user, "elsewhere")
    assert user.get("pvc", "data")["status"]["phase"] == "Pending"
    assert cluster.control.data_disks() == {}

    assert user.user_of("data", "pod")["spec"]["nodeName"] == FAR
    assert zone_of_disk(user, "data") == layout.ZONES[FAR]
