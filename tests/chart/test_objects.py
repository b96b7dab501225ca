"""What the chart makes: names, labels, pods."""

import json
import pathlib
import re

import pytest
import yaml

from core import version
from csi import driver
from tests.chart.conftest import Render
from tests.support import chart

LABELS = {
    *("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"),
    *("app.kubernetes.io/version", "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by"),
    "helm.sh/chart",
}
CLUSTER_WIDE = {"CSIDriver", "ClusterRole", "ClusterRoleBinding", "StorageClass"}
CLUSTER_WIDE |= {"VolumeSnapshotClass", "VolumeGroupSnapshotClass"}


@pytest.mark.parametrize("name", chart.VARIANTS)
def test_helm_lint_finds_nothing(name: str, tmp_path: pathlib.Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(dict(chart.VARIANTS[name])))

    told = chart.helm("lint", "--strict", str(chart.CHART), "--values", str(values))

    assert "0 chart(s) failed" in told
    assert not re.search(r"\[(WARNING|ERROR)\]", told)


def test_every_object_has_the_standard_labels(objects: list[chart.Object]) -> None:
    for each in objects:
        labels = each["metadata"]["labels"]
        assert set(labels) >= LABELS, each["metadata"]["name"]
        assert all(labels.values())


def test_no_two_objects_have_one_name(objects: list[chart.Object]) -> None:
    names = [
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        for each in objects
    ]

    assert len(names) == len(set(names))


def test_objects_are_where_their_kind_belongs(objects: list[chart.Object]) -> None:
    for each in objects:
        assert ("namespace" not in each["metadata"]) == (each["kind"] in CLUSTER_WIDE)


def test_the_charts_version_is_ours() -> None:
    about = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())

    assert about["appVersion"] == about["version"] == version.VERSION


def test_the_drivers_are_those_of_csi_plugin(everything: list[chart.Object]) -> None:
    made = {each["metadata"]["name"] for each in chart.of_kind(everything, "CSIDriver")}

    assert made == set(driver.DRIVER_MODULES)


def test_kubelet_is_told_what_each_driver_needs(everything: list[chart.Object]) -> None:
    spec = {
        each["metadata"]["name"].split("plugin.")[0]: each["spec"]
        for each in chart.of_kind(everything, "CSIDriver")
    }

    assert all(each["podInfoOnMount"] for each in spec.values())
    assert {name for name, each in spec.items() if each["attachRequired"]} == {"disk", "bmcpfs"}
    assert {name for name, each in spec.items() if each["requiresRepublish"]} == {"oss"}
    assert {name for name, each in spec.items() if each["storageCapacity"]} == {"local", "lvm"}
    assert {name for name, each in spec.items() if each["seLinuxMount"]} == {"disk"}
    assert spec["oss"]["tokenRequests"] == [
        {"audience": "sts.aliyuncs.com", "expirationSeconds": 3600}
    ]


