"""`check` names each thing that is not as ADD made it; `repair_node` mends the node's half."""

import ipaddress
import os
import pathlib

import pytest

from ipamd.datapath import model
from tests.support import netns

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
]

LIMITS = model.Bandwidth(ingress_bytes_per_s=1_250_000, egress_bytes_per_s=12_500_000)
EXTRA = (ipaddress.IPv4Network("192.168.0.0/16"),)
HOST = netns.POD_NAME


@pytest.fixture
def lab():
    with netns.lab() as made:
        yield made


# Commands that break one thing on the node, and how the difference is called.
NODE = {
    "link down": (f"link set {HOST} down", f"{HOST} state"),
    "mtu": (f"link set {HOST} mtu 1300", f"{HOST} mtu"),
    "route gone": ("route del 10.0.1.23", "route to 10.0.1.23"),
    "route elsewhere": ("route replace 10.0.1.23 dev eni1", "route to 10.0.1.23"),
    "rule to gone": ("rule del to 10.0.1.23 priority 512", "rule to 10.0.1.23"),
    "rule from gone": ("rule del from 10.0.1.23 priority 2048", "rule from 10.0.1.23"),
    "rule from twice": (
        "rule add from 10.0.1.23 priority 2048 lookup 77",
        "rule from 10.0.1.23",
    ),
    "limit gone": (f"tc qdisc del dev {HOST} root", f"{HOST} limit"),
    "limit other": (
        f"tc qdisc replace dev {HOST} root handle 1: tbf rate 2mbit burst 3000 limit 9000",
        f"{HOST} limit",
    ),
    "address gone": (f"addr del 169.254.1.1/32 dev {HOST}", f"{HOST} address"),
    "filter": (f"sysctl net/ipv4/conf/{HOST}/rp_filter 1", f"{HOST} rp_filter"),
    "forwarding": (f"sysctl net/ipv4/conf/{HOST}/forwarding 0", f"{HOST} forwarding"),
    "eni address gone": ("addr del 10.0.0.5/32 dev eni1", "eni1 address"),
    "eni down": ("link set eni1 down", "eni1 state"),
    "eni filter": ("sysctl net/ipv4/conf/eni1/rp_filter 1", "eni1 rp_filter"),
    "eni route gone": ("route flush table {table}", "default route of table {table}"),
    "eni route other": (
        "route replace default via 10.0.1.1 dev eni1 onlink table {table}",
        "default route of table {table}",
    ),
}

POD = {
    "link down": ("link set eth0 down", "eth0 state"),
    "mtu": ("link set eth0 mtu 1300", "eth0 mtu"),
    "address gone": ("addr del 10.0.1.23/32 dev eth0", "eth0 address"),
    "default route gone": ("route del default", "default route"),
    "default route other": (
        "route replace default via 169.254.1.2 dev eth0 onlink",
        "default route",
    ),
    "extra route gone": ("route del 192.168.0.0/16", "route to 192.168.0.0/16"),
    "neighbour gone": ("neigh del 169.254.1.1 dev eth0", "neighbour 169.254.1.1"),
    "neighbour other": (
        "neigh replace 169.254.1.1 lladdr 02:00:00:00:00:aa dev eth0",
        "neighbour 169.254.1.1",
    ),
    "neighbour expires": (
        "neigh replace 169.254.1.1 lladdr {mac} dev eth0 nud reachable",
        "neighbour 169.254.1.1",
    ),
    "gateway neighbour": ("neigh del 10.0.1.253 dev eth0", "neighbour 10.0.1.253"),
    "limit gone": ("tc qdisc del dev eth0 root", "eth0 limit"),
}


def break_it(where, command, **values):
    """Run a command of `ip`, or of `tc`; or write a setting."""
    words = command.format(**values).split()
    if words[0] == "sysctl":
        where.run(lambda: pathlib.Path(f"/proc/sys/{words[1]}").write_text(words[2]))
    else:
        where.sh(" ".join(words if words[0] == "tc" else ["ip", *words]))


@pytest.fixture
def made(lab):
    pod = lab.netns()
    wiring = lab.wiring(pod, bandwidth=LIMITS, extra_routes=EXTRA)
    wired = lab.wire(wiring)
    assert lab.check(wiring) == []
    return pod, wiring, {"table": lab.link.table, "mac": wired.host.mac}


