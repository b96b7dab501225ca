"""What the simulated VPC delivers and what it drops. Needs root."""

import contextlib
import os
import socket

import pytest

from sim.hardware import network_api
from tests.kernel import sim_network_harness as harness
from tests.kernel.sim_network_harness import GROUP, NODE_1, NODE_2, port, with_addresses

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

A, B, C = port(1, NODE_1), port(2, NODE_2), port(11, NODE_1)
A_IP, B_IP = (NODE_1, "10.0.0.1"), (NODE_2, "10.0.0.2")
OTHER = "sg-2"


@pytest.fixture
def vpc():
    made = harness.Vpc()
    yield made
    made.close()


def rule(direction="ingress", **fields):
    return network_api.Rule(direction=direction, protocol="all", **fields)


def test_primary_addresses_reach_each_other_and_nothing_counts_as_dropped(vpc):
    vpc.sync(A, B)

    assert vpc.arrives(A_IP, B_IP)
    assert vpc.arrives(B_IP, A_IP)
    assert vpc.drops() == {}


def test_ipv6_addresses_reach_each_other(vpc):
    six = {"ipv6_gateway": "fd00::fffd"}
    vpc.sync(
        port(1, NODE_1, addresses=("10.0.0.1", "fd00::1"), **six),
        port(2, NODE_2, addresses=("10.0.0.2", "fd00::2"), **six),
        port(11, NODE_1, addresses=("10.0.0.11", "fd00:1::11"), **six),
    )
    vpc.configure(NODE_1, "eth1", "10.0.0.11")
    vpc.sh("node-1", "ip addr add fd00:1::11/128 dev eth1 nodad")

    assert vpc.arrives((NODE_1, "fd00::1"), (NODE_2, "fd00::2"))
    assert vpc.arrives((NODE_2, "fd00::2"), (NODE_1, "fd00:1::11"))
    assert vpc.drops() == {}


def test_the_router_answers_arp_for_gateway_owned_and_unowned_addresses(vpc):
    vpc.sync(A, B)
    with contextlib.closing(vpc.udp(*A_IP)) as sender:
        for address in ("10.0.0.253", "10.0.0.2", "10.0.0.99"):
            sender.sendto(b"x", (address, harness.PORT))

    found = vpc.sh("node-1", "ip neigh show dev eth0")

    for address in ("10.0.0.253", "10.0.0.2", "10.0.0.99"):
        assert f"{address} lladdr ee:ff:ff:ff:ff:ff" in found


def test_a_secondary_address_is_delivered_to_a_guest_that_answers_no_arp(vpc):
    vpc.sync(A, B, with_addresses(C, "10.0.0.30"))
    vpc.configure(NODE_1, "eth1")
    vpc.sh("node-1", "ip link set eth1 arp off")
    vpc.sh("node-1", "ip addr add 10.0.0.30/32 dev lo")

    assert vpc.arrives(B_IP, (NODE_1, "10.0.0.30"))


def test_a_delegated_prefix_is_delivered_and_may_send(vpc):
    vpc.sync(A, B, port(11, NODE_1, prefixes=("10.0.0.32/28",)))
    vpc.configure(NODE_1, "eth1", "10.0.0.40")
    vpc.sh("node-1", "ip rule add from 10.0.0.40 lookup 100")
    vpc.sh("node-1", "ip route add default via 10.0.0.253 dev eth1 onlink table 100")

    assert vpc.arrives(B_IP, (NODE_1, "10.0.0.40"))
    assert vpc.arrives((NODE_1, "10.0.0.40"), B_IP)
    assert vpc.drops() == {}


def test_an_address_that_nobody_has_is_dropped_and_counted(vpc):
    vpc.sync(A, B, with_addresses(C, "10.0.0.30"))
    vpc.configure(NODE_1, "eth1", "10.0.0.30")
    assert vpc.arrives(B_IP, (NODE_1, "10.0.0.30"))

    vpc.sync(A, B, C)

    assert not vpc.arrives(B_IP, (NODE_1, "10.0.0.30"), lost=True)
    assert vpc.drops() == {"unassigned": 1}


def test_an_address_is_delivered_only_to_the_interface_that_has_it(vpc):
    vpc.sync(A, B, C)
    vpc.sh("node-2", "ip addr add 10.0.0.11/32 dev eth0")
    vpc.configure(NODE_1, "eth1")

    assert not vpc.arrives(A_IP, (NODE_2, "10.0.0.11"), lost=True)


def test_a_foreign_source_is_dropped_and_counted_until_the_check_is_off(vpc):
    vpc.sync(A, B)
    vpc.sh("node-1", "ip addr add 172.16.0.1/32 dev eth0")
    vpc.configure(NODE_2, "eth0")
    foreign = (NODE_1, "172.16.0.1")

    assert not vpc.arrives(foreign, B_IP, lost=True)
    assert vpc.drops() == {"spoofed": 1}
    vpc.sync(port(1, NODE_1, source_dest_check=False), B)

    assert vpc.arrives(foreign, B_IP)
    assert vpc.drops() == {"spoofed": 1}


def test_an_address_of_another_interface_of_the_same_node_is_a_foreign_source(vpc):
    vpc.sync(A, B, C)
    vpc.configure(NODE_1, "eth1", "10.0.0.11")

    # The route leads through eth0.
    assert not vpc.arrives((NODE_1, "10.0.0.11"), B_IP, lost=True)

    assert vpc.drops() == {"spoofed": 1}


def test_a_frame_from_another_mac_is_dropped_and_counted(vpc):
    vpc.sync(A, B)
    vpc.sh("node-1", "ip link set eth0 address 00:16:3e:00:00:99")

    assert not vpc.arrives(A_IP, B_IP, lost=True)

    assert set(vpc.drops()) == {"foreign_mac"}


