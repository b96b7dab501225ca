"""Node-local volumes: made on the node of their pod, which has the room; here they are files.

The kernel of these machines has no device-mapper and no project quotas: LVM and QuotaPath are
tested in tests/lab.
"""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import chart, cleanup, kubectl, layout, tenant
from tests.support.cluster import cluster as cluster_module

CLASS = "local-file"
DRIVER = "localplugin.csi.alibabacloud.com"
GIB = 2**30
MIB = 2**20
ROOM_BYTES = chart.LOCAL_GIB * GIB
SMALL = "320Mi"
"""XFS takes no less than 300 MiB."""
LARGE = "640Mi"
"""Two of them do not fit on one node."""
TOLD_S = 30.0
POLLED_S = 90.0
"""external-provisioner looks once a minute at what nobody told it."""
HERE, THERE = layout.NODES
MOUNT = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
NO_ROOM = "node(s) did not have enough free storage"


@pytest.fixture(autouse=True)
def nothing_is_left(cluster: cluster_module.Cluster) -> Iterator[None]:
    """Torn down after `user`, whose volumes are gone by then."""
    yield
    kubectl.wait_until(
        "no node has a file of a volume",
        lambda: not any(files(cluster, node) for node in layout.NODES),
        TOLD_S,
    )
    kubectl.wait_until(
        "the scheduler knows it",
        lambda: all(room(cluster, node) == ROOM_BYTES for node in layout.NODES),
        POLLED_S,
    )
    assert cleanup.loop_devices(cluster.where.local_files) == []


def files(cluster: cluster_module.Cluster, node: str) -> list[str]:
    return sorted(path.name for path in (cluster.where.home(node) / "local").iterdir())


def room(cluster: cluster_module.Cluster, node: str) -> int:
    """Bytes, as the scheduler is told them. -1 = it is not told."""
    for each in cluster.kubectl.list("csistoragecapacities"):
        where = each["nodeTopology"]["matchLabels"]["kubernetes.io/hostname"]
        if (each["storageClassName"], where) == (CLASS, node):
            return quantity(each["maximumVolumeSize"])
    return -1


def quantity(text: str) -> int:
    """Bytes of `1Gi`, `704Mi`."""
    units = {"Mi": MIB, "Gi": GIB}
    return int(text.rstrip("GMi")) * units.get(text[-2:], 1)


def shell(user: tenant.Tenant, pod: str, script: str) -> str:
    return user.execute(pod, "/bin/sh", "-ec", script)


def start_pod(user: tenant.Tenant, name: str, claim: str, node: str = "") -> None:
    """Ask for a pod, and do not wait for it. node: "" = any."""
    spec: dict[str, Any] = {
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    }
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    user.apply(kubectl.pod(name, tenant.SLEEP, container=MOUNT, **spec))


def size_bytes(user: tenant.Tenant, pod: str) -> int:
    """Of the file system at /data."""
    return int(shell(user, pod, "df -k /data").splitlines()[-1].split()[1]) * 1024


def node_of(user: tenant.Tenant, pod: str) -> str:
    return str(user.get("pod", pod)["spec"]["nodeName"])


