"""NAS and LVM volumes in pods: stock Kubernetes, real NFS, real device-mapper.

tests/e2e_k8s shows the other drivers on two nodes, on a kernel that lacks both.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import lab_cluster, machine, nas_cloud, volume_group
from tests.support.cluster import audit, chart, kubectl, remains, tenant

pytestmark = pytest.mark.timeout(3600)

NAS, LOCAL = "nasplugin.csi.alibabacloud.com", "localplugin.csi.alibabacloud.com"
STATIC = pathlib.Path(__file__).parent / "objects/nas_static.yaml"
LVM_CLASS = "csi-local-lvm"
SHORT_S = 60.0
WRITE = "cp /bin/busybox /data/busybox && sync && sha256sum /data/busybox"
READ = "sha256sum /data/busybox"


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[volume_group.VolumeGroup]:
    made = volume_group.VolumeGroup(tmp_path_factory.mktemp("disks"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def cluster(
    group: volume_group.VolumeGroup, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[lab_cluster.LabCluster]:
    """One node. Nothing is left of it, and RBAC refused nobody anything."""
    made = lab_cluster.LabCluster(tmp_path_factory.mktemp("k8s") / "cluster", group)
    try:
        made.up()
        yield made
        refused = audit.denied(made.where.audit_log, chart.read(made.where).accounts)
    finally:
        made.down()
    assert remains.of_cluster(made.where) == []
    assert refused == []


@pytest.fixture
def user(cluster: lab_cluster.LabCluster) -> Iterator[tenant.Tenant]:
    """A namespace; a test that leaves a volume or a snapshot fails."""
    made = tenant.Tenant(cluster)
    yield made
    assert made.close() == []


@pytest.fixture
def objects(cluster: lab_cluster.LabCluster) -> Iterator[list[dict[str, Any]]]:
    """Objects without a namespace that go with the test."""
    made: list[dict[str, Any]] = []
    yield made
    for each in made:
        cluster.kubectl("delete", each["kind"], each["metadata"]["name"])


def shell(user: tenant.Tenant, pod: str, script: str) -> str:
    return user.execute(pod, "/bin/sh", "-ec", script)


def size_mib(user: tenant.Tenant, pod: str) -> float:
    """Of the file system at /data. -P: the long name of a mapped device does not wrap the line."""
    return int(shell(user, pod, "df -kP /data").splitlines()[-1].split()[1]) / 1024


def test_static_volumes_of_the_existing_drivers_documentation_mount_unchanged(
    cluster: lab_cluster.LabCluster, user: tenant.Tenant
) -> None:
    cluster.kubectl.apply_files(STATIC, user.name)
    claims = {"nas-pvc": "k8s", "pvc-nas": "csi"}
    volumes = [
        {"name": path, "persistentVolumeClaim": {"claimName": claim}}
        for claim, path in claims.items()
    ]
    mounts = [{"name": path, "mountPath": f"/{path}"} for path in claims.values()]
    user.run("pod", volumes=volumes, container={"volumeMounts": mounts})

    told = shell(user, "pod", "for d in k8s csi; do echo $d >/$d/file; done; cat /proc/mounts")
    rows = {row.split()[1]: row.split() for row in told.splitlines()}
    for path in claims.values():
        source, _, kind, options, *_ = rows[f"/{path}"]
        assert (source, kind) == (f"{nas_cloud.DOMAIN}:/{path}", "nfs")
        assert {"vers=3", "nolock", "proto=tcp", "hard"} <= set(options.split(","))
        assert (cluster.cloud.tree() / path / "file").read_text() == f"{path}\n"

    user.delete("pod", "pod")
    user.kubectl("delete", "-f", str(STATIC), "--timeout=600s")
    # They were Retained: the data stays.
    assert (cluster.cloud.tree() / "k8s/file").read_text() == "k8s\n"


def test_pods_share_a_directory_of_a_class_and_it_goes_with_its_claim(
    cluster: lab_cluster.LabCluster, user: tenant.Tenant, objects: list[dict[str, Any]]
) -> None:
    # The class is that of the existing driver's examples; only the server is ours.
    made = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "alicloud-nas"},
        "mountOptions": ["nolock,tcp,noresvport", "vers=3"],
        "parameters": {
            "volumeAs": "subpath",
            "server": f"{nas_cloud.DOMAIN}:/nasroot1/",
            "mode": "755",
            "archiveOnDelete": "false",
        },
        "provisioner": NAS,
        "reclaimPolicy": "Delete",
    }
    cluster.kubectl.apply(made)
    objects.append(made)
    user.claim("files", "20Gi", storage_class="alicloud-nas", access="ReadWriteMany")
    user.user_of("files", "writer")
    user.user_of("files", "reader")
    written = shell(user, "writer", WRITE)
    assert shell(user, "reader", READ) == written
    shell(user, "reader", "echo seen >/data/answer")
    assert shell(user, "writer", "cat /data/answer") == "seen\n"
    volume = user.volume_of("files")
    directory = cluster.cloud.tree() / "nasroot1" / volume["metadata"]["name"]
    assert (directory / "answer").read_text() == "seen\n"

    for pod in ("writer", "reader"):
        user.delete("pod", pod)
    user.delete("pvc", "files")
    kubectl.wait_until(
        "the directory is gone", lambda: not directory.exists(), SHORT_S * cluster.patience
    )


def snapshot_class(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshotClass",
        "metadata": {"name": name},
        "driver": LOCAL,
        "deletionPolicy": "Delete",
        "parameters": {"csi.aliyun.com/snapshot-initial-size": "32Mi"},
    }


def snapshot(name: str, claim: str, of_class: str) -> dict[str, Any]:
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": name},
        "spec": {
            "volumeSnapshotClassName": of_class,
            "source": {"persistentVolumeClaimName": claim},
        },
    }


def test_an_lvm_volume_through_its_life(
    cluster: lab_cluster.LabCluster,
    user: tenant.Tenant,
    group: volume_group.VolumeGroup,
    objects: list[dict[str, Any]],
) -> None:
    user.claim("data", "64Mi", storage_class=LVM_CLASS)
    user.user_of("data", "first")
    written = shell(user, "first", WRITE)
    volume = user.volume_of("data")
    name = volume["metadata"]["name"]
    (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert [row["values"] for row in term["matchExpressions"]] == [list(cluster.nodes)]
    assert group.report(name, "lv_size,segtype").split() == [str(64 << 20), "striped"]
    before_mib = size_mib(user, "first")

    # It grows while a pod uses it.
    user.claim("data", "128Mi", storage_class=LVM_CLASS)
    user.wait("pvc", "data", "jsonpath={.status.capacity.storage}=128Mi")
    assert size_mib(user, "first") > 1.8 * before_mib
    assert user.get("pod", "first")["status"]["containerStatuses"][0]["restartCount"] == 0
    assert group.report(name, "lv_size") == str(128 << 20)

    # A snapshot has what was there, and a volume of it too.
    made = snapshot_class(f"{user.name}-lvm")
    cluster.kubectl.apply(made)
    objects.append(made)
    user.apply(snapshot("cut", "data", made["metadata"]["name"]))
    user.wait("volumesnapshot", "cut", "jsonpath={.status.readyToUse}=true")
    shell(user, "first", "rm /data/busybox && sync")
    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "cut"}
    user.claim("restored", "128Mi", storage_class=LVM_CLASS, source=source)
    user.user_of("restored", "second")
    assert shell(user, "second", READ) == written
    assert "busybox" not in shell(user, "first", "ls /data")

    # All of it goes.
    for kind, each in (
        ("pod", "second"),
        ("pod", "first"),
        ("pvc", "restored"),
        ("volumesnapshot", "cut"),
        ("pvc", "data"),
    ):
        user.delete(kind, each)
    kubectl.wait_until("the group is empty", lambda: is_empty(group), SHORT_S * cluster.patience)


def is_empty(group: volume_group.VolumeGroup) -> bool:
    return machine.run("vgs", "--noheadings", "-o", "lv_count", group.name).strip() == "0"