@pytest.mark.parametrize(("command", "what"), NODE.values(), ids=NODE)
def test_what_is_broken_on_the_node_is_named_and_mended(lab, made, command, what):
    _, wiring, values = made
    break_it(lab.node, command, **values)

    found = lab.check(wiring)

    name = what.format(**values)
    assert name in [each.what for each in found if each.where == "node"]
    assert all(each.expected != each.found for each in found)
    mended = lab.do(lab.datapath.repair_node, wiring)
    assert name in [each.what for each in mended]
    assert [each for each in lab.check(wiring) if each.where == "node"] == []
    assert lab.do(lab.datapath.repair_node, wiring) == []


@pytest.mark.parametrize(("command", "what"), POD.values(), ids=POD)
def test_what_is_broken_in_the_pod_is_named_and_left(lab, made, command, what):
    pod, wiring, values = made
    break_it(pod, command, **values)

    found = lab.check(wiring)

    assert what in [each.what for each in found]
    assert {each.where for each in found} == {"pod"}
    assert lab.do(lab.datapath.repair_node, wiring) == []


def test_a_namespace_that_is_gone_is_one_difference(lab, made, tmp_path):
    wiring = lab.wiring(
        lab.netns(), bandwidth=LIMITS, extra_routes=EXTRA, netns_path=tmp_path / "gone"
    )

    assert [(each.where, each.what) for each in lab.check(wiring)] == [("pod", "network namespace")]


def test_a_link_that_is_gone_is_named_on_both_sides_and_cannot_be_mended(lab, made):
    _, wiring, _ = made
    lab.node.sh(f"ip link del {HOST}")

    found = [(each.where, each.what) for each in lab.check(wiring)]

    assert ("node", HOST) in found
    assert ("node", "route to 10.0.1.23") in found
    assert ("pod", "eth0") in found
    assert lab.do(lab.datapath.repair_node, wiring) == []


def test_another_pods_namespace_is_noticed(lab, made):
    other = lab.netns()
    lab.wire(lab.wiring(other, 1, bandwidth=LIMITS, extra_routes=EXTRA))

    found = lab.check(lab.wiring(other, bandwidth=LIMITS, extra_routes=EXTRA))

    assert {"eth0 peer", "eth0 address"} <= {each.what for each in found}


def test_another_alias_is_named_and_nothing_is_mended(lab, made):
    pod, _, _ = made
    wiring = lab.wiring(pod, bandwidth=LIMITS, extra_routes=EXTRA, alias="network/other/eth0")
    lab.node.sh("ip rule del from 10.0.1.23 priority 2048")
    before = lab.snapshot()

    found = {each.what: each for each in lab.check(wiring)}

    assert found[f"{HOST} alias"].found == "network/container-0/eth0"
    assert lab.do(lab.datapath.repair_node, wiring) == []
    assert lab.snapshot() == before


def test_an_eni_that_is_gone_is_named(lab, made):
    _, wiring, _ = made
    lab.vpc.sh("ip link del fab")

    found = {each.what: each for each in lab.check(wiring)}

    assert found[f"link {lab.link.index}"].found == "nothing"
    assert lab.do(lab.datapath.repair_node, wiring) == []


def test_what_other_plugins_added_is_no_difference(lab, made):
    pod, wiring, _ = made
    pod.batch(
        "addr add 172.30.0.1/24 dev eth0\n"
        "route add 172.31.0.0/16 dev eth0\n"
        "link add net1 type veth peer name net2\n"
    )
    lab.node.sh("ip rule add from 10.0.1.23 priority 600 lookup 77")

    assert lab.check(wiring) == []


def test_a_link_of_a_stock_terway_is_checked_and_mended_too(lab):
    pod = lab.netns()
    lab.wire(lab.wiring(pod))
    lab.node.sh(f"ip link set {HOST} alias dummy")
    wiring = lab.wiring(pod, alias="dummy")
    lab.node.sh("ip rule del from 10.0.1.23 priority 2048")

    mended = lab.do(lab.datapath.repair_node, wiring)

    assert [each.what for each in mended] == ["rule from 10.0.1.23"]
    assert lab.check(wiring) == []
