"""A real API server takes every object of the chart, and grants what the roles say."""

import json
import pathlib

import pytest
import yaml

from tests.support import api_server, chart
from tests.support.cluster import kubectl as cluster_kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ACCOUNTS = "system:serviceaccount:kube-system"
# Objects, verbs and who may; "no" for what a program must not be able to do.
QUESTIONS = [
    ("alicloud-csi-node", "get", "nodes", "", "yes"),
    ("alicloud-csi-node", "list", "nodes", "", "no"),
    ("alicloud-csi-node", "patch", "nodes", "", "no"),
    ("alicloud-csi-node", "get", "secrets", "kube-system", "no"),
    ("alicloud-csi-node", "get", "configmaps/ack-cluster-profile", "kube-system", "yes"),
    ("alicloud-csi-node", "get", "configmaps/other", "kube-system", "no"),
    ("alicloud-csi-node", "create", "events", "default", "yes"),
    ("alicloud-csi-provisioner", "create", "persistentvolumes", "", "yes"),
    ("alicloud-csi-provisioner", "get", "secrets", "default", "no"),
    ("alicloud-csi-provisioner", "patch", "nodes", "", "no"),
    ("alicloud-csi-provisioner", "create", "leases.coordination.k8s.io", "kube-system", "yes"),
    (
        *("alicloud-csi-provisioner", "update"),
        "leases.coordination.k8s.io/external-attacher-leader-diskplugin-csi-alibabacloud-com",
        *("kube-system", "yes"),
    ),
    (
        *("alicloud-csi-provisioner", "update", "leases.coordination.k8s.io/kube-scheduler"),
        *("kube-system", "no"),
    ),
    # Whether another volume needs a channel (CPFS).
    ("alicloud-csi-provisioner", "list", "volumeattachments.storage.k8s.io", "", "yes"),
    ("alicloud-csi-provisioner", "list", "csinodes.storage.k8s.io", "", "yes"),
    ("alicloud-csi-provisioner", "list", "persistentvolumes", "", "yes"),
    ("alicloud-csi-local", "create", "csistoragecapacities.storage.k8s.io", "kube-system", "yes"),
    ("alicloud-csi-local", "create", "csistoragecapacities.storage.k8s.io", "default", "no"),
    ("alicloud-csi-local", "list", "volumeattachments.storage.k8s.io", "", "no"),
    ("alicloud-csi-local", "get", "volumeattributesclasses.storage.k8s.io", "", "yes"),
    ("alicloud-csi-local", "watch", "volumeattributesclasses.storage.k8s.io", "", "no"),
    ("snapshot-controller", "create", "volumesnapshotcontents.snapshot.storage.k8s.io", "", "yes"),
    ("csi-mounter", "get", "nodes", "", "no"),
    ("terway", "watch", "pods", "", "yes"),
    ("terway", "delete", "pods", "", "no"),
    ("terway", "get", "configmaps", "kube-system", "no"),
]


@pytest.mark.parametrize("name", chart.VARIANTS)
def test_the_api_server_takes_every_object(kubernetes: api_server.ApiServer, name: str) -> None:
    values = chart.VARIANTS[name]

    told = kubernetes.kubectl(
        *("apply", "--dry-run=server", "--validate=strict", "-f", "-"), stdin=chart.template(values)
    )

    lines = told.splitlines()
    assert len(lines) == len(chart.render(values))
    assert all(line.endswith("(server dry run)") for line in lines)


def test_roles_grant_what_is_needed_and_no_more(kubernetes: api_server.ApiServer) -> None:
    objects = [each for each in chart.render(chart.EVERYTHING) if "Role" in each["kind"]]
    kubernetes.kubectl.apply(*objects)

    told = {}
    for account, verb, resource, namespace, _ in QUESTIONS:
        words = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        try:
            answer = kubernetes.kubectl(
                *("auth", "can-i", verb, resource, *words, "--as", f"{ACCOUNTS}:{account}")
            )
        except cluster_kubectl.Refused as refused:
            answer = str(refused)
        told[account, verb, resource, namespace] = "yes" if "yes" in answer.split() else "no"
    items = {"apiVersion": "v1", "kind": "List", "items": objects}
    kubernetes.kubectl("delete", "-f", "-", stdin=json.dumps(items))

    assert told == {tuple(question[:-1]): question[-1] for question in QUESTIONS}


