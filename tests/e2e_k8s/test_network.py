"""Network of pods through the API server: annotations, kept addresses, events, conditions.

ipamd has the service account, the roles and the environment of its DaemonSet in the chart.
"""

import contextlib
import hashlib
import json
from typing import Any

from tests.support.cluster import chart, kubectl, layout, tenant
from tests.support.cluster import cluster as cluster_module

HERE, THERE = layout.NODES
EGRESS, INGRESS = "k8s.aliyun.com/egress-bandwidth", "k8s.aliyun.com/ingress-bandwidth"
SEEN_S = 30.0
ARRIVED_S = 60.0
MIB = 1024 * 1024
SIZE = 4 * MIB
BURST_MAX = 64 * 1024
"""Bytes that may pass at once, with room: a bucket holds a few packets or a millisecond."""
SERVE = f"dd if=/dev/zero of=/www/big bs=1024 count={SIZE // 1024} && httpd -f -p 80 -h /www"


def annotated(name: str, annotations: dict[str, str], script: str = "") -> dict[str, Any]:
    """A pod of `HERE`. script: "" = it sleeps."""
    command = ("/bin/sh", "-c", script) if script else tenant.SLEEP
    made = kubectl.pod(name, command, nodeName=HERE)
    made["metadata"]["annotations"] = annotations
    return made


def limits(cluster: cluster_module.Cluster, node: str, address: str) -> dict[str, int]:
    """Bytes/s of the two ends of a pod's link: "ingress" is the node's end, "egress" the pod's.

    An end without a limit is not among them.
    """
    route = json.loads(cluster.run(node, "ip", "-j", "route", "get", address))[0]
    link = route["dev"]
    peer = json.loads(cluster.run(node, "ip", "-j", "link", "show", "dev", link))[0]
    inside = ("ip", "netns", "exec", _namespace(cluster, node, peer["link_netnsid"]))
    found = {
        "ingress": cluster.run(node, "tc", "-j", "qdisc", "show", "dev", link),
        "egress": cluster.run(node, *inside, "tc", "-j", "qdisc", "show", "dev", "eth0"),
    }
    return {
        direction: row["options"]["rate"]
        for direction, told in found.items()
        for row in json.loads(told)
        if row["kind"] == "tbf"
    }


def _namespace(cluster: cluster_module.Cluster, node: str, number: int) -> str:
    """Name of the network namespace that *node* gave a number."""
    rows = json.loads(cluster.run(node, "ip", "-j", "netns", "list-id"))
    return next(str(row["name"]) for row in rows if row["nsid"] == number)


def test_a_bandwidth_annotation_limits_both_ends_of_the_pods_link(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.apply(annotated("limited", {EGRESS: "1M", INGRESS: "2M"}))
    user.apply(annotated("free", {}))
    for name in ("limited", "free"):
        user.wait("pod", name, "condition=Ready")
    address = {name: user.get("pod", name)["status"]["podIP"] for name in ("limited", "free")}

    wanted = {"egress": MIB, "ingress": 2 * MIB}
    assert limits(cluster, HERE, address["limited"]) == wanted
    assert limits(cluster, HERE, address["free"]) == {}


def test_a_pod_is_annotated_with_its_address(user: tenant.Tenant) -> None:
    user.apply(annotated("told", {}))
    user.wait("pod", "told", "condition=Ready")

    def is_told() -> bool:
        pod = user.get("pod", "told")
        annotations = pod["metadata"].get("annotations") or {}
        return bool(annotations.get("k8s.aliyun.com/pod-ips") == pod["status"]["podIP"])

    kubectl.wait_until("the pod is annotated with its address", is_told, SEEN_S)


def test_what_a_limited_pod_sends_and_gets_arrives_and_takes_as_long_as_its_limits_say(
    user: tenant.Tenant,
) -> None:
    user.apply(annotated("limited", {EGRESS: "1M", INGRESS: "2M"}, SERVE))
    user.run("other", ("/bin/sh", "-c", SERVE), nodeName=THERE)
    user.wait("pod", "limited", "condition=Ready")
    for receiver, sender, limit in (("other", "limited", 1), ("limited", "other", 2)):
        address = user.get("pod", sender)["status"]["podIP"]
        # Load makes it longer, never shorter.
        least_s = (SIZE - BURST_MAX) / (limit * MIB)
        assert fetch_s(user, receiver, f"http://{address}/big") >= least_s


def fetch_s(user: tenant.Tenant, pod: str, url: str) -> float:
    """Seconds in which *pod* gets what `SERVE` serves, once all of it arrives."""
    wanted = hashlib.sha256(bytes(SIZE)).hexdigest()
    script = (
        f"read began _ </proc/uptime; set -- $(wget -q -O - {url} | sha256sum); "
        "read ended _ </proc/uptime; echo $began $ended $1"
    )
    told: list[str] = []

    def arrives() -> bool:
        # It may not serve yet.
        with contextlib.suppress(kubectl.Refused):
            told[:] = user.execute(pod, "/bin/sh", "-c", script).split()
        return told[2:] == [wanted]

    kubectl.wait_until("all has arrived", arrives, ARRIVED_S)
    return float(told[1]) - float(told[0])


def test_a_pod_of_a_stateful_set_keeps_its_address_when_it_is_made_anew(
    user: tenant.Tenant,
) -> None:
    # With a grace of 0 its object is gone at once, and its successor is added before its DEL.
    spec = {"terminationGracePeriodSeconds": 1, "nodeSelector": {"kubernetes.io/hostname": HERE}}
    pod = kubectl.pod("", tenant.SLEEP, **spec)["spec"]
    user.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "it"},
            "spec": {
                "serviceName": "it",
                "replicas": 1,
                "selector": {"matchLabels": {"app": "it"}},
                "template": {
                    "metadata": {"labels": {"app": "it"}},
                    "spec": pod | {"restartPolicy": "Always"},
                },
            },
        }
    )
    user.wait("pod", "it-0", "condition=Ready")
    before = user.get("pod", "it-0")
    user.delete("pod", "it-0")
    # Others come in between: the next free addresses would be theirs.
    for name in ("other-1", "other-2"):
        user.run(name, nodeName=HERE)
    user.wait("pod", "it-0", "condition=Ready")
    after = user.get("pod", "it-0")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["status"]["podIP"] == before["status"]["podIP"]