def test_selectors_find_their_own_pods_and_no_others(everything: list[chart.Object]) -> None:
    workloads = chart.of_kind(everything, "Deployment", "DaemonSet")
    for each in workloads:
        selector = each["spec"]["selector"]["matchLabels"].items()
        found = [
            other["metadata"]["name"]
            for other in workloads
            if selector <= other["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert found == [each["metadata"]["name"]]


def test_every_account_of_a_pod_is_made(objects: list[chart.Object]) -> None:
    made = {each["metadata"]["name"] for each in chart.of_kind(objects, "ServiceAccount")}

    used = {
        each["spec"]["template"]["spec"]["serviceAccountName"]
        for each in chart.of_kind(objects, "Deployment", "DaemonSet")
    }
    assert used == made


def test_every_mount_has_its_volume_and_every_volume_is_used(objects: list[chart.Object]) -> None:
    for each in chart.of_kind(objects, "Deployment", "DaemonSet"):
        pod = each["spec"]["template"]["spec"]
        volumes = {volume["name"] for volume in pod.get("volumes") or ()}
        mounts = {
            mount["name"]
            for container in chart.containers([each])
            for mount in container.plain.get("volumeMounts") or ()
        }
        assert mounts == volumes, each["metadata"]["name"]


def test_files_of_credentials_can_be_read_by_those_who_mount_them(
    objects: list[chart.Object],
) -> None:
    for each in chart.containers(objects):
        volumes = {volume["name"]: volume for volume in each.pod.get("volumes") or ()}
        for mount in each.plain.get("volumeMounts") or ():
            volume = volumes[mount["name"]]
            files = volume.get("secret") or volume.get("projected")
            if files and each.plain["securityContext"]["runAsUser"] != 0:
                # kubelet makes them files of root.
                assert files["defaultMode"] & 0o004, (each.workload, each.name)


def test_every_container_says_what_it_takes_and_may_do(objects: list[chart.Object]) -> None:
    for each in chart.containers(objects):
        allowed = each.plain["securityContext"]
        assert allowed["readOnlyRootFilesystem"]
        assert set(each.plain["resources"]["requests"]) == {"cpu", "memory"}
        assert each.plain["imagePullPolicy"] == "IfNotPresent"
        if not allowed.get("privileged"):
            assert allowed["capabilities"] == {"drop": ["ALL"]}
            assert allowed["allowPrivilegeEscalation"] is False


def test_only_what_mounts_or_rules_the_network_is_privileged(
    everything: list[chart.Object],
) -> None:
    privileged = {
        (each.workload, each.name)
        for each in chart.containers(everything)
        if each.plain["securityContext"].get("privileged")
    }

    assert privileged == {
        ("csi-provisioner", "csi-plugin-nas"),
        ("csi-plugin", "csi-plugin"),
        ("csi-local", "csi-plugin"),
        ("csi-mounter", "csi-mounter"),
        ("terway-eniip", "terway"),
    }


def test_ports_of_a_pod_and_of_a_node_are_used_once(everything: list[chart.Object]) -> None:
    on_nodes: list[int] = []
    for each in chart.of_kind(everything, "Deployment", "DaemonSet"):
        pod = each["spec"]["template"]["spec"]
        ports = [
            port["containerPort"]
            for container in chart.containers([each])
            for port in container.plain.get("ports") or ()
        ]
        assert len(ports) == len(set(ports))
        on_nodes += ports if pod.get("hostNetwork") else []

    assert len(on_nodes) == len(set(on_nodes))


def test_sidecars_find_the_socket_of_their_driver(everything: list[chart.Object]) -> None:
    replace = "driverplugin.csi.alibabacloud.com-replace"
    for workload in ("csi-provisioner", "csi-local"):
        there = [each for each in chart.containers(everything) if each.workload == workload]
        served: dict[str, tuple[str, int]] = {}
        for each in there:
            told = dict(word.split("=", 1) for word in each.arguments if "=" in word)
            if each.program == "csi-plugin":
                for name in told["--driver"].split(","):
                    path = (
                        told["--endpoint"]
                        .removeprefix("unix://")
                        .replace(replace, driver.full_name(name))
                    )
                    served[name] = path, each.plain["securityContext"]["runAsUser"]
        asked = {
            (
                each.name.split("-")[0],
                dict(word.split("=", 1) for word in each.arguments if "=" in word)["--csi-address"],
                each.plain["securityContext"]["runAsUser"],
            )
            for each in there
            if "--csi-address" in str(each.arguments)
        }
        # The socket is its owner's alone. On nodes sidecars see kubelet's csi-plugins as /csi.
        assert asked == {
            (name, path.replace("/var/lib/kubelet/csi-plugins", "/csi"), user)
            for name, (path, user) in served.items()
        }


def test_the_mounters_clients_outlive_updates(everything: list[chart.Object]) -> None:
    mounter = chart.one(everything, "DaemonSet", "csi-mounter")
    (container,) = mounter["spec"]["template"]["spec"]["containers"]

    assert mounter["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert "livenessProbe" not in container


def test_mounts_reach_the_node_and_its_pods(everything: list[chart.Object]) -> None:
    told = {
        (each.workload, mount["mountPath"]): mount["mountPropagation"]
        for each in chart.containers(everything)
        for mount in each.plain.get("volumeMounts") or ()
        if "mountPropagation" in mount
    }

    assert told == {
        ("csi-plugin", "/var/lib/kubelet"): "Bidirectional",
        ("csi-plugin", "/run/fuse.ossfs"): "Bidirectional",
        ("csi-local", "/var/lib/kubelet"): "Bidirectional",
        ("csi-local", "/mnt/disks"): "HostToContainer",
        ("csi-local", "/mnt/more"): "HostToContainer",
        ("csi-mounter", "/run/fuse.ossfs"): "Bidirectional",
        ("terway-eniip", "/var/run/netns"): "HostToContainer",
    }


def test_whole_disks_have_their_records_on_the_node(everything: list[chart.Object]) -> None:
    pod = chart.one(everything, "DaemonSet", "csi-local")["spec"]["template"]["spec"]
    plugin = next(each for each in pod["containers"] if each["name"] == "csi-plugin")
    environment = {each["name"]: each.get("value") for each in plugin["env"]}
    mounts = {each["mountPath"]: each["name"] for each in plugin["volumeMounts"]}
    volumes = {each["name"]: each for each in pod["volumes"]}

    assert environment["LOCAL_MOUNT_POINTS"] == "/mnt/disks/*,/mnt/more/*"
    assert environment["LOCAL_DEVICES"] == "/dev/disk/by-id/virtio-*"
    path = environment["LOCAL_STATE_DIR"]
    assert volumes[mounts[path]]["hostPath"] == {"path": path, "type": "DirectoryOrCreate"}


def test_a_configuration_that_is_there_is_used_and_left_alone(render: Render) -> None:
    made = render({"ipamd": {"enabled": True, "configMap": {"create": False, "name": "mine"}}})

    daemons = chart.one(made, "DaemonSet", "terway-eniip")["spec"]["template"]
    assert chart.of_kind(made, "ConfigMap") == []
    assert {"name": "eni-config", "configMap": {"name": "mine"}} in daemons["spec"]["volumes"]
    assert "annotations" not in daemons["metadata"]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, {"ack.aliyun.com": "c1"}),
        ({"team": "net"}, {"ack.aliyun.com": "c1", "team": "net"}),
        ({"ack.aliyun.com": "mine"}, {"ack.aliyun.com": "mine"}),
    ],
)
def test_interfaces_tell_their_cluster(
    render: Render, tags: dict[str, str], expected: dict[str, str]
) -> None:
    conf = {"eni_tags": tags} if tags else {}
    made = render({"cloud": {"clusterId": "c1"}, "ipamd": {"enabled": True, "eniConf": conf}})

    (config,) = chart.of_kind(made, "ConfigMap")
    assert json.loads(config["data"]["eni_conf"])["eni_tags"] == expected


