"""Object storage on both nodes, and the controller half of NAS, as this kernel cannot mount it.

The node half of NAS is shown in the lab, whose kernel has NFS.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant

HERE, THERE = layout.NODES
SECRET = "oss"
BUCKET = {
    "bucket": "simulated-bucket",
    "url": f"http://{layout.CLOUD}",
    "region": "cn-hangzhou",
    "fuseType": "s3fs",
}
NAS = "nasplugin.csi.alibabacloud.com"
OSS = "ossplugin.csi.alibabacloud.com"
FILE_SYSTEM = "nas_file_system"
NAS_SERVER = "0a1b2c3d4e-sim01.cn-hangzhou.nas.aliyuncs.com"


def shell(user: tenant.Tenant, pod: str, script: str) -> str:
    return user.execute(pod, "/bin/sh", "-ec", script)


@pytest.fixture
def classes(cluster: cluster_module.Cluster, user: tenant.Tenant) -> Iterator[list[str]]:
    """Names of StorageClasses that go with the test."""
    made: list[str] = []
    yield made
    for name in made:
        cluster.kubectl("delete", "storageclass", name)


def storage_class(
    user: tenant.Tenant, classes: list[str], provisioner: str, policy: str, **parameters: str
) -> str:
    """A class; its name."""
    name = f"{user.name}-{len(classes)}"
    made = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": provisioner,
        "parameters": parameters,
        "reclaimPolicy": policy,
        "allowVolumeExpansion": True,
    }
    user.cluster.kubectl.apply(made)
    classes.append(name)
    return name


def give_secret(user: tenant.Tenant) -> None:
    key = {"akId": "LTAIsimulated", "akSecret": "simulated-secret"}
    metadata = {"name": SECRET}
    user.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": key})


def claim_objects(user: tenant.Tenant, classes: list[str]) -> None:
    """A claim `objects` for a directory of the bucket."""
    give_secret(user)
    secret = {
        "csi.storage.k8s.io/node-publish-secret-name": SECRET,
        "csi.storage.k8s.io/node-publish-secret-namespace": "${pvc.namespace}",
    }
    name = storage_class(user, classes, OSS, "Delete", volumeAs="subpath", **BUCKET, **secret)
    user.claim("objects", "5Gi", storage_class=name, access="ReadWriteMany")


def test_pods_of_both_nodes_share_a_directory_of_a_bucket(
    user: tenant.Tenant, classes: list[str]
) -> None:
    claim_objects(user, classes)
    user.user_of("objects", "writer", node=HERE)
    written = shell(user, "writer", "cp /bin/busybox /data/busybox; sha256sum /data/busybox")
    user.user_of("objects", "reader", node=THERE)
    assert shell(user, "reader", "sha256sum /data/busybox") == written


def test_objects_survive_the_pod_and_are_read_by_the_next_one_on_the_other_node(
    user: tenant.Tenant, classes: list[str]
) -> None:
    claim_objects(user, classes)
    user.user_of("objects", "pod", node=HERE)
    written = shell(user, "pod", "cp /bin/busybox /data/busybox; sha256sum /data/busybox")
    user.delete("pod", "pod")
    assert user.user_of("objects", "pod", node=THERE)["spec"]["nodeName"] == THERE
    assert shell(user, "pod", "sha256sum /data/busybox") == written


def test_a_static_volume_of_the_existing_drivers_documentation_mounts(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    give_secret(user)
    static: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": user.name, "labels": {"alicloud-pvname": user.name}},
        "spec": {
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "csi": {
                "driver": OSS,
                "volumeHandle": user.name,
                "nodePublishSecretRef": {"name": SECRET, "namespace": user.name},
                "volumeAttributes": BUCKET | {"path": f"/{user.name}", "otherOpts": "-o umask=022"},
            },
        },
    }
    cluster.kubectl.apply(static)
    user.claim("objects", "5Gi", storage_class="", access="ReadWriteMany")
    user.user_of("objects", "pod", node=HERE)
    assert shell(user, "pod", "echo stored >/data/file; cat /data/file") == "stored\n"
    user.delete("pod", "pod")
    user.delete("pvc", "objects")
    cluster.kubectl("delete", "pv", user.name, "--timeout=60s")


def test_a_nas_file_system_is_made_and_deleted_with_its_claim(
    cluster: cluster_module.Cluster, user: tenant.Tenant, classes: list[str]
) -> None:
    before = set(cluster.control.resources(FILE_SYSTEM))
    parameters = {
        "volumeAs": "filesystem",
        "vpcId": "vpc-bp1sim000000000001",
        "vSwitchId": "vsw-bp1sim000000000002",
        "deleteVolume": "true",
    }
    name = storage_class(user, classes, NAS, "Delete", **parameters)
    user.claim("files", "20Gi", storage_class=name, access="ReadWriteMany")
    user.wait("pvc", "files", "jsonpath={.status.phase}=Bound")
    (made,) = set(cluster.control.resources(FILE_SYSTEM)) - before
    assert made in str(user.volume_of("files")["spec"]["csi"])

    user.delete("pvc", "files")
    kubectl.wait_until(
        "the file system is gone",
        lambda: set(cluster.control.resources(FILE_SYSTEM)) == before,
        60.0,
    )


def test_a_nas_directory_is_made_and_its_quota_grows(
    cluster: cluster_module.Cluster, user: tenant.Tenant, classes: list[str]
) -> None:
    parameters = {"volumeAs": "subpath", "server": NAS_SERVER, "volumeCapacity": "true"}
    name = storage_class(user, classes, NAS, "Retain", **parameters)
    user.claim("files", "20Gi", storage_class=name, access="ReadWriteMany")
    user.wait("pvc", "files", "jsonpath={.status.phase}=Bound")
    volume = user.volume_of("files")
    assert volume["spec"]["csi"]["volumeAttributes"]["server"] == NAS_SERVER

    user.claim("files", "30Gi", storage_class=name, access="ReadWriteMany")
    # Nothing is left to do for a node, so the claim tells it though no pod uses it.
    user.wait("pvc", "files", "jsonpath={.status.capacity.storage}=30Gi")
    quotas = cluster.control.resources("nas_dir_quota").values()
    assert 30 in [row["size_gib"] for row in quotas]
    user.delete("pvc", "files")
    cluster.kubectl("delete", "pv", volume["metadata"]["name"], "--timeout=60s")
