"""The kernel's state after ADD is the one a stock Terway makes: spec/terway.md Appendix A.1."""

import ipaddress
import os
import re
import socket

import pytest

from ipamd.datapath import model
from tests.support import netns

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
]

LIMITS = model.Bandwidth(ingress_bytes_per_s=1_250_000, egress_bytes_per_s=12_500_000)


@pytest.fixture
def lab():
    with netns.lab() as made:
        yield made


@pytest.fixture
def lab6():
    with netns.lab(ipv6=True) as made:
        yield made


def lines(text):
    """Lines without indentation, empty ones and lifetimes."""
    found = [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]
    return [line for line in found if line and not line.startswith("valid_lft")]


def test_golden_state_of_node_and_pod(lab):
    pod = lab.netns()
    table = lab.link.table

    made = lab.wire(lab.wiring(pod, bandwidth=LIMITS))

    assert table == 1000 + lab.link.index
    host, inner = netns.POD_NAME, f"eth0@if{made.host.index}"
    told = lines(pod.sh("ip -4 addr show dev eth0").replace(" group default qlen 1000", ""))
    assert [line.removesuffix(" link-netnsid 0") for line in told] == [
        f"{made.pod.index}: {inner}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc tbf state UP",
        "inet 10.0.1.23/32 scope global eth0",
    ]
    assert lines(pod.sh("ip route")) == ["default via 169.254.1.1 dev eth0 onlink"]
    assert lines(pod.sh("ip -4 neigh")) == [
        f"169.254.1.1 dev eth0 lladdr {made.host.mac} PERMANENT"
    ]
    assert lines(pod.sh("ip rule")) == [
        "0: from all lookup local",
        "32766: from all lookup main",
        "32767: from all lookup default",
    ]
    assert lines(lab.node.sh("ip -4 addr show dev eni1"))[1:] == [
        "inet 10.0.0.5/32 scope global eni1"
    ]
    assert lines(lab.node.sh(f"ip -4 addr show dev {host}")) == []
    assert lines(lab.node.sh("ip route")) == [f"10.0.1.23 dev {host} scope link"]
    assert lines(lab.node.sh(f"ip route show table {table}")) == [
        "default via 10.0.1.253 dev eni1 onlink"
    ]
    assert lines(lab.node.sh("ip rule")) == [
        "0: from all lookup local",
        "512: from all to 10.0.1.23 lookup main",
        f"2048: from 10.0.1.23 lookup {table}",
        "32766: from all lookup main",
        "32767: from all lookup default",
    ]
    assert lines(lab.node.sh("ip -4 neigh")) == []


def test_golden_queues_on_both_ends(lab):
    pod = lab.netns()

    lab.wire(lab.wiring(pod, bandwidth=LIMITS))

    assert lines(lab.node.sh(f"tc qdisc show dev {netns.POD_NAME}")) == [
        "qdisc tbf 1: root refcnt 2 rate 10Mbit burst 3000b lat 25ms"
    ]
    assert lines(pod.sh("tc qdisc show dev eth0")) == [
        "qdisc tbf 1: root refcnt 2 rate 100Mbit burst 12500b lat 25ms"
    ]


def test_a_burst_that_was_asked_for_is_set(lab):
    pod = lab.netns()
    asked = model.Bandwidth(
        ingress_bytes_per_s=1_250_000,
        ingress_burst_bytes=400_000,
        egress_bytes_per_s=1_250_000,
        egress_burst_bytes=(1 << 32) - 1,
    )
    wiring = lab.wiring(pod, bandwidth=asked)

    lab.wire(wiring)

    assert "burst 400000b lat 25ms" in lab.node.sh(f"tc qdisc show dev {netns.POD_NAME}")
    # 256 seconds' worth: the most the kernel can tell.
    assert "burst 312500Kb lat 25ms" in pod.sh("tc qdisc show dev eth0")
    assert lab.check(wiring) == []