def test_a_pod_that_is_made_again_finds_its_data_on_its_node(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data", SMALL, storage_class=CLASS)
    assert user.get("pvc", "data")["status"]["phase"] == "Pending"
    user.user_of("data", "first", node=THERE)
    shell(user, "first", "echo kept >/data/file; sync")
    volume = user.volume_of("data")
    (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    (told,) = term["matchExpressions"]
    assert (told["key"], told["values"]) == ("kubernetes.io/hostname", [THERE])
    assert files(cluster, THERE) == [f"{volume['metadata']['name']}.img"]
    user.delete("pod", "first")

    user.user_of("data", "second")
    assert node_of(user, "second") == THERE
    assert shell(user, "second", "cat /data/file") == "kept\n"
    user.delete("pod", "second")
    user.delete("pvc", "data")
    kubectl.wait_until("the file is gone", lambda: files(cluster, THERE) == [], TOLD_S)


@pytest.mark.parametrize(("full", "other"), [(HERE, THERE), (THERE, HERE)])
def test_a_claim_goes_where_there_is_room_or_waits_for_it(
    cluster: cluster_module.Cluster, user: tenant.Tenant, full: str, other: str
) -> None:
    for name in ("first", "second", "third"):
        user.claim(name, LARGE, storage_class=CLASS)
    user.user_of("first", "first", node=full)
    left_bytes = ROOM_BYTES - 640 * MIB
    kubectl.wait_until("the scheduler knows it", lambda: room(cluster, full) == left_bytes, TOLD_S)
    user.user_of("second", "second")
    assert node_of(user, "second") == other
    kubectl.wait_until("the scheduler knows it", lambda: room(cluster, other) == left_bytes, TOLD_S)

    start_pod(user, "third", "third")
    unschedulable = 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].reason}=Unschedulable'
    user.wait("pod", "third", unschedulable)
    told = user.kubectl("get", "events", "--field-selector", "reason=FailedScheduling")
    assert f"2 {NO_ROOM}" in told
    assert user.get("pvc", "third")["status"]["phase"] == "Pending"

    user.delete("pod", "first")
    user.delete("pvc", "first")
    user.wait("pod", "third", "condition=Ready")
    assert node_of(user, "third") == full


def test_a_claim_that_no_node_can_hold_waits_and_says_why(user: tenant.Tenant) -> None:
    user.claim("data", "2Gi", storage_class=CLASS)
    start_pod(user, "pod", "data")
    unschedulable = 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].reason}=Unschedulable'
    user.wait("pod", "pod", unschedulable)
    (told,) = user.get("pod", "pod")["status"]["conditions"]
    assert f"2 {NO_ROOM}" in told["message"]
    assert user.get("pvc", "data")["status"]["phase"] == "Pending"


def test_a_pod_sees_its_volume_grow(user: tenant.Tenant) -> None:
    user.claim("data", SMALL, storage_class=CLASS)
    user.user_of("data", "pod")
    shell(user, "pod", "echo kept >/data/file; sync")
    before_bytes = size_bytes(user, "pod")
    user.claim("data", LARGE, storage_class=CLASS)
    user.wait("pvc", "data", f"jsonpath={{.status.capacity.storage}}={LARGE}")
    kubectl.wait_until(
        "the pod sees the new size", lambda: size_bytes(user, "pod") > 1.9 * before_bytes, 30.0
    )
    assert shell(user, "pod", "cat /data/file") == "kept\n"
    assert user.get("pod", "pod")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_volume_that_cannot_grow_says_why_and_can_be_wanted_smaller(user: tenant.Tenant) -> None:
    user.claim("data", SMALL, storage_class=CLASS)
    user.user_of("data", "pod")
    user.claim("data", "2Gi", storage_class=CLASS)
    message = 'jsonpath={.status.conditions[?(@.type=="NodeResizeError")].message}'
    kubectl.wait_until(
        "the claim says why",
        lambda: (
            f"has room for {704 * MIB} bytes" in user.kubectl("get", "pvc", "data", "-o", message)
        ),
        TOLD_S,
    )
    assert size_bytes(user, "pod") < 320 * MIB
    user.claim("data", LARGE, storage_class=CLASS)
    user.wait("pvc", "data", f"jsonpath={{.status.capacity.storage}}={LARGE}")
    assert size_bytes(user, "pod") > 500 * MIB


