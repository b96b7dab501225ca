"""The sidecars of Kubernetes and our controllers work with the permissions that the chart grants.

Stock sidecars with the chart's own arguments, tokens of its accounts, and a real API server that
enforces its roles. Nothing else of a cluster runs: what a controller manager would do, tests do.
"""

import dataclasses
import json
import pathlib
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.support import api_server, chart, processes
from tests.support.cluster import kubectl as cluster_kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

DISK = "diskplugin.csi.alibabacloud.com"
LOCAL_DRIVER = "localplugin.csi.alibabacloud.com"
ZONE = "topology.diskplugin.csi.alibabacloud.com/zone"
LIMIT_S = 40.0
CENTRAL, LOCAL = "alicloud-csi-provisioner", "alicloud-csi-local"
SNAPSHOTS = "snapshot-controller"


@dataclasses.dataclass
class Cluster:
    """What runs, and how it is talked to."""

    kubernetes: api_server.ApiServer
    rig: processes.Rig
    directory: pathlib.Path
    running: list[processes.Process] = dataclasses.field(default_factory=list)

    @property
    def kubectl(self) -> cluster_kubectl.Kubectl:
        return self.kubernetes.kubectl

    def kubeconfig(self, account: str) -> pathlib.Path:
        """A file that makes its user a service account of the chart."""
        path = self.directory / f"{account}.kubeconfig"
        told = json.loads(self.kubernetes.kubeconfig(api_server.ADMIN).read_text())
        token = self.kubectl("-n", chart.NAMESPACE, "create", "token", account).strip()
        told["users"][0]["user"] = {"token": token}
        path.write_text(json.dumps(told))
        return path

    def start_controller(self, name: str, account: str) -> None:
        environment = {"KUBECONFIG": str(self.kubeconfig(account)), "KUBE_NODE_NAME": "node-1"}
        self.rig.start_driver(name, node=False, **environment, **processes.HURRY)

    def start_local(self, name: str, account: str) -> None:
        """The node-local driver, which makes files; of LVM it has no disk."""
        files = self.directory / "files"
        files.mkdir()
        environment = {
            "KUBECONFIG": str(self.kubeconfig(account)),
            "LOCAL_SPARSE_TEMPLATE_FILEDIR": str(files),
            "LVM_DEVICES": "/dev/disk/by-id/none",
        }
        self.rig.start_driver(name, driver="local", node_id="node-1", **environment)

    def start_sidecar(self, container: chart.Container, account: str, plugin: str) -> None:
        """With its arguments of the chart, but for where the socket and the API are."""
        changed = ("--csi-address", "--http-endpoint")
        words = [word for word in container.arguments if not word.startswith(changed)]
        words += [f"--kubeconfig={self.kubeconfig(account)}"]
        if "--leader-election" in words:
            words += [f"--leader-election-namespace={chart.NAMESPACE}"]
        if container.program != "snapshot-controller":
            words += [f"--csi-address={self.rig.socket(plugin)}"]
        environment = {
            **self.rig.environment(),
            "NODE_NAME": "node-1",
            "POD_NAME": "csi-local-1",
            "NAMESPACE": chart.NAMESPACE,
        }
        argv = [str(chart.programs() / container.program), *words]
        log = self.directory / f"{account}-{container.name}.log"
        made = processes.Process(argv, log, environment)
        self.running.append(made)
        made.start("", LIMIT_S)

    def stop(self) -> None:
        for each in self.running:
            each.kill9()
        self.running.clear()

    def wait(self, kind: str, name: str, condition: str, namespace: str = "default") -> None:
        try:
            self.kubectl.wait(kind, name, condition, namespace=namespace, limit_s=LIMIT_S)
        except cluster_kubectl.Refused as late:
            raise AssertionError(f"{late}\n{self.complaints()}") from late

    def complaints(self) -> str:
        """Lines of all logs that tell of an error."""
        return "\n".join(
            f"{log.name}: {line}"
            for log in sorted(self.directory.glob("*.log"))
            for line in log.read_text(errors="replace").splitlines()
            if line.startswith("E") or "forbidden" in line.lower()
        )

    def denied(self) -> list[str]:
        """What somebody asked for and may not do."""
        logs = [*self.directory.glob("*.log"), *self.rig.dir.glob("*.log")]
        lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
        return [line for line in lines if "forbidden" in line.lower()]

    def patch(self, kind: str, name: str, change: Any, *words: str) -> None:
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(change), *words)


