"""docs/guides/move-from-the-go-plug-ins.md: its values and commands, on a real API server.

The objects that stand for the existing plug-ins have their names, selectors and shared roles.
Source: spec/csi-driver.md 7.3 and 7.4, spec/terway.md 1.2.
"""

import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support import api_server, chart, processes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

GUIDE = (processes.ROOT / "docs/guides/move-from-the-go-plug-ins.md").read_text()
MOVED = "alibaba-cloud-k8s/moved"
NAMESPACE = "kube-system"


def values() -> dict[str, Any]:
    """The guide's `move.yaml`."""
    (block,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    told: dict[str, Any] = yaml.safe_load(block)
    return told


def daemon_set(name: str, account: str) -> chart.Object:
    terms = [{"matchExpressions": [{"key": "type", "operator": "NotIn", "values": ["x"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "serviceAccountName": account,
                    "affinity": {"nodeAffinity": required},
                    "containers": [{"name": name, "image": "none"}],
                },
            },
        },
    }


def existing() -> list[chart.Object]:
    """What the Go plug-ins have and the chart names too."""
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    name = "alicloud-csi-node"
    deployment = daemon_set("csi-provisioner", "alicloud-csi-provisioner")
    subject = {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}
    return [
        daemon_set("csi-plugin", name),
        daemon_set("terway-eniip", "terway"),
        {**deployment, "kind": "Deployment"},
        *(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": each, "namespace": NAMESPACE},
            }
            for each in (name, "alicloud-csi-provisioner", "terway")
        ),
        {
            **role,
            "metadata": {"name": name},
            "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]}],
        },
        {
            **role,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": name,
            },
            "subjects": [subject],
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": "ossplugin.csi.alibabacloud.com"},
            "spec": {"attachRequired": True, "podInfoOnMount": True},
        },
    ]


@pytest.fixture
def before(kubernetes: api_server.ApiServer) -> Iterator[api_server.ApiServer]:
    """A cluster that runs the existing plug-ins."""
    kubernetes.kubectl.apply(*existing())
    yield kubernetes
    items = {"apiVersion": "v1", "kind": "List", "items": existing()}
    kubernetes.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=json.dumps(items))


def node_may_have(workload: chart.Object, labels: dict[str, str]) -> bool:
    """Whether a node with *labels* gets a pod of *workload*, as far as the guide's label goes."""
    pod = workload["spec"]["template"]["spec"]
    wanted = pod.get("nodeSelector", {}).get(MOVED)
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    kept_off = {
        each["key"]
        for each in terms["nodeSelectorTerms"][0]["matchExpressions"]
        if each["operator"] == "DoesNotExist"
    }
    return labels.get(MOVED) == wanted if wanted else MOVED not in kept_off & labels.keys()


def test_a_cluster_is_moved_node_by_node_and_its_controllers_last(
    before: api_server.ApiServer, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "move.yaml"
    file.write_text(yaml.safe_dump(values()))
    where = ("--kubeconfig", str(before.kubeconfig(api_server.ADMIN)), "--namespace", NAMESPACE)
    words = ("moved", str(chart.CHART), *where, "--take-ownership", "--values", str(file))
    (patch,) = re.findall(r"--type=json -p '(.*?)'", GUIDE, re.DOTALL)

    for each in ("csi-plugin", "terway-eniip"):
        before.kubectl("-n", NAMESPACE, "patch", "daemonset", each, "--type=json", "-p", patch)
    chart.helm("install", *words)
    found = json.loads(before.kubectl("-n", NAMESPACE, "get", "daemonsets", "-o", "json"))
    before.kubectl("-n", NAMESPACE, "delete", "deployment", "csi-provisioner")
    chart.helm("upgrade", *words, "--set", "controller.enabled=true")
    deployment = before.kubectl(
        *("-n", NAMESPACE, "get", "deployment", "csi-provisioner"),
        *("-o", "jsonpath={.metadata.labels.app\\.kubernetes\\.io/instance}"),
    )
    chart.helm("uninstall", "moved", *where)

    old, new = {"csi-plugin", "terway-eniip"}, {"csi-plugin-py", "csi-mounter", "terway-py"}
    by_name = {each["metadata"]["name"]: each for each in found["items"]}
    assert by_name.keys() == old | new
    assert {name for name, each in by_name.items() if node_may_have(each, {})} == old
    assert {name for name, each in by_name.items() if node_may_have(each, {MOVED: "true"})} == new
    assert deployment == "moved"


def test_the_go_drivers_nodes_keep_their_rights_under_another_name(
    before: api_server.ApiServer, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "move.yaml"
    file.write_text(yaml.safe_dump(values()))
    where = ("--kubeconfig", str(before.kubeconfig(api_server.ADMIN)), "--namespace", NAMESPACE)
    account = "system:serviceaccount:kube-system:alicloud-csi-node"
    role = json.loads(before.kubectl("get", "clusterrole", "alicloud-csi-node", "-o", "json"))
    name = re.findall(r'metadata: \{name: "(.*?)"\}, rules', GUIDE)[0]
    (binding,) = re.findall(r"kubectl (create clusterrolebinding .*)", GUIDE)

    before.kubectl.apply({**role, "metadata": {"name": name}})
    before.kubectl(*binding.split())
    chart.helm(
        "install", "moved", str(chart.CHART), *where, "--take-ownership", "--values", str(file)
    )
    told = before.kubectl("auth", "can-i", "patch", "nodes", "--as", account)
    chart.helm("uninstall", "moved", *where)
    before.kubectl("delete", f"clusterrolebinding/{name}", f"clusterrole/{name}")

    assert told.split()[-1] == "yes"


def test_the_guides_values_name_the_secrets_of_controllers_and_nodes() -> None:
    given = {**values(), "controller": {"enabled": True}}
    secrets = {}
    for each in chart.of_kind(chart.render(given), "Deployment", "DaemonSet"):
        for volume in each["spec"]["template"]["spec"]["volumes"]:
            if volume["name"] == "addon-token":
                secrets[each["metadata"]["name"]] = volume["secret"]["secretName"]

    assert secrets == {
        "csi-provisioner": "addon.aliyuncsmanagedcsiprovisionerrole.token",
        "csi-plugin-py": "addon.aliyuncsmanagedcsipluginrole.token",
        "terway-py": "addon.network.token",
    }


@pytest.mark.parametrize(
    ("cloud", "network"),
    [
        ({}, "vpc"),
        ({"networkType": "public"}, "public"),
        ({"metadataService": False, "regionId": "cn-hangzhou"}, "public"),
        ({"metadataService": False, "regionId": "cn-hangzhou", "networkType": "vpc"}, "vpc"),
    ],
    ids=["on ECS", "chosen", "off ECS", "off ECS, chosen"],
)
def test_nodes_of_the_cloud_use_endpoints_of_the_vpc(cloud: dict[str, Any], network: str) -> None:
    """A cluster without a way out has no others, as with the existing driver's chart."""
    made = chart.render({"cloud": cloud, "ipamd": {"enabled": True}})

    told = {
        each.environment["ALIBABA_CLOUD_NETWORK_TYPE"]
        for each in chart.containers(made)
        if each.program in {"csi-plugin", "ipamd"}
    }
    assert told == {network}