def test_an_ephemeral_claim_goes_with_its_pod(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    ephemeral = {"volumeClaimTemplate": {"spec": claim_spec(SMALL)}}
    user.run("pod", container=MOUNT, volumes=[{"name": "data", "ephemeral": ephemeral}])
    node = node_of(user, "pod")
    assert len(files(cluster, node)) == 1
    user.delete("pod", "pod")
    kubectl.wait_until("the file is gone", lambda: files(cluster, node) == [], TOLD_S)


def test_an_inline_volume_is_made_and_goes_with_its_pod(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    attributes = {"volumeType": "LoopDevice", "size": SMALL}
    inline = {"driver": DRIVER, "fsType": "xfs", "volumeAttributes": attributes}
    user.run("pod", container=MOUNT, volumes=[{"name": "data", "csi": inline}])
    shell(user, "pod", "echo gone soon >/data/file; sync")
    assert 250 * MIB < size_bytes(user, "pod") < 320 * MIB
    node = node_of(user, "pod")
    assert len(files(cluster, node)) == 1
    user.delete("pod", "pod")
    kubectl.wait_until("the file is gone", lambda: files(cluster, node) == [], TOLD_S)


def claim_spec(size: str) -> dict[str, Any]:
    return {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": CLASS,
        "resources": {"requests": {"storage": size}},
    }


def test_pods_of_a_stateful_set_spread_by_room(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    pod = kubectl.pod("", tenant.SLEEP, container=MOUNT)["spec"] | {"restartPolicy": "Always"}
    user.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "it"},
            "spec": {
                "replicas": 3,
                "podManagementPolicy": "Parallel",
                "serviceName": "it",
                "selector": {"matchLabels": {"app": "it"}},
                "template": {"metadata": {"labels": {"app": "it"}}, "spec": pod},
                # Two fit on one node, three do not.
                "volumeClaimTemplates": [
                    {"metadata": {"name": "data"}, "spec": claim_spec("480Mi")}
                ],
            },
        }
    )
    user.wait("statefulset", "it", "jsonpath={.status.readyReplicas}=3")
    nodes = [node_of(user, f"it-{number}") for number in range(3)]
    assert sorted(map(nodes.count, layout.NODES)) == [1, 2]
    assert [len(files(cluster, node)) for node in layout.NODES] == [
        nodes.count(node) for node in layout.NODES
    ]


def test_a_driver_that_is_killed_while_it_makes_a_volume_makes_one(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data", SMALL, storage_class=CLASS)
    start_pod(user, "pod", "data", HERE)
    kubectl.wait_until("the file is there", lambda: files(cluster, HERE) != [], TOLD_S)
    cluster.stop(f"{HERE}/csi-local", signal.SIGKILL)
    cluster.start(f"{HERE}/csi-local")
    user.wait("pod", "pod", "condition=Ready")
    assert files(cluster, HERE) == [f"{user.volume_of('data')['metadata']['name']}.img"]


def test_a_volume_outlives_its_killed_driver(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data", SMALL, storage_class=CLASS)
    user.user_of("data", "pod", node=HERE)
    shell(user, "pod", "echo before >/data/file; sync")
    cluster.stop(f"{HERE}/csi-local", signal.SIGKILL)
    assert shell(user, "pod", "cat /data/file; echo after >>/data/file; sync") == "before\n"
    cluster.start(f"{HERE}/csi-local")
    assert user.get("pod", "pod")["status"]["containerStatuses"][0]["restartCount"] == 0
    user.delete("pod", "pod")
    user.user_of("data", "again")
    assert shell(user, "again", "cat /data/file") == "before\nafter\n"


def test_a_node_that_the_driver_left_is_sent_no_claims(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    for name in ("first", "second"):
        user.claim(name, LARGE, storage_class=CLASS)
    user.user_of("first", "first", node=HERE)
    provisioner = f"{THERE}/local-provisioner"
    cluster.signal(provisioner, signal.SIGSTOP)
    try:
        cluster.kubectl("delete", "pod", f"csi-local-{THERE}", "-n", chart.NAMESPACE)
        kubectl.wait_until("its room is forgotten", lambda: room(cluster, THERE) == -1, TOLD_S)
        start_pod(user, "second", "second")
        condition = '{.status.conditions[?(@.type=="PodScheduled")].reason}'
        user.wait("pod", "second", f"jsonpath={condition}=Unschedulable")
        assert "volume.kubernetes.io/selected-node" not in user.get("pvc", "second")[
            "metadata"
        ].get("annotations", {})
    finally:
        cluster.apply_stand_ins()
        cluster.signal(provisioner, signal.SIGCONT)
        # A pod that is there again has its sidecars started anew.
        cluster.stop(provisioner)
        cluster.start(provisioner)
    user.wait("pod", "second", "condition=Ready")
    assert node_of(user, "second") == THERE