def test_an_annotation_that_cannot_be_read_is_an_event_of_the_pod(user: tenant.Tenant) -> None:
    user.apply(annotated("odd", {EGRESS: "fast"}))
    user.wait("pod", "odd", "condition=Ready")
    kubectl.wait_until("the pod has the event", lambda: bool(_event(user, "ParseFailed")), SEEN_S)
    event = _event(user, "ParseFailed")
    assert event["type"] == "Warning"
    assert event["source"]["component"] == "terway-daemon"
    assert EGRESS in event["message"]
    assert "fast" in event["message"]
    told = user.kubectl("describe", "pod", "odd")
    assert "ParseFailed" in told
    assert "AllocIPSucceed" in told


def _event(user: tenant.Tenant, reason: str) -> dict[str, Any]:
    """The pod's event with *reason*; empty while there is none."""
    words = ("--field-selector", f"reason={reason},involvedObject.name=odd")
    found = json.loads(user.kubectl("get", "events", "-o", "json", *words))["items"]
    return dict(found[0]) if found else {}


def test_each_node_tells_that_it_has_addresses_and_how_many(
    cluster: cluster_module.Cluster,
) -> None:
    for node in layout.NODES:
        condition = "condition=SufficientIP"
        cluster.kubectl.wait("node", node, condition, limit_s=SEEN_S)
        annotations = cluster.kubectl.get("node", node)["metadata"]["annotations"]
        assert int(annotations["k8s.aliyun.com/max-available-ip"]) > 0
        assert "SufficientIP" in cluster.kubectl("describe", "node", node)


def test_a_node_s_own_configuration_is_taken_with_its_label_and_its_pods_do_not_notice(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    def capacity() -> int:
        annotations = cluster.kubectl.get("node", HERE)["metadata"]["annotations"]
        return int(annotations["k8s.aliyun.com/max-available-ip"])

    user.run("before", nodeName=HERE)
    address, all_of_it = user.get("pod", "before")["status"]["podIP"], capacity()
    text = json.dumps({"max_eni": 1})
    name = chart.NODE_CONFIG
    words = ("create", "configmap", name, "-n", chart.NAMESPACE, f"--from-literal=eni_conf={text}")
    cluster.kubectl(*words)
    try:
        cluster.kubectl("label", "node", HERE, f"terway-config={name}")
        kubectl.wait_until("there are fewer addresses", lambda: capacity() < all_of_it, SEEN_S)
        user.run("meanwhile", nodeName=HERE)
    finally:
        cluster.kubectl("label", "node", HERE, "terway-config-")
        cluster.kubectl("delete", "configmap", name, "-n", chart.NAMESPACE)
    kubectl.wait_until("there are all again", lambda: capacity() == all_of_it, SEEN_S)
    after = user.get("pod", "before")
    assert after["status"]["podIP"] == address
    assert all(each["restartCount"] == 0 for each in after["status"]["containerStatuses"])