@pytest.fixture
def cluster(
    kubernetes: api_server.ApiServer, tmp_path: pathlib.Path, everything: list[chart.Object]
) -> Iterator[Cluster]:
    kinds = ("ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
    kinds += ("CSIDriver", "StorageClass", "VolumeSnapshotClass", "DaemonSet")
    kubernetes.kubectl.apply(*chart.of_kind(everything, *kinds))
    join(kubernetes)
    rig = processes.Rig(hardware="none", time_scale=0.0)
    made = Cluster(kubernetes, rig, tmp_path)
    try:
        rig.start_sim()
        yield made
    finally:
        made.stop()
        rig.close()


def sidecars(objects: Sequence[chart.Object], workload: str, prefix: str) -> list[chart.Container]:
    found = [
        each
        for each in chart.containers(objects)
        if each.workload == workload and each.name.startswith(prefix)
    ]
    return [each for each in found if each.program in {*chart.SIDECARS, "snapshot-controller"}]


def claim(
    name: str,
    storage_class: str = "alicloud-disk-essd",
    annotations: Mapping[str, str] = types.MappingProxyType({}),
    **spec: Any,
) -> chart.Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": "default",
            # By a controller manager, which asks for a volume thereby.
            "annotations": {"volume.kubernetes.io/storage-provisioner": DISK, **annotations},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "30Gi" if "dataSource" in spec else "20Gi"}},
            **spec,
        },
    }


def volume_of(cluster: Cluster, name: str, prefix: str = "disk") -> str:
    """Name of the PersistentVolume that was made for a claim."""
    volume = f"{prefix}-{cluster.kubectl.get('pvc', name)['metadata']['uid']}"
    cluster.wait("pv", volume, "jsonpath={.metadata.name}")
    return volume


def bind(cluster: Cluster, name: str) -> str:
    """As a controller manager does it."""
    volume = volume_of(cluster, name)
    bound = {"phase": "Bound", "capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"]}
    cluster.patch("pvc", name, {"spec": {"volumeName": volume}})
    cluster.patch("pvc", name, {"status": bound}, "--subresource=status")
    cluster.patch("pv", volume, {"status": {"phase": "Bound"}}, "--subresource=status")
    return volume


def join(kubernetes: api_server.ApiServer) -> None:
    """A node, as kubelet tells of it."""
    told = {"name": DISK, "nodeID": processes.NODE_1, "topologyKeys": [ZONE]}
    kubernetes.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "node-1", "labels": {ZONE: "cn-hangzhou-k"}},
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSINode",
            "metadata": {"name": "node-1"},
            "spec": {"drivers": [told]},
        },
    )


def attach(cluster: Cluster, volume: str) -> None:
    cluster.kubectl.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttachment",
            "metadata": {"name": "attached"},
            "spec": {
                "attacher": DISK,
                "nodeName": "node-1",
                "source": {"persistentVolumeName": volume},
            },
        },
    )
    cluster.wait("volumeattachment", "attached", "jsonpath={.status.attached}=true")


def snapshot(cluster: Cluster, source: str) -> None:
    cluster.kubectl.apply(
        {
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshot",
            "metadata": {"name": "taken", "namespace": "default"},
            "spec": {
                "volumeSnapshotClassName": "alibabacloud-disk-snapshot",
                "source": {"persistentVolumeClaimName": source},
            },
        }
    )
    cluster.wait("volumesnapshot", "taken", "jsonpath={.status.readyToUse}=true")


