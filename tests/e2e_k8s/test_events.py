"""What operators read with `kubectl describe`: why a volume is not made, attached, mounted."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant

HERE, _ = layout.NODES
SEEN_S = 60.0
HEALED_S = 120.0
"""kubelet publishes again what asks for it, and waits longer from time to time."""
CLASS = "disk-that-is-not-sold"
NAS_SERVER = "0a1b2c3d4e-sim01.cn-hangzhou.nas.aliyuncs.com"
MOUNT = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}


def events(user: tenant.Tenant, name: str, reason: str) -> list[dict[str, Any]]:
    """Of an object of the namespace."""
    words = ("--field-selector", f"reason={reason},involvedObject.name={name}")
    found: list[dict[str, Any]] = json.loads(user.kubectl("get", "events", "-o", "json", *words))[
        "items"
    ]
    return found


def wait_told(user: tenant.Tenant, name: str, reason: str, *words: str) -> None:
    """Wait for an event that has all of *words*. Raises Refused with the events there are."""

    def is_told() -> bool:
        messages = [each["message"] for each in events(user, name, reason)]
        return any(all(word in message for word in words) for message in messages)

    try:
        kubectl.wait_until(f"{name} has an event {reason} with {words}", is_told, SEEN_S)
    except TimeoutError as fault:
        raise kubectl.Refused(f"{fault}\n{user.kubectl('get', 'events')}") from fault


def start_pod(user: tenant.Tenant, name: str, claim: str) -> None:
    """Ask for a pod, and do not wait for it."""
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    selector = {"kubernetes.io/hostname": HERE}
    user.apply(
        kubectl.pod(name, tenant.SLEEP, container=MOUNT, volumes=volumes, nodeSelector=selector)
    )


@pytest.fixture
def wrong_class(cluster: cluster_module.Cluster) -> Iterator[str]:
    """A class with a parameter that cannot be right."""
    made = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS},
        "provisioner": "diskplugin.csi.alibabacloud.com",
        "parameters": {"type": "cloud_golden"},
        "volumeBindingMode": "Immediate",
    }
    cluster.kubectl.apply(made)
    yield CLASS
    cluster.kubectl("delete", "storageclass", CLASS)


def test_a_claim_says_why_there_is_no_volume(user: tenant.Tenant, wrong_class: str) -> None:
    user.claim("data", storage_class=wrong_class)
    wait_told(user, "data", "ProvisioningFailed", "type", "cloud_golden", "cloud_essd")
    assert "cloud_golden" in user.kubectl("describe", "pvc", "data")


def test_a_pod_says_why_its_disk_is_not_attached_until_it_is(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    refusal = {"status": 403, "code": "Forbidden.RAM", "message": "User not authorized."}
    cluster.control.add_fault("AttachDisk", "error", always=True, **refusal)
    try:
        user.claim("data")
        start_pod(user, "pod", "data")
        wait_told(user, "pod", "FailedAttachVolume", "AttachDisk", "Forbidden.RAM")
    finally:
        cluster.control.clear_faults()
    user.wait("pod", "pod", "condition=Ready")


def test_a_nas_volume_of_the_existing_drivers_documentation_reaches_its_node_as_it_is(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    """As far as it goes here, where nobody knows the server's name: the event tells it.

    How attributes and options are mounted where there is NFS is shown in tests/lab.
    """
    options = ["nolock,tcp,noresvport", "vers=3"]
    static = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": user.name, "labels": {"alicloud-pvname": user.name}},
        "spec": {
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "csi": {
                "driver": "nasplugin.csi.alibabacloud.com",
                "volumeHandle": user.name,
                "volumeAttributes": {"server": NAS_SERVER, "path": "/csi"},
            },
            "mountOptions": options,
        },
    }
    cluster.kubectl.apply(static)
    user.claim("data", "5Gi", storage_class="", access="ReadWriteMany")
    start_pod(user, "pod", "data")
    wait_told(user, "pod", "FailedMount", f"NFS server {NAS_SERVER} does not answer")
    log = (cluster.where.logs / f"{HERE}-csi-node.log").read_text().splitlines()
    asked = next(line for line in log if "NodePublishVolume" in line and user.name in line)
    for word in (NAS_SERVER, "/csi", *options):
        assert word in asked
    user.delete("pod", "pod")
    user.delete("pvc", "data")
    cluster.kubectl("delete", "pv", user.name, "--timeout=60s")


def test_a_pod_is_told_that_its_object_storage_was_mounted_again(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    key = {"akId": "LTAIsimulated", "akSecret": "simulated-secret"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "oss"}}
    user.apply({**secret, "stringData": key})
    attributes = {"bucket": "simulated-bucket", "url": f"http://{layout.CLOUD}"}
    attributes |= {"path": f"/{user.name}", "fuseType": "s3fs"}
    static = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": user.name},
        "spec": {
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "csi": {
                "driver": "ossplugin.csi.alibabacloud.com",
                "volumeHandle": user.name,
                "nodePublishSecretRef": {"name": "oss", "namespace": user.name},
                "volumeAttributes": attributes,
            },
        },
    }
    cluster.kubectl.apply(static)
    user.claim("data", "5Gi", storage_class="", access="ReadWriteMany")
    start_pod(user, "pod", "data")
    user.wait("pod", "pod", "condition=Ready")
    user.execute("pod", "/bin/sh", "-c", "echo kept >/data/file")

    cluster.run(HERE, "sh", "-c", "kill -9 $(pidof s3fs)")

    kubectl.wait_until("the pod reads again", lambda: _file(user) == "kept\n", HEALED_S)
    wait_told(user, "pod", "VolumeRemounted", user.name)
    (event,) = events(user, "pod", "VolumeRemounted")
    assert event["type"] == "Warning"
    assert event["source"]["component"] == "ossplugin.csi.alibabacloud.com"
    user.delete("pod", "pod")
    user.delete("pvc", "data")
    cluster.kubectl("delete", "pv", user.name, "--timeout=60s")


def _file(user: tenant.Tenant) -> str:
    try:
        return user.execute("pod", "cat", "/data/file")
    except kubectl.Refused:
        return ""
