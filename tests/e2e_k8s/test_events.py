"""What an operator sees with kubectl on a claim or a pod whose volume cannot be had, and why."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import processes
from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant

HERE = layout.NODES[0]
SEEN_S = 120.0
"""kubelet publishes again what asks for it, and waits longer from time to time."""
NAS_SERVER = "0a1b2c3d4e-sim01.cn-hangzhou.nas.aliyuncs.com"
DISK, OSS, NAS = (f"{name}plugin.csi.alibabacloud.com" for name in ("disk", "oss", "nas"))
BUCKET = {
    "bucket": "simulated-bucket",
    "url": f"http://{layout.CLOUD}",
    "region": "cn-hangzhou",
    "fuseType": "s3fs",
    "volumeAs": "subpath",
    "csi.storage.k8s.io/node-publish-secret-name": "oss",
    "csi.storage.k8s.io/node-publish-secret-namespace": "${pvc.namespace}",
}


@pytest.fixture(autouse=True)
def no_faults_afterwards(cluster: cluster_module.Cluster) -> Iterator[None]:
    yield
    cluster.control.clear_faults()


@pytest.fixture
def storage_class(
    cluster: cluster_module.Cluster, user: tenant.Tenant, request: pytest.FixtureRequest
) -> Iterator[str]:
    """A class that goes with the test. Parameter: its provisioner and parameters."""
    provisioner, parameters = request.param
    made = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": user.name},
        "provisioner": provisioner,
        "parameters": parameters,
        "allowVolumeExpansion": True,
    }
    cluster.kubectl.apply(made)
    yield user.name
    cluster.kubectl("delete", "storageclass", user.name)


def start_pod(user: tenant.Tenant) -> None:
    """A pod `pod` with the claim `data`; not waited for."""
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    selector = {"kubernetes.io/hostname": HERE}
    user.apply(
        kubectl.pod("pod", tenant.SLEEP, container=mount, volumes=volumes, nodeSelector=selector)
    )


def give_secret(user: tenant.Tenant, secret: str) -> None:
    key = {"akId": processes.ACCESS_KEY_ID, "akSecret": secret}
    metadata = {"name": "oss"}
    user.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": key})


def events(user: tenant.Tenant, kind: str, name: str, reason: str) -> list[dict[str, Any]]:
    """Warnings of one object with a reason; "" = any."""
    words = f"type=Warning,involvedObject.kind={kind},involvedObject.name={name}"
    selector = f"{words},reason={reason}" if reason else words
    found = json.loads(user.kubectl("get", "events", "-o", "json", "--field-selector", selector))
    items: list[dict[str, Any]] = found["items"]
    return items


def require_told(user: tenant.Tenant, kind: str, name: str, reason: str, *words: str) -> None:
    """Wait for an event with all of *words*; `kubectl describe` shows it."""

    def told() -> bool:
        said = [str(each["message"]) for each in events(user, kind, name, reason)]
        return any(all(word in message for word in words) for message in said)

    try:
        kubectl.wait_until(f"{kind} {name} has {reason}", told, SEEN_S)
    except TimeoutError as late:
        raise AssertionError(f"{late}: {events(user, kind, name, '')}") from late
    shown = " ".join(user.kubectl("describe", kind, name).split())
    assert reason in shown
    assert all(word in shown for word in words)


@pytest.mark.parametrize("storage_class", [(DISK, {"type": "cloud_imagined"})], indirect=True)
def test_a_claim_tells_which_parameter_of_its_class_is_wrong(
    cluster: cluster_module.Cluster, user: tenant.Tenant, storage_class: str
) -> None:
    user.claim("data", storage_class=storage_class)
    words = ("type", "cloud_imagined", "cloud_essd")
    require_told(user, "PersistentVolumeClaim", "data", "ProvisioningFailed", *words)
    assert cluster.control.data_disks() == {}


def test_a_claim_tells_what_the_cloud_refused_and_is_bound_when_it_is_mended(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    code = "QuotaExceed.DiskCapacity"
    cluster.control.add_fault("CreateDisk", "error", code=code, status=403, always=True)
    user.claim("data")
    start_pod(user)
    require_told(user, "PersistentVolumeClaim", "data", "ProvisioningFailed", code)
    cluster.control.clear_faults()
    user.wait("pod", "pod", "condition=Ready")
    assert len(cluster.control.data_disks()) == 1


def test_a_pod_tells_why_its_disk_is_not_attached(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    code = "Forbidden.RAM"
    cluster.control.add_fault("AttachDisk", "error", code=code, status=403, always=True)
    user.claim("data")
    start_pod(user)
    require_told(user, "Pod", "pod", "FailedAttachVolume", code)
    cluster.control.clear_faults()
    user.wait("pod", "pod", "condition=Ready")


def test_a_claim_tells_why_it_does_not_grow_and_may_ask_for_less(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data", storage_class="disk-xfs")
    user.user_of("data", "pod")
    code = "InvalidDiskSize.TooLarge"
    cluster.control.add_fault("ResizeDisk", "error", code=code, status=403, always=True)
    user.claim("data", "40Gi", storage_class="disk-xfs")
    require_told(user, "PersistentVolumeClaim", "data", "VolumeResizeFailed", code)
    cluster.control.clear_faults()
    # A size that cannot be had is tried again after minutes only; less than that at once.
    user.claim("data", "30Gi", storage_class="disk-xfs")
    user.wait("pvc", "data", "jsonpath={.status.capacity.storage}=30Gi")


@pytest.mark.parametrize("storage_class", [(OSS, BUCKET)], indirect=True)
def test_a_pod_tells_that_the_secret_of_its_bucket_is_wrong(
    user: tenant.Tenant, storage_class: str
) -> None:
    give_secret(user, "another-secret")
    user.claim("data", "5Gi", storage_class=storage_class, access="ReadWriteMany")
    start_pod(user)
    require_told(user, "Pod", "pod", "FailedMount", "SignatureDoesNotMatch")
    give_secret(user, processes.ACCESS_KEY_SECRET)
    user.wait("pod", "pod", "condition=Ready")


@pytest.mark.parametrize("storage_class", [(OSS, BUCKET)], indirect=True)
def test_a_pod_tells_that_the_client_of_its_bucket_died_and_sees_its_files_again(
    cluster: cluster_module.Cluster, user: tenant.Tenant, storage_class: str
) -> None:
    give_secret(user, processes.ACCESS_KEY_SECRET)
    user.claim("data", "5Gi", storage_class=storage_class, access="ReadWriteMany")
    start_pod(user)
    user.wait("pod", "pod", "condition=Ready")
    user.execute("pod", "/bin/sh", "-ec", "echo kept >/data/file")

    (client,) = cluster.run(HERE, "pgrep", "-x", "s3fs").split()
    cluster.run(HERE, "kill", "-KILL", client)
    require_told(user, "Pod", "pod", "VolumeRemounted", "FuseClientEnded")
    (event,) = events(user, "Pod", "pod", "VolumeRemounted")
    assert event["source"]["component"] == OSS
    assert user.execute("pod", "cat", "/data/file") == "kept\n"
    assert user.get("pod", "pod")["status"]["containerStatuses"][0]["restartCount"] == 0


@pytest.mark.parametrize(
    "storage_class",
    [
        (
            NAS,
            {
                "volumeAs": "filesystem",
                "vpcId": "vpc-bp1sim000000000001",
                "vSwitchId": "vsw-bp1sim000000000002",
                "deleteVolume": "true",
            },
        )
    ],
    indirect=True,
)
def test_a_claim_of_nas_tells_that_no_more_file_systems_are_allowed(
    cluster: cluster_module.Cluster, user: tenant.Tenant, storage_class: str
) -> None:
    before = set(cluster.control.resources("nas_file_system"))
    code = "Resource.OutOfQuota"
    cluster.control.add_fault("CreateFileSystem", "error", code=code, status=403, always=True)
    user.claim("data", storage_class=storage_class, access="ReadWriteMany")
    require_told(user, "PersistentVolumeClaim", "data", "ProvisioningFailed", code)
    assert set(cluster.control.resources("nas_file_system")) == before
    cluster.control.clear_faults()
    user.wait("pvc", "data", "jsonpath={.status.phase}=Bound")


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
                "driver": NAS,
                "volumeHandle": user.name,
                "volumeAttributes": {"server": NAS_SERVER, "path": "/csi"},
            },
            "mountOptions": options,
        },
    }
    cluster.kubectl.apply(static)
    user.claim("data", "5Gi", storage_class="", access="ReadWriteMany")
    start_pod(user)
    require_told(user, "Pod", "pod", "FailedMount", f"NFS server {NAS_SERVER} does not answer")
    log = (cluster.where.logs / f"{HERE}-csi-node.log").read_text().splitlines()
    asked = next(line for line in log if "NodePublishVolume" in line and user.name in line)
    for word in (NAS_SERVER, "/csi", *options):
        assert word in asked
    user.delete("pod", "pod")
    user.delete("pvc", "data")
    cluster.kubectl("delete", "pv", user.name, "--timeout=60s")