@pytest.mark.parametrize(
    ("rate", "told"), [(5_000_000_000, "rate 40Gbit"), (10**15 // 8, "rate 1000Tbit")]
)
def test_a_rate_beyond_32_bits_is_set(lab, rate, told):
    pod = lab.netns()
    wiring = lab.wiring(pod, bandwidth=model.Bandwidth(egress_bytes_per_s=rate))

    lab.wire(wiring)

    assert told in pod.sh("tc qdisc show dev eth0")
    assert lab.check(wiring) == []


def test_settings_are_a_routers_without_filter_and_without_proxy_arp(lab):
    lab.wire(lab.wiring(lab.netns()))

    def setting(ifname, name):
        return lab.node.sh(f"cat /proc/sys/net/ipv4/conf/{ifname}/{name}")

    for ifname in ("all", "default", "eni1", "lo", netns.POD_NAME):
        assert setting(ifname, "forwarding") == "1"
        assert setting(ifname, "rp_filter") == "0"
        assert setting(ifname, "proxy_arp") == "0"


def test_links_have_one_queue_and_the_mtu_asked_for(lab):
    pod = lab.netns()

    lab.wire(lab.wiring(pod, mtu=1400))

    node_side = lab.node.sh(f"ip -d link show {netns.POD_NAME}")
    pod_side = pod.sh("ip -d link show eth0")
    for told in (node_side, pod_side):
        assert "mtu 1400" in told
        assert "numtxqueues 1 numrxqueues 1" in told
    assert "alias network/container-0/eth0" in node_side


def test_extra_routes_go_by_the_gateway(lab):
    pod = lab.netns()
    extra = (ipaddress.IPv4Network("192.168.0.0/16"),)
    wiring = lab.wiring(pod, extra_routes=extra)

    made = lab.wire(wiring)

    assert lines(pod.sh("ip route")) == [
        "default via 169.254.1.1 dev eth0 onlink",
        "169.254.1.1 dev eth0 scope link",
        "192.168.0.0/16 via 10.0.1.253 dev eth0 onlink",
    ]
    assert f"10.0.1.253 dev eth0 lladdr {made.host.mac} PERMANENT" in pod.sh("ip neigh")
    assert "inet 169.254.1.1/32 scope global" in lab.node.sh(f"ip addr show dev {netns.POD_NAME}")
    assert lab.check(wiring) == []


def test_without_a_default_route_there_is_none(lab):
    pod = lab.netns()
    wiring = lab.wiring(pod, default_route=False)

    lab.wire(wiring)

    assert lines(pod.sh("ip route")) == []
    assert lab.check(wiring) == []


def test_ipv6_has_the_same_shape(lab6):
    pod = lab6.netns()
    wiring = lab6.wiring(pod)

    made = lab6.wire(wiring)

    assert lab6.check(wiring) == []
    host, table = netns.POD_NAME, lab6.link.table
    assert "fd00:1::23/128 scope global" in pod.sh("ip -6 addr show dev eth0")
    assert "default via fe80::1 dev eth0 metric 1024 onlink pref medium" in lines(
        pod.sh("ip -6 route")
    )
    assert f"fe80::1 dev eth0 lladdr {made.host.mac} PERMANENT" in pod.sh("ip -6 neigh")
    assert f"fd00:1::23 dev {host} metric 1024 pref medium" in lines(lab6.node.sh("ip -6 route"))
    assert lines(lab6.node.sh(f"ip -6 route show table {table}")) == [
        "default via fd00:1::253 dev eni1 metric 1024 onlink pref medium"
    ]
    assert "512: from all to fd00:1::23 lookup main" in lines(lab6.node.sh("ip -6 rule"))
    assert f"2048: from fd00:1::23 lookup {table}" in lines(lab6.node.sh("ip -6 rule"))
    assert lab6.udp_reaches(lab6.node, pod, "fd00:1::23") == "fd00::5"


def test_pods_node_and_vpc_reach_one_another(lab):
    one, two = lab.netns(), lab.netns()
    lab.wire(lab.wiring(one, 0))
    lab.wire(lab.wiring(two, 1, bandwidth=LIMITS))
    # The cloud delivers to the ENI without asking: static neighbours stand for it.
    for address in ("10.0.1.23", "10.0.1.24"):
        lab.vpc.sh(f"ip neigh add {address} dev fab lladdr {netns.ENI_MAC}")

    assert lab.udp_reaches(one, two, "10.0.1.24") == "10.0.1.23"
    assert lab.udp_reaches(lab.node, one, "10.0.1.23") == "10.0.0.5"
    assert lab.udp_reaches(two, lab.node, "10.0.0.5") == "10.0.1.24"
    assert lab.udp_reaches(two, lab.vpc, "10.0.1.253") == "10.0.1.24"
    assert lab.udp_reaches(lab.vpc, one, "10.0.1.23") == "10.0.1.253"
    with one.socket(socket.SOCK_STREAM) as server, two.socket(socket.SOCK_STREAM) as client:
        server.bind(("10.0.1.23", 7001))
        server.listen()
        client.connect(("10.0.1.23", 7001))
        accepted, peer = server.accept()
        with accepted:
            assert peer[0] == "10.0.1.24"