def modify(cluster: Cluster, name: str) -> None:
    cluster.kubectl.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttributesClass",
            "metadata": {"name": "tagged"},
            "driverName": DISK,
            "parameters": {"diskTags/team": "a"},
        }
    )
    cluster.patch("pvc", name, {"spec": {"volumeAttributesClassName": "tagged"}})
    cluster.wait("pvc", name, "jsonpath={.status.currentVolumeAttributesClassName}=tagged")


def test_a_volume_goes_through_its_life(cluster: Cluster, everything: list[chart.Object]) -> None:
    cluster.start_controller("csi", CENTRAL)
    for each in sidecars(everything, "csi-provisioner", "disk-"):
        cluster.start_sidecar(each, CENTRAL, "csi")
    for each in sidecars(everything, "snapshot-controller", ""):
        cluster.start_sidecar(each, SNAPSHOTS, "")

    cluster.kubectl.apply(claim("data"))
    volume = bind(cluster, "data")
    attach(cluster, volume)
    cluster.patch("pvc", "data", {"spec": {"resources": {"requests": {"storage": "30Gi"}}}})
    cluster.wait("pv", volume, "jsonpath={.spec.capacity.storage}=30Gi")
    modify(cluster, "data")
    snapshot(cluster, "data")
    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "taken"}
    cluster.kubectl.apply(claim("restored", dataSource=source))
    bind(cluster, "restored")
    cluster.kubectl("delete", "volumesnapshot", "taken", "--timeout=40s")
    cluster.kubectl("delete", "volumeattachment", "attached", "--timeout=40s")

    leases = {each["metadata"]["name"] for each in cluster.kubectl.list("leases")}
    assert {
        "diskplugin-csi-alibabacloud-com",
        "external-attacher-leader-diskplugin-csi-alibabacloud-com",
        "external-resizer-diskplugin-csi-alibabacloud-com",
        "external-snapshotter-leader-diskplugin-csi-alibabacloud-com",
        "snapshot-controller-leader",
    } <= leases
    assert cluster.denied() == []


def test_each_node_makes_its_own_volumes_and_tells_its_room(
    cluster: Cluster, everything: list[chart.Object]
) -> None:
    cluster.start_local("local", LOCAL)
    container = {"name": "csi-plugin", "image": "none"}
    cluster.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "csi-local-1", "namespace": chart.NAMESPACE},
            "spec": {"serviceAccountName": LOCAL, "containers": [container]},
        }
    )
    cluster.kubectl.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "local-file"},
            "provisioner": LOCAL_DRIVER,
            "parameters": {"volumeType": "LoopDevice"},
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    )
    for each in sidecars(everything, "csi-local", "local-"):
        cluster.start_sidecar(each, LOCAL, "local")

    chosen = {
        "volume.kubernetes.io/storage-provisioner": LOCAL_DRIVER,
        "volume.kubernetes.io/selected-node": "node-1",
    }
    room = {"requests": {"storage": "16Mi"}}
    cluster.kubectl.apply(claim("here", "local-file", chosen, resources=room))
    assert volume_of(cluster, "here", "pvc")
    lease = "external-resizer-localplugin-csi-alibabacloud-com"
    cluster.wait("lease", lease, "jsonpath={.spec.holderIdentity}", chart.NAMESPACE)
    cluster_kubectl.wait_until(
        "the node's room is told", lambda: bool(cluster.kubectl.list("csistoragecapacities")), 40.0
    )

    told = cluster.kubectl.list("csistoragecapacities")
    assert {each["metadata"]["namespace"] for each in told} == {chart.NAMESPACE}
    pod = cluster.kubectl.get("pod", "csi-local-1", chart.NAMESPACE)
    owners = {
        reference["uid"] for each in told for reference in each["metadata"]["ownerReferences"]
    }
    assert owners == {pod["metadata"]["uid"]}
    assert cluster.denied() == []
