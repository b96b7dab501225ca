"""Disk volumes under the workloads that people run, and the ways a claim can be written."""

from typing import Any

import pytest

from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant

HERE, THERE = layout.NODES


def shell(user: tenant.Tenant, pod: str, script: str) -> str:
    return user.execute(pod, "/bin/sh", "-ec", script)


def template(script: str = "sleep 2000000000", **spec: Any) -> dict[str, Any]:
    """A pod template whose container runs *script* and has the volume `data` at /data."""
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    made = kubectl.pod("", ["/bin/sh", "-ec", script], container=mount, **spec)["spec"]
    return {
        "metadata": {"labels": {"app": "it"}},
        "spec": made | {"restartPolicy": "Always"},
    }


def claim_spec(storage_class: str = tenant.DISK_CLASS) -> dict[str, Any]:
    return {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": "20Gi"}},
    }


def workload(kind: str, replicas: int, pod: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "it"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "it"}},
            "template": pod,
            **spec,
        },
    }


def test_each_pod_of_a_stateful_set_finds_its_own_data_again(user: tenant.Tenant) -> None:
    script = "[ -f /data/who ] || hostname >/data/who; cat /data/who; sleep 2000000000"
    claims = [{"metadata": {"name": "data"}, "spec": claim_spec()}]
    service = {"serviceName": "it", "podManagementPolicy": "Parallel"}
    for _ in range(2):
        user.apply(
            workload("StatefulSet", 3, template(script), volumeClaimTemplates=claims, **service)
        )
        user.wait("statefulset", "it", "jsonpath={.status.readyReplicas}=3")
        for number in range(3):
            assert user.kubectl("logs", f"it-{number}") == f"it-{number}\n"
        user.kubectl("scale", "statefulset", "it", "--replicas=0")
        user.kubectl("wait", "pods", "--all", "--for=delete", "--timeout=60s")


def test_a_deployment_takes_its_volume_along_to_another_node(user: tenant.Tenant) -> None:
    user.claim("data")
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    for node, script in (
        (HERE, "hostname >/data/first; sync; sleep 2000000000"),
        (THERE, "cat /data/first; sleep 2000000000"),
    ):
        selector = {"kubernetes.io/hostname": node}
        pod = template(script, volumes=volumes, nodeSelector=selector)
        user.apply(workload("Deployment", 1, pod, strategy={"type": "Recreate"}))
        user.kubectl("rollout", "status", "deployment/it", "--timeout=90s")
    assert user.kubectl("logs", "deployment/it").startswith("it-")


def test_the_second_pod_of_a_volume_for_one_pod_waits(user: tenant.Tenant) -> None:
    user.claim("data", access="ReadWriteOncePod")
    user.user_of("data", "first")
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    user.apply(kubectl.pod("second", tenant.SLEEP, container=mount, volumes=volumes))
    unschedulable = 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].reason}=Unschedulable'
    user.wait("pod", "second", unschedulable)
    user.delete("pod", "first")
    user.wait("pod", "second", "condition=Ready")


def test_a_retained_disk_outlives_its_claim_and_is_mounted_by_a_static_volume(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data", storage_class="disk-retain")
    user.user_of("data", "pod")
    shell(user, "pod", "echo precious >/data/file; sync")
    old = user.volume_of("data")
    handle = old["spec"]["csi"]["volumeHandle"]
    user.delete("pod", "pod")
    user.delete("pvc", "data")
    cluster.kubectl("delete", "pv", old["metadata"]["name"], "--timeout=60s")
    assert handle in cluster.control.data_disks()

    # As the documentation of the existing driver writes it.
    static = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": user.name},
        "spec": {
            "capacity": {"storage": "20Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "disk",
            "claimRef": {"name": "data", "namespace": user.name},
            "csi": {
                "driver": "diskplugin.csi.alibabacloud.com",
                "fsType": "ext4",
                "volumeHandle": handle,
            },
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {
                                    "key": "topology.diskplugin.csi.alibabacloud.com/zone",
                                    "operator": "In",
                                    "values": ["cn-hangzhou-k"],
                                }
                            ]
                        }
                    ]
                }
            },
        },
    }
    cluster.kubectl.apply(static)
    user.claim("data", storage_class="disk")
    user.user_of("data", "pod")
    assert shell(user, "pod", "cat /data/file") == "precious\n"


def test_an_attributes_class_makes_a_disk_faster_while_it_is_used(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data", storage_class="disk-auto")
    user.user_of("data", "pod")
    handle = user.volume_of("data")["spec"]["csi"]["volumeHandle"]
    assert cluster.control.data_disks()[handle]["provisioned_iops"] is None

    user.kubectl(
        "patch", "pvc", "data", "-p", '{"spec": {"volumeAttributesClassName": "disk-fast"}}'
    )
    user.wait("pvc", "data", "jsonpath={.status.currentVolumeAttributesClassName}=disk-fast")
    disk = cluster.control.data_disks()[handle]
    assert disk["provisioned_iops"] == 1000
    assert disk["bursting_enabled"] is True


def test_an_ephemeral_claim_goes_with_its_pod(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    ephemeral = {"volumeClaimTemplate": {"spec": claim_spec()}}
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    user.run("pod", container=mount, volumes=[{"name": "data", "ephemeral": ephemeral}])
    assert len(cluster.control.data_disks()) == 1
    user.delete("pod", "pod")
    kubectl.wait_until("the disk is gone", lambda: not cluster.control.data_disks(), 60.0)


@pytest.mark.parametrize("policy", ["OnRootMismatch", "Always"])
def test_a_pod_that_is_not_root_writes_through_its_group(user: tenant.Tenant, policy: str) -> None:
    user.claim("data")
    context = {"runAsUser": 1000, "fsGroup": 2000, "fsGroupChangePolicy": policy}
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    user.run("pod", container=mount, volumes=volumes, securityContext=context)
    told = shell(user, "pod", "echo mine >/data/file; ls -ln /data/file")
    assert told.split()[2:4] == ["1000", "2000"]
