"""Disk volumes through stock Kubernetes: claims, pods, and the standard sidecars."""

from typing import Any

from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant

GIB = 2**30
WRITE = "cp /bin/busybox /data/busybox && sync && sha256sum /data/busybox"
READ = "sha256sum /data/busybox"
SNAPSHOT_CLASS = "alibabacloud-disk-snapshot"
HERE, THERE = layout.NODES


def shell(user: tenant.Tenant, pod: str, script: str) -> str:
    return user.execute(pod, "/bin/sh", "-ec", script)


def size_bytes(user: tenant.Tenant, pod: str) -> int:
    """Of the file system at /data."""
    return int(shell(user, pod, "df -k /data").splitlines()[-1].split()[1]) * 1024


def snapshot(name: str, claim: str) -> dict[str, Any]:
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": name},
        "spec": {
            "volumeSnapshotClassName": SNAPSHOT_CLASS,
            "source": {"persistentVolumeClaimName": claim},
        },
    }


def test_data_survives_the_pod_and_follows_it_to_the_other_node(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data")
    assert user.get("pvc", "data")["status"]["phase"] == "Pending"

    user.user_of("data", "first", node=HERE)
    written = shell(user, "first", WRITE)
    disk_id = str(user.volume_of("data")["spec"]["csi"]["volumeHandle"])
    (attached,) = cluster.control.attachments(disk_id)
    assert attached == cluster.instance_id(HERE)
    user.delete("pod", "first")

    user.user_of("data", "second", node=THERE)
    assert shell(user, "second", READ) == written
    (attached,) = cluster.control.attachments(disk_id)
    assert attached == cluster.instance_id(THERE)


def test_a_volume_is_made_where_its_pod_is_and_says_so(user: tenant.Tenant) -> None:
    user.claim("data")
    user.user_of("data", "pod")
    (term,) = user.volume_of("data")["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    told = {row["key"]: row["values"] for row in term["matchExpressions"]}
    assert told["topology.diskplugin.csi.alibabacloud.com/zone"] == ["cn-hangzhou-k"]


def test_a_pod_sees_its_volume_grow(user: tenant.Tenant) -> None:
    # XFS: the kernel lets only CAP_SYS_RESOURCE grow a mounted ext4, which CI's machines lack.
    user.claim("data", "20Gi", storage_class="disk-xfs")
    user.user_of("data", "pod")
    before_bytes = size_bytes(user, "pod")
    assert before_bytes < 20 * GIB

    user.claim("data", "40Gi", storage_class="disk-xfs")
    user.wait("pvc", "data", "jsonpath={.status.capacity.storage}=40Gi")
    kubectl.wait_until(
        "the pod sees the new size", lambda: size_bytes(user, "pod") > 1.9 * before_bytes, 30.0
    )
    assert user.get("pod", "pod")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_snapshot_is_taken_and_restored(user: tenant.Tenant) -> None:
    user.claim("data")
    user.user_of("data", "writer", node=HERE)
    written = shell(user, "writer", WRITE)
    user.apply(snapshot("cut", "data"))
    user.wait("volumesnapshot", "cut", "jsonpath={.status.readyToUse}=true")
    shell(user, "writer", "rm /data/busybox && sync")

    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "cut"}
    user.claim("restored", source=source)
    user.user_of("restored", "reader", node=THERE)
    assert shell(user, "reader", READ) == written


def test_a_block_volume_follows_its_pod(user: tenant.Tenant) -> None:
    user.claim("raw", mode="Block")
    write = "dd if=/bin/busybox of=/dev/raw bs=4k count=200 conv=fsync 2>/dev/null; "
    read = "dd if=/dev/raw bs=4k count=200 2>/dev/null | sha256sum"
    sums = []
    for pod, node, script in (("first", HERE, write + read), ("second", THERE, read)):
        device = {"volumeDevices": [{"name": "raw", "devicePath": "/dev/raw"}]}
        volume = {"name": "raw", "persistentVolumeClaim": {"claimName": "raw"}}
        selector = {"kubernetes.io/hostname": node}
        user.run(pod, container=device, volumes=[volume], nodeSelector=selector)
        sums.append(shell(user, pod, script))
        user.delete("pod", pod)
    assert sums[0] == sums[1]