def test_the_mac_is_checked_on_a_link_that_was_plugged_again(vpc):
    vpc.sync(A, B)
    vpc.sh("node-1", "ip link del eth0")
    vpc.network.repair()
    vpc.sh("node-1", "ip link set eth0 address 00:16:3e:00:00:99")

    assert not vpc.arrives(A_IP, B_IP, lost=True)

    assert set(vpc.drops()) == {"foreign_mac"}


def test_what_guests_send_to_everybody_is_no_drop_of_interest(vpc):
    vpc.sync(A, B)
    with contextlib.closing(vpc.udp(*A_IP)) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for address in ("255.255.255.255", "10.0.0.255", "224.0.0.251"):
            sender.sendto(b"x", (address, 67))

    assert vpc.arrives(A_IP, B_IP)
    assert vpc.drops() == {}


def test_interfaces_of_different_vpcs_do_not_reach_each_other(vpc):
    vpc.sync(A, port(2, NODE_2, vpc_id="vpc-2"))

    assert not vpc.arrives(A_IP, B_IP, lost=True)

    assert vpc.drops() == {"unassigned": 1}


@pytest.mark.parametrize("checked", [False, True])
def test_a_custom_route_leads_to_an_interface_without_the_check(vpc, checked):
    vpc.sync(
        A,
        port(2, NODE_2, source_dest_check=checked),
        routes=(network_api.Route(vpc_id="vpc-1", cidr_block="172.16.0.0/16", eni_id="eni-2"),),
    )
    vpc.sh("node-2", "ip addr add 172.16.3.4/32 dev lo")

    arrived = vpc.arrives(A_IP, (NODE_2, "172.16.3.4"), lost=checked)

    assert arrived is not checked
    assert vpc.drops() == ({"unassigned": 1} if checked else {})


def test_other_groups_are_dropped_and_counted_and_answers_come_through(vpc):
    vpc.sync(A, port(2, NODE_2, security_group_ids=(OTHER,)))
    with contextlib.closing(vpc.udp(*A_IP)) as first, contextlib.closing(vpc.udp(*B_IP)) as second:
        second.sendto(b"in", (A_IP[1], harness.PORT))
        assert vpc.drops() == {"security_group": 1}

        groups = {GROUP: (), OTHER: (rule(cidr_block="10.0.0.1/32"),)}
        vpc.sync(A, port(2, NODE_2, security_group_ids=(OTHER,)), security_groups=groups)
        first.sendto(b"ask", (B_IP[1], harness.PORT))
        assert second.recv(10) == b"ask"
        second.sendto(b"answer", (A_IP[1], harness.PORT))
        assert first.recv(10) == b"answer"

    assert vpc.drops() == {"security_group": 1}


RULES = {
    "no rule": ((), False),
    "any address": ((rule(cidr_block="0.0.0.0/0"),), True),
    "another address": ((rule(cidr_block="10.1.0.0/16"),), False),
    "the sender's group": ((rule(source_group_id=GROUP),), True),
    "a group without members": ((rule(source_group_id="sg-9"),), False),
    "another port": (
        (network_api.Rule(direction="ingress", protocol="udp", port_from=1, port_to=6999),),
        False,
    ),
    "a range of ports": (
        (network_api.Rule(direction="ingress", protocol="udp", port_from=6999, port_to=7001),),
        True,
    ),
    "another protocol": ((network_api.Rule(direction="ingress", protocol="tcp"),), False),
    "drop wins over accept": ((rule(), rule(policy="drop")), False),
    "a lower number wins": ((rule(priority=1), rule(priority=2, policy="drop")), True),
}


@pytest.mark.parametrize(("rules", "accepted"), RULES.values(), ids=RULES)
def test_rules_decide_what_comes_in(vpc, rules, accepted):
    vpc.sync(
        A,
        port(2, NODE_2, security_group_ids=(OTHER,)),
        security_groups={GROUP: (), OTHER: rules},
    )

    assert vpc.arrives(A_IP, B_IP, lost=not accepted) is accepted
    assert vpc.drops() == ({} if accepted else {"security_group": 1})


def test_a_rule_may_keep_members_of_a_group_apart(vpc):
    vpc.sync(A, B, security_groups={GROUP: (rule(policy="drop", cidr_block="10.0.0.1/32"),)})

    assert not vpc.arrives(A_IP, B_IP, lost=True)
    assert vpc.arrives(B_IP, A_IP)


def test_egress_rules_stop_at_the_sender_and_let_through_what_they_do_not_name(vpc):
    out = rule("egress", policy="drop", cidr_block="10.0.0.2/32")
    vpc.sync(A, B, C, security_groups={GROUP: (out,)})
    vpc.configure(NODE_1, "eth1", "10.0.0.11")

    assert not vpc.arrives(A_IP, B_IP, lost=True)
    assert vpc.drops() == {"security_group": 1}
    assert vpc.arrives(B_IP, (NODE_1, "10.0.0.11"))


def test_an_interface_without_groups_is_not_filtered(vpc):
    vpc.sync(A, port(2, NODE_2, security_group_ids=()))

    assert vpc.arrives(A_IP, B_IP)


def test_instances_reach_the_cloud_and_are_known_by_their_address(vpc):
    vpc.sync(A, B)

    with contextlib.closing(vpc.network.open_listener("100.100.100.200", 80)) as listener:
        listener.settimeout(harness.WAIT_S)
        client = vpc.inside(
            NODE_1, lambda: socket.create_connection(("100.100.100.200", 80), timeout=2)
        )
        accepted, (seen, _) = listener.accept()
        accepted.close()
        client.close()

    assert seen == "10.0.0.1"
    assert vpc.drops() == {}
