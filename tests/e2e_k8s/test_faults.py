"""Programs that end, and an API server that is away: each time the desired state comes about."""

import signal
from collections.abc import Iterator

import pytest

from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant

HERE, THERE = layout.NODES
HEALED_S = 90.0


@pytest.fixture(autouse=True)
def all_is_well_afterwards(cluster: cluster_module.Cluster) -> Iterator[None]:
    yield
    cluster.control.clear_faults()
    cluster.up()
    assert [row for row in cluster.status() if not row.well] == []


def shell(user: tenant.Tenant, pod: str, script: str) -> str:
    return user.execute(pod, "/bin/sh", "-ec", script)


def start_pod(user: tenant.Tenant, name: str, claim: str, node: str = HERE) -> None:
    """Ask for a pod, and do not wait for it."""
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    selector = {"kubernetes.io/hostname": node}
    user.apply(
        kubectl.pod(name, tenant.SLEEP, container=mount, volumes=volumes, nodeSelector=selector)
    )


@pytest.mark.parametrize("action", ["CreateDisk", "AttachDisk"])
def test_the_controller_is_killed_while_the_cloud_works_for_it(
    cluster: cluster_module.Cluster, user: tenant.Tenant, action: str
) -> None:
    fault = cluster.control.add_fault(action, "notify")
    user.claim("data")
    start_pod(user, "pod", "data")
    cluster.control.wait_held(fault, 30.0)
    cluster.stop("csi-controller", signal.SIGKILL)
    cluster.control.release(fault)
    cluster.start("csi-controller")
    user.wait("pod", "pod", "condition=Ready", HEALED_S)
    assert len(cluster.control.data_disks()) == 1


def test_the_controller_is_killed_while_a_disk_is_detached(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data")
    user.user_of("data", "first", node=HERE)
    fault = cluster.control.add_fault("DetachDisk", "notify")
    user.delete("pod", "first")
    cluster.control.wait_held(fault, 30.0)
    cluster.stop("csi-controller", signal.SIGKILL)
    cluster.control.release(fault)
    cluster.start("csi-controller")
    start_pod(user, "second", "data", THERE)
    user.wait("pod", "second", "condition=Ready", HEALED_S)


@pytest.mark.parametrize("who", ["kubelet", "csi-node", "containerd", "ipamd"])
def test_pods_and_their_data_outlive_a_killed_program_of_their_node(
    cluster: cluster_module.Cluster, user: tenant.Tenant, who: str
) -> None:
    user.claim("data")
    user.user_of("data", "pod", node=HERE)
    shell(user, "pod", "echo before >/data/file; sync")
    cluster.stop(f"{HERE}/{who}", signal.SIGKILL)
    cluster.start(f"{HERE}/{who}")
    cluster.kubectl.wait("node", HERE, "condition=Ready", limit_s=HEALED_S)
    user.run("later", nodeName=HERE)
    kubectl.wait_until("the pod can be entered", lambda: _file(user) == "before\n", HEALED_S)
    status = user.get("pod", "pod")["status"]
    assert status["containerStatuses"][0]["restartCount"] == 0
    user.delete("pod", "pod")
    start_pod(user, "moved", "data", THERE)
    user.wait("pod", "moved", "condition=Ready", HEALED_S)


def _file(user: tenant.Tenant) -> str:
    try:
        return shell(user, "pod", "cat /data/file")
    except kubectl.Refused:
        return ""


def test_a_pod_is_deleted_by_force_while_its_volume_is_mounted(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data")
    user.user_of("data", "pod", node=HERE)
    user.kubectl("delete", "pod", "pod", "--force", "--grace-period=0")
    start_pod(user, "moved", "data", THERE)
    user.wait("pod", "moved", "condition=Ready", HEALED_S)


def test_pods_run_and_are_reached_while_the_api_server_is_away(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data")
    pods = {node: user.run(node, nodeName=node) for node in layout.NODES}
    user.user_of("data", "pod", node=HERE)
    cluster.stop("kube-apiserver", signal.SIGKILL)
    cluster.stop(f"{HERE}/ipamd", signal.SIGKILL)
    cluster.stop(f"{HERE}/csi-node", signal.SIGKILL)
    # Ours start without it.
    cluster.start(f"{HERE}/ipamd")
    cluster.start(f"{HERE}/csi-node")
    cluster.up()
    told = user.execute(THERE, "ping", "-c", "2", "-W", "2", pods[HERE]["status"]["podIP"])
    assert " 0% packet loss" in told
    user.delete("pod", "pod")
    start_pod(user, "moved", "data", THERE)
    user.wait("pod", "moved", "condition=Ready", HEALED_S)


def test_a_drained_node_gives_its_volumes_to_the_other(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data")
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    pod = kubectl.pod("", tenant.SLEEP, container=mount, volumes=volumes)["spec"]
    user.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "it"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": "it"}},
                "template": {
                    "metadata": {"labels": {"app": "it"}},
                    "spec": pod | {"restartPolicy": "Always"},
                },
            },
        }
    )
    user.kubectl("rollout", "status", "deployment/it", "--timeout=60s")
    path = "jsonpath={.items[0].spec.nodeName}"
    node = user.kubectl("get", "pods", "-l", "app=it", "-o", path)
    try:
        cluster.kubectl("drain", node, "--delete-emptydir-data", "--force", "--timeout=60s")
        user.kubectl("rollout", "status", "deployment/it", "--timeout=90s")
        assert user.kubectl("get", "pods", "-l", "app=it", "-o", path) != node
    finally:
        cluster.kubectl("uncordon", node)
