"""ENIs made ready, what the node carries read, what belongs to nobody removed."""

import ipaddress
import os
import pathlib

import pytest

from core import errors
from ipamd.datapath import model
from tests.support import netns

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
]

SECOND_MAC = "02:00:00:00:02:01"


@pytest.fixture
def lab():
    with netns.lab() as made:
        yield made


def prepare(lab, mac=SECOND_MAC):
    gateway = ipaddress.IPv4Address("10.0.2.253")
    return lab.do(lab.datapath.prepare_eni, model.Eni(mac=mac, gateway=gateway))


def add_eni(lab):
    lab.node.sh(f"ip link add eni2 address {SECOND_MAC} type veth peer name fab2")
    lab.node.sh("ip link set fab2 up")


def count_exchanges(lab, asked):
    """From now on, put what the kernel is asked to change into *asked*."""
    asking = lab.datapath._node.asking
    really = asking.exchange
    asking.exchange = lambda requests: asked.extend(requests) or really(requests)


def test_an_eni_that_is_not_there_yet_is_none(lab):
    assert prepare(lab) is None


def test_an_eni_is_found_by_mac_in_any_spelling_and_made_ready(lab):
    add_eni(lab)

    link = prepare(lab, SECOND_MAC.upper())

    assert link is not None
    assert (link.ifname, link.mac, link.table) == ("eni2", SECOND_MAC, 1000 + link.index)
    assert "UP" in lab.node.sh("ip link show eni2")
    assert lab.node.sh(f"ip route show table {link.table}") == (
        "default via 10.0.2.253 dev eni2 onlink"
    )


def test_preparing_again_changes_nothing(lab):
    add_eni(lab)
    link = prepare(lab)
    before = lab.snapshot()

    assert prepare(lab) == link

    assert lab.snapshot() == before


def test_preparing_again_asks_the_kernel_for_no_change(lab):
    asked = []
    lab.do(lambda: count_exchanges(lab, asked))

    assert lab.do(lab.datapath.prepare_eni, lab.eni) == lab.link

    assert asked == []


def test_an_eni_whose_device_refuses_the_mtu_keeps_its_own_and_is_not_asked_each_time(lab):
    add_eni(lab)
    lab.reopen(mtu=70_000)  # a veth takes 65535
    asked = []

    link = prepare(lab)

    assert link.kept_mtu == 1500
    assert "UP" in lab.node.sh("ip link show eni2")
    assert "10.0.2.253" in lab.node.sh(f"ip route show table {link.table}")

    lab.do(lambda: count_exchanges(lab, asked))
    assert prepare(lab).kept_mtu == 1500
    assert asked == []


def test_an_eni_gets_a_larger_mtu(lab):
    add_eni(lab)
    lab.reopen(mtu=8500)

    assert prepare(lab).kept_mtu == 0
    assert "mtu 8500" in lab.node.sh("ip link show eni2")


def test_addresses_that_dhcp_gave_are_taken_off_with_their_routes(lab):
    add_eni(lab)
    lab.node.batch(
        "link set eni2 up\n"
        "addr add 10.0.2.9/24 dev eni2\n"
        "addr add 10.0.2.10/24 dev eni2\n"
        "addr add 10.0.3.9/24 dev eni2\n"
        "addr add 169.254.7.7/32 scope link dev eni2\n"
    )

    prepare(lab)

    told = lab.node.sh("ip -4 -br addr show eni2")
    assert told.split()[2:] == ["169.254.7.7/32", "10.0.0.5/32"]
    assert "10.0.2.0/24" not in lab.node.sh("ip route")


def test_the_primary_interface_is_refused_and_keeps_its_address(lab):
    add_eni(lab)
    lab.node.sh("ip addr add 10.0.0.5/24 dev eni2")

    with pytest.raises(errors.Precondition, match="primary"):
        prepare(lab)

    assert "10.0.0.5/24" in lab.node.sh("ip -4 -br addr show eni2")


def test_a_link_on_top_of_the_eni_with_its_mac_is_not_the_eni(lab):
    lab.node.sh(f"ip link add macvlan0 link eni1 address {SECOND_MAC} type macvlan")

    assert prepare(lab) is None


def test_a_filter_that_somebody_set_for_all_links_is_taken_off(lab):
    lab.node.run(lambda: pathlib.Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text("1"))
    lab.reopen()

    lab.do(lab.datapath.prepare_eni, lab.eni)

    assert lab.node.sh("cat /proc/sys/net/ipv4/conf/all/rp_filter") == "0"


def test_a_filter_that_somebody_sets_later_is_taken_off_at_the_next_look(lab):
    lab.node.run(lambda: pathlib.Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text("1"))

    lab.do(lab.datapath.prepare_eni, lab.eni)

    assert lab.node.sh("cat /proc/sys/net/ipv4/conf/all/rp_filter") == "0"


def replug(lab):
    """The interface goes and comes again, as by a detachment and an attachment."""
    lab.node.sh("ip link del eni1")
    lab.node.batch(
        f"link add eni1 address {netns.ENI_MAC} type veth"
        f" peer name fab address {netns.VPC_MAC} netns {lab.vpc.path}\n"
    )
    lab.vpc.batch(f"link set fab up\naddr add {netns.GATEWAY}/16 dev fab\n")


