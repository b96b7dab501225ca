"""Interfaces of pods taken away: all of theirs, nothing of anybody else's."""

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


@pytest.fixture
def lab():
    with netns.lab() as made:
        yield made


def test_del_takes_all_away_and_again_does_nothing(lab):
    pod = lab.netns()
    before, inside = lab.snapshot(), pod.sh("ip -br link")
    wiring = lab.wiring(pod, bandwidth=LIMITS)
    lab.wire(wiring)

    for _ in range(2):
        lab.unwire(wiring).result(timeout=10)

        assert lab.snapshot() == before
        assert pod.sh("ip -br link") == inside


def test_del_answers_once_the_link_is_gone_from_both_namespaces(lab):
    pod = lab.netns()
    wiring = lab.wiring(pod)
    for _ in range(20):
        lab.wire(wiring)

        lab.unwire(wiring).result(timeout=10)

        assert (
            pod.run(lambda: pathlib.Path("/proc/thread-self/net/dev").read_text().count("eth0"))
            == 0
        )
        assert lab.do(lab.host.read).links == ()


def test_del_when_the_namespace_is_gone(lab):
    pod = netns.Netns()
    before = lab.snapshot()
    wiring = lab.wiring(pod)
    lab.wire(wiring)
    pod.close()

    lab.unwire(wiring).result(timeout=10)

    assert lab.snapshot() == before


def test_del_without_knowing_the_namespace(lab):
    before = lab.snapshot()
    wiring = lab.wiring(lab.netns())
    lab.wire(wiring)

    lab.unwire(wiring, netns_path=None).result(timeout=10)

    assert lab.snapshot() == before


def test_del_keeps_the_link_and_address_of_another_attachment(lab):
    wiring = lab.wiring(lab.netns())
    lab.wire(wiring)

    for alias in ("network/older/eth0", ""):
        lab.unwire(wiring, alias=alias).result(timeout=10)

    assert lab.check(wiring) == []


def test_del_of_a_replaced_attachment_takes_its_own_rules_only(lab):
    older = lab.wiring(lab.netns(), alias="network/older/eth0")
    newer = lab.wiring(lab.netns(), ipv4=older.ipv4 + 1)
    lab.wire(older)
    lab.wire(newer)
    assert "10.0.1.23" in lab.node.sh("ip rule")

    lab.unwire(older).result(timeout=10)

    assert "10.0.1.23" not in lab.node.sh("ip rule")
    assert lab.check(newer) == []


def test_del_of_a_lost_link_leaves_the_rules_of_who_has_the_address_now(lab):
    older = lab.wiring(lab.netns(), 1)
    newer = lab.wiring(lab.netns(), 2, ipv4=older.ipv4)
    lab.wire(newer)

    lab.unwire(older).result(timeout=10)

    assert lab.check(newer) == []


def test_del_finds_a_link_whose_node_end_was_renamed(lab):
    pod = lab.netns()
    wiring = lab.wiring(pod)
    lab.wire(wiring)
    lab.node.batch(f"link set {netns.POD_NAME} down\nlink set {netns.POD_NAME} name renamed\n")

    lab.unwire(wiring).result(timeout=10)

    assert "renamed" not in lab.node.sh("ip -br link")
    assert "eth0" not in pod.sh("ip -br link")


def test_links_of_other_plugins_stay_in_pod_and_node(lab):
    pod = lab.netns()
    pod.batch(
        "link add net1 type veth peer name net2\n"
        "addr add 172.30.0.1/24 dev net1\n"
        "link set net1 up\n"
    )
    lab.node.sh("ip link add caliother type veth peer name caliother-peer")
    before = pod.sh("ip -br -4 addr show net1"), lab.snapshot()
    wiring = lab.wiring(pod)

    lab.wire(wiring)
    lab.unwire(wiring).result(timeout=10)

    assert (pod.sh("ip -br -4 addr show net1"), lab.snapshot()) == before