class Release:
    """A release of the chart on a real API server."""

    def __init__(
        self, kubernetes: api_server.ApiServer, namespace: str, name: str = "ours"
    ) -> None:
        self._kubernetes = kubernetes
        self._name = name
        self._where = ("--kubeconfig", str(kubernetes.kubeconfig(api_server.ADMIN)))
        self._where += ("--namespace", namespace)

    def helm(self, verb: str, *words: str) -> str:
        """`helm verb` for this release."""
        source = [] if verb == "uninstall" else [str(chart.CHART)]
        return chart.helm(verb, self._name, *source, *self._where, *words)

    @property
    def objects(self) -> set[str]:
        """Names of what is there, with their kinds."""
        kinds = "csidrivers,storageclasses,clusterroles,clusterrolebindings,roles,rolebindings,"
        kinds += "daemonsets,deployments,configmaps,serviceaccounts,poddisruptionbudgets"
        label = f"app.kubernetes.io/instance={self._name}"
        return set(self._kubernetes.kubectl("get", kinds, "-A", "-o", "name", "-l", label).split())


def test_the_chart_is_installed_changed_and_taken_away(
    kubernetes: api_server.ApiServer, tmp_path: pathlib.Path
) -> None:
    release = Release(kubernetes, "storage")
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(dict(chart.EVERYTHING)))

    told = release.helm("install", "--create-namespace", "--values", str(values))
    all_of_it = release.objects
    release.helm("upgrade", "--set", "csi.oss.enabled=false")
    less = release.objects
    release.helm("uninstall")

    notes = told.split("NOTES:")[1]
    for word in ("csi-provisioner", "csi-plugin", "csi-mounter", "csi-local", "terway-eniip"):
        assert word in notes
    assert "images.registry is empty" in notes
    assert "\n\n\n" not in notes
    assert less < all_of_it
    assert "daemonset.apps/csi-mounter" in all_of_it - less
    assert release.objects == set()


# As the existing driver's chart makes them. Source: spec/csi-driver.md 7.4.
EXISTING: list[chart.Object] = [
    {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": f"{name}plugin.csi.alibabacloud.com"},
        "spec": {"attachRequired": attach, "podInfoOnMount": True},
    }
    for name, attach in (("disk", True), ("nas", False), ("oss", True))
]
EXISTING += [
    {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "alicloud-disk-essd"},
        "provisioner": "diskplugin.csi.alibabacloud.com",
        "parameters": {"type": "cloud_essd"},
        "reclaimPolicy": "Delete",
        "allowVolumeExpansion": True,
    }
]


def test_objects_of_the_existing_drivers_chart_are_taken_over(
    kubernetes: api_server.ApiServer,
) -> None:
    release = Release(kubernetes, "kube-system")
    kubernetes.kubectl.apply(*EXISTING)

    with pytest.raises(chart.Refused) as refused:
        release.helm("install", "--take-ownership")
    # What a failed installation left.
    release.helm("uninstall")
    kubernetes.kubectl.apply(*EXISTING)
    release.helm("install", "--take-ownership", "--set", "csi.oss.attachRequired=true")
    taken = release.objects
    release.helm("uninstall")

    assert '"ossplugin.csi.alibabacloud.com" is invalid' in str(refused.value)
    assert "field is immutable" in str(refused.value)
    assert "storageclass.storage.k8s.io/alicloud-disk-essd" in taken
    assert {"csidriver.storage.k8s.io/" + each["metadata"]["name"] for each in EXISTING[:3]} < taken


def test_the_existing_local_drivers_object_must_go_before(
    kubernetes: api_server.ApiServer,
) -> None:
    name = "localplugin.csi.alibabacloud.com"
    spec = {"attachRequired": False, "podInfoOnMount": True}
    api = {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver"}
    old = {**api, "metadata": {"name": name}, "spec": spec}
    release = Release(kubernetes, "kube-system")
    words = ("install", "--take-ownership")
    words += ("--set", "csi.lvm.enabled=true,csi.lvm.devices={/dev/vdb}")
    kubernetes.kubectl.apply(old)

    with pytest.raises(chart.Refused) as refused:
        release.helm(*words)
    release.helm("uninstall")
    kubernetes.kubectl.apply(old)
    kubernetes.kubectl("delete", "csidriver", name)
    release.helm(*words)
    taken = release.objects
    release.helm("uninstall")

    assert f'"{name}" is invalid: spec.volumeLifecycleModes' in str(refused.value)
    assert "field is immutable" in str(refused.value)
    assert f"csidriver.storage.k8s.io/{name}" in taken


def test_a_release_that_helm_forgot_takes_nothing_along(
    kubernetes: api_server.ApiServer,
) -> None:
    before = Release(kubernetes, "kube-system", "before")
    ours = Release(kubernetes, "kube-system")
    before.helm("install", "--set", "controller.enabled=false,node.enabled=false")
    old = before.objects

    ours.helm("install", "--take-ownership", "--set", "snapshots.controller.enabled=false")
    kubernetes.kubectl("-n", "kube-system", "delete", "secret", "-l", "owner=helm,name=before")
    with pytest.raises(chart.Refused, match="not found"):
        before.helm("uninstall")
    new = ours.objects
    ours.helm("uninstall")

    shared = {name for name in old if name.startswith(("csidriver.", "storageclass."))}
    assert len(shared) == 7
    assert shared <= new