def test_the_registry_stands_before_every_image(render: Render) -> None:
    made = render({**chart.EVERYTHING, "images": {"registry": "registry.example/mirror/"}})

    for each in chart.containers(made):
        assert re.fullmatch(r"registry\.example/mirror/[a-z/0-9-]+:v?[0-9.]+", each.plain["image"])


def test_an_image_can_be_pinned_by_its_digest(render: Render) -> None:
    digest = f"sha256:{'0a' * 32}"
    images = {"provisioner": {"tag": f"v6.4.0@{digest}"}, "registry": "registry.example"}

    made = render({"images": images})

    used = {each.plain["image"] for each in chart.containers(made)}
    assert f"registry.example/sig-storage/csi-provisioner:v6.4.0@{digest}" in used


@pytest.mark.parametrize("name", ["123", "1e3", "true", "null"])
def test_a_name_that_looks_like_something_else_stays_a_text(name: str) -> None:
    words = (name, str(chart.CHART), "--namespace", name, "--kube-version", chart.KUBERNETES)
    with_ipamd = ("--set", "ipamd.enabled=true,csi.lvm.enabled=true,csi.lvm.loopDir=/loop")

    made = yaml.safe_load_all(chart.helm("template", *words, *with_ipamd))

    for each in filter(None, made):
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == name
        places = {each["metadata"].get("namespace", name)}
        places |= {subject["namespace"] for subject in each.get("subjects") or ()}
        assert places <= {name, "kube-system"}, each["metadata"]["name"]


def test_pods_that_are_not_ready_do_not_keep_a_node_from_being_drained(
    everything: list[chart.Object],
) -> None:
    budgets = chart.of_kind(everything, "PodDisruptionBudget")

    assert {each["metadata"]["name"] for each in budgets} == {
        *("csi-provisioner", "snapshot-controller")
    }
    for each in budgets:
        assert each["spec"]["maxUnavailable"] == 1
        assert each["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