def test_pods_of_an_interface_that_was_plugged_in_again_reach_the_vpc_again(lab):
    pod = lab.netns()
    wiring = lab.wiring(pod)
    lab.wire(wiring)
    replug(lab)

    again = lab.do(lab.datapath.prepare_eni, lab.eni)
    assert again.index != lab.link.index
    wiring = lab.wiring(pod, eni=again)
    mended = lab.do(lab.datapath.repair_node, wiring)

    assert [each.what for each in mended] == [f"rule from {wiring.ipv4}"]
    assert lab.check(wiring) == []
    lab.vpc.batch(f"route add {wiring.ipv4} via {netns.NODE_IP} dev fab onlink\n")
    assert lab.udp_reaches(pod, lab.vpc, netns.GATEWAY) == str(wiring.ipv4)


def test_nothing_is_made_on_an_interface_that_is_gone_or_another_one(lab):
    pod = lab.netns()
    lab.node.sh("ip link del eni1")
    before = lab.snapshot()

    for _ in range(2):
        with pytest.raises(model.EniGone, match="eni1"):
            lab.wire(lab.wiring(pod))
        assert lab.snapshot() == before
        assert "eth0" not in pod.sh("ip -br link")
        # Another link with its index.
        if "other" not in before:
            lab.node.sh(
                f"ip link add other index {lab.link.index} type veth"
                f" peer name other2 netns {lab.vpc.path}"
            )
        before = lab.snapshot()


def test_an_interface_that_was_renamed_is_there(lab):
    pod = lab.netns()
    lab.node.batch("link set eni1 down\nlink set eni1 name ens6\nlink set ens6 up\n")

    lab.wire(lab.wiring(pod))

    assert "eth0" in pod.sh("ip -br link")


def test_host_state_is_what_was_made(lab):
    made = [lab.wire(lab.wiring(lab.netns(), number)) for number in range(2)]
    lab.node.batch(
        "link add eth9 type veth peer name eth8\n"
        "rule add from 10.9.9.0/24 priority 2048 lookup 77\n"
        "rule add from 10.9.9.9 priority 100 lookup 77\n"
        "route add 10.9.9.9 dev eni1\n"
    )

    state = lab.do(lab.host.read)

    table = lab.link.table
    first, second = netns.POD_IP, netns.POD_IP + 1
    assert {(each.ifname, each.index, each.alias, each.up) for each in state.links} == {
        (
            lab.wiring(lab.node, number).host_ifname,
            wired.host.index,
            f"network/container-{number}/eth0",
            True,
        )
        for number, wired in enumerate(made)
    }
    assert {(each.priority, each.address, each.table) for each in state.rules} == {
        (512, first, 254),
        (512, second, 254),
        (2048, first, table),
        (2048, second, table),
    }
    assert {(each.address, each.index) for each in state.routes} == {
        (first, made[0].host.index),
        (second, made[1].host.index),
    }


def test_host_state_of_ipv6():
    with netns.lab(ipv6=True) as lab:
        wiring = lab.wiring(lab.netns())
        wired = lab.wire(wiring)

        state = lab.do(lab.host.read)

        assert model.HostRoute(address=wiring.ipv6, index=wired.host.index) in state.routes
        assert (
            model.HostRule(priority=2048, address=wiring.ipv6, table=lab.link.table) in state.rules
        )
        before = lab.node.sh("ip -6 rule")
        lab.unwire(wiring).result(timeout=10)
        assert "fd00:1::23" in before
        assert "fd00:1::23" not in lab.node.sh("ip -6 rule")


def test_stale_rules_and_links_are_removed_and_no_others(lab):
    for number in range(2):
        lab.wire(lab.wiring(lab.netns(), number))
    state = lab.do(lab.host.read)
    stale = lab.wiring(lab.node, 0)

    lab.do(
        lab.host.remove,
        rules=[rule for rule in state.rules if rule.address == stale.ipv4],
        links=[link for link in state.links if link.ifname == stale.host_ifname],
    )

    left = lab.do(lab.host.read)
    assert [link.ifname for link in left.links] == [lab.wiring(lab.node, 1).host_ifname]
    assert {rule.address for rule in left.rules} == {stale.ipv4 + 1}
    assert len(left.rules) == 2


def test_a_link_that_changed_hands_meanwhile_stays(lab):
    lab.wire(lab.wiring(lab.netns()))
    state = lab.do(lab.host.read)
    lab.node.sh(f"ip link set {netns.POD_NAME} alias network/newer/eth0")

    lab.do(lab.host.remove, rules=(), links=state.links)

    assert len(lab.do(lab.host.read).links) == 1


def test_removing_what_is_gone_already_is_fine(lab):
    lab.wire(lab.wiring(lab.netns()))
    state = lab.do(lab.host.read)

    for _ in range(2):
        lab.do(lab.host.remove, rules=state.rules, links=state.links)

    assert lab.do(lab.host.read) == model.HostState(links=(), rules=(), routes=())
