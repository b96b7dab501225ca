"""What counts as left by pods, in the cluster of the tests."""

from typing import Any

import pytest

from tests.support.cluster import traces

NODE = "i-1"


@pytest.mark.parametrize(
    "line",
    [
        "mount /var/lib/kubelet/pods/1/volumes/kubernetes.io~csi/pv/mount",
        "mount /var/lib/kubelet/plugins/kubernetes.io/csi/disk/1/globalmount",
        "link cali0123456789a@if2:",
        "namespace cni-1",
        "rule 2048: from 10.0.0.5 lookup 1003",
        "pod directory 1",
    ],
)
def test_what_only_pods_make_is_a_trace(line: str) -> None:
    assert traces.is_trace(line)


@pytest.mark.parametrize("line", ["mount /var/lib/kubelet", "mount /run", "link eth1@if5:"])
def test_what_a_node_has_is_none(line: str) -> None:
    assert not traces.is_trace(line)


def eni(**changes: Any) -> dict[str, Any]:
    made = {"eni_id": "eni-1", "type": "Secondary", "status": "InUse", "instance_id": NODE}
    return {**made, "ips": ["10.0.0.5"], **changes}


def pooled(state: str, pod: str = "") -> dict[str, list[dict[str, Any]]]:
    return {NODE: [{"eni": "eni-1", "ip": "10.0.0.5", "state": state, "pod": pod}]}


def test_an_address_that_waits_for_a_pod_is_not_lost() -> None:
    primary = eni(eni_id="eni-0", type="Primary", ips=["10.0.0.4"])
    assert traces.address_faults([primary, eni()], pooled("warm")) == []


@pytest.mark.parametrize(
    ("enis", "pools", "told"),
    [
        ([eni()], pooled("leased", "ns/pod"), "10.0.0.5 is leased, for ns/pod"),
        ([eni()], {NODE: []}, "10.0.0.5 of eni-1 is known to no daemon"),
        (
            [eni(instance_id="", ips=[], status="Available")],
            {},
            "eni-1 is Available and of no node",
        ),
    ],
    ids=["leased", "unknown", "unattached"],
)
def test_an_address_or_interface_that_nobody_uses_is_told(
    enis: list[dict[str, Any]], pools: dict[str, list[dict[str, Any]]], told: str
) -> None:
    assert traces.address_faults(enis, pools) == [told]
