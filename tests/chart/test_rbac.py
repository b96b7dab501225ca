"""Accounts may do what their programs do, and no more."""

import re
from collections.abc import Iterator, Sequence

from tests.chart.conftest import Render
from tests.support import chart, processes

FLAGS = (processes.ROOT / "docs/reference/flags.md").read_text()
IPAMD = (processes.ROOT / "docs/reference/ipamd.md").read_text()
ROW = re.compile(r"^\| (.+?) \| (.+?) \| (.+?) \| .+ \|$", re.MULTILINE)
VERBS = {"get", "list", "watch", "create", "update", "patch", "delete"}
Grant = tuple[str, str]
"""A resource and a verb."""


def rules(objects: Sequence[chart.Object]) -> Iterator[chart.Object]:
    for each in chart.of_kind(objects, "Role", "ClusterRole"):
        yield from each["rules"]


def grants(role: chart.Object) -> set[Grant]:
    return {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def documented(who: str) -> set[Grant]:
    """What flags.md says that our own programs do: the rows that name *who*."""
    table = FLAGS.split("What is read and written, and by whom:")[1].split("\n\n")[1]
    found = set()
    for objects, verbs, by in ROW.findall(table)[1:]:
        if who in by:
            for resource in re.findall(r"(?<!in )`([a-z]+)`", objects):
                found |= {(resource, verb) for verb in VERBS & set(re.findall("[a-z]+", verbs))}
    return found


def test_nothing_is_granted_by_a_star(objects: list[chart.Object]) -> None:
    for rule in rules(objects):
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert set(rule["verbs"]) <= VERBS


def test_a_node_may_do_what_the_node_does_and_no_more(everything: list[chart.Object]) -> None:
    cluster = chart.one(everything, "ClusterRole", "alicloud-csi-node")
    profile = chart.one(everything, "Role", "alicloud-csi-profile")
    secrets = chart.one(everything, "Role", "alicloud-csi-node-secrets")

    assert grants(cluster) | grants(profile) | grants(secrets) == documented("node")


def test_a_controller_may_do_what_it_does(everything: list[chart.Object]) -> None:
    cluster = chart.one(everything, "ClusterRole", "alicloud-csi-provisioner")
    profile = chart.one(everything, "Role", "alicloud-csi-profile")

    assert grants(cluster) | grants(profile) >= documented("controller")


def test_ipamd_may_do_what_it_does_and_no_more(everything: list[chart.Object]) -> None:
    text = IPAMD.split("### Permissions")[1].split("###")[0].split(".")[0]
    told = {
        (resource, verb)
        for resource, verbs in re.findall(r"`([a-z/]+)` ([a-z, ]+)", text)
        for verb in verbs.split(", ")
    }

    assert ("pods", "watch") in told
    assert grants(chart.one(everything, "ClusterRole", "terway")) == told


def test_ipamd_may_read_the_configurations_that_nodes_may_name(render: Render) -> None:
    told = {"ipamd": {"enabled": True, "nodeConfigs": ["small-nodes"]}}

    own = chart.one(render(told), "Role", "terway")

    assert grants(own) == {("configmaps", "get")}
    assert own["rules"][0]["resourceNames"] == ["small-nodes"]
    assert own["metadata"]["namespace"] == chart.NAMESPACE


def test_ipamd_writes_no_pods_when_it_is_told_not_to(render: Render) -> None:
    told = {"ipamd": {"enabled": True, "eniConf": {"enable_patch_pod_ips": False}}}

    of_ipamd = grants(chart.one(render(told), "ClusterRole", "terway"))

    assert {verb for resource, verb in of_ipamd if resource == "pods"} == {"get", "list", "watch"}


def test_only_ipamd_writes_nodes(everything: list[chart.Object]) -> None:
    writers = {
        each["metadata"]["name"]
        for each in chart.of_kind(everything, "Role", "ClusterRole")
        for resource, verb in grants(each)
        if resource.split("/")[0] == "nodes" and verb not in {"get", "list", "watch"}
    }

    assert writers == {"terway"}


def test_nobody_may_read_every_secret(objects: list[chart.Object]) -> None:
    for rule in rules(objects):
        if {"secrets", "configmaps"} & set(rule["resources"]):
            assert rule["verbs"] == ["get"]
            assert rule["resourceNames"]


def test_secrets_are_read_only_where_they_are_named(render: Render) -> None:
    secrets = [
        {"namespace": "a", "name": "one"},
        {"namespace": "b", "name": "two"},
        {"namespace": "a", "name": "three"},
    ]

    made = render({"csi": {"oss": {"provisionerSecrets": secrets}}})

    told = {
        each["metadata"]["namespace"]: each["rules"][0]["resourceNames"]
        for each in chart.of_kind(made, "Role")
        if each["rules"][0]["resources"] == ["secrets"]
    }
    assert told == {"a": ["one", "three"], "b": ["two"]}


def test_every_role_is_bound_to_an_account_that_is_made(objects: list[chart.Object]) -> None:
    accounts = {each["metadata"]["name"] for each in chart.of_kind(objects, "ServiceAccount")}
    roles = {
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        for each in chart.of_kind(objects, "Role", "ClusterRole")
    }

    bindings = chart.of_kind(objects, "RoleBinding", "ClusterRoleBinding")
    bound = {
        (each["roleRef"]["kind"], each["metadata"].get("namespace"), each["roleRef"]["name"])
        for each in bindings
    }

    assert bound == roles
    assert {subject["name"] for each in bindings for subject in each["subjects"]} <= accounts


def test_a_program_that_asks_nothing_of_kubernetes_has_no_token(
    everything: list[chart.Object],
) -> None:
    pods = [
        each["spec"]["template"]["spec"]
        for each in chart.of_kind(everything, "DaemonSet")
        if each["spec"]["template"]["spec"]["serviceAccountName"] == "csi-mounter"
    ]

    assert [pod["automountServiceAccountToken"] for pod in pods] == [False]
