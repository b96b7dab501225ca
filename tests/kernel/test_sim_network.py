"""The simulated VPC's interfaces: plugged, unplugged, mended, removed. Needs root."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from sim.hardware import api, network_api
from sim.hardware.network import changes, plan, present
from tests.kernel import sim_network_harness as harness
from tests.kernel.sim_network_harness import NODE_1, NODE_2, port, with_addresses

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

ROOT = pathlib.Path(__file__).parents[2]
A, B, C = port(1, NODE_1), port(2, NODE_2), port(11, NODE_1)


@pytest.fixture
def vpc():
    made = harness.Vpc()
    yield made
    made.close()


def links(vpc, name):
    return {row["ifname"]: row for row in json.loads(vpc.sh(name, "ip -j addr"))}


def test_a_fresh_node_has_its_primary_interface_configured_as_after_a_boot(vpc):
    vpc.sync(A)

    eth0 = links(vpc, "node-1")["eth0"]
    assert (eth0["address"], eth0["mtu"]) == (A.mac, 1500)
    assert "UP" in eth0["flags"]
    assert "UP" in links(vpc, "node-1")["lo"]["flags"]
    assert [(a["local"], a["prefixlen"]) for a in eth0["addr_info"] if a["family"] == "inet"] == [
        ("10.0.0.1", 24)
    ]
    assert "default via 10.0.0.253 dev eth0" in vpc.sh("node-1", "ip route")


def test_a_plugged_interface_appears_down_and_without_address(vpc):
    vpc.sync(A)

    vpc.sync(A, C)

    eth1 = links(vpc, "node-1")["eth1"]
    assert eth1["address"] == C.mac
    assert "UP" not in eth1["flags"]
    assert eth1["addr_info"] == []


def test_an_unplugged_interface_is_gone_and_its_name_is_free(vpc):
    vpc.sync(A, C, port(12, NODE_1))

    vpc.sync(A, port(12, NODE_1), port(13, NODE_1))

    found = {name: link["address"] for name, link in links(vpc, "node-1").items()}
    assert C.mac not in found.values()
    assert set(found) == {"lo", "eth0", "eth1", "eth2"}
    assert {found["eth1"], found["eth2"]} == {"00:16:3e:00:00:0c", "00:16:3e:00:00:0d"}


def test_what_the_guest_configured_stays(vpc):
    vpc.sync(A, C)
    vpc.configure(NODE_1, "eth1", "10.0.0.77")
    vpc.sh("node-1", "ip link add veth-a type veth peer name veth-b")
    vpc.sh("node-1", "ip route add 10.9.0.0/16 dev eth1 table 100")
    before = vpc.sh("node-1", "ip addr") + vpc.sh("node-1", "ip route show table all")

    vpc.sync(A, with_addresses(C, "10.0.0.77"))

    after = vpc.sh("node-1", "ip addr") + vpc.sh("node-1", "ip route show table all")
    assert after == before


def test_the_same_network_again_changes_nothing(vpc):
    six = port(3, NODE_2, primary=False, addresses=("10.0.0.3", "fd00::3"))
    ports = (
        port(1, NODE_1, addresses=("10.0.0.1", "fd00::1"), ipv6_gateway="fd00::fffd"),
        B,
        port(11, NODE_1, prefixes=("10.0.0.32/28", "10.0.0.48/28"), source_dest_check=False),
        six,
    )
    vpc.sync(*ports)
    before = vpc.dump()

    vpc.sync(*ports)
    assert vpc.dump() == before
    vpc.restart()
    vpc.sync(*reversed(ports))

    assert vpc.dump() == before


def test_nothing_is_left_to_do_after_a_sync_with_default_routes_and_prefixes(vpc):
    six = {"ipv6_gateway": "fd00::fffd", "source_dest_check": False}
    ports = (
        port(1, NODE_1, addresses=("10.0.0.1", "fd00::1"), **six),
        port(11, NODE_1, prefixes=("10.0.0.32/28", "fd00:0:0:0:7::/80"), **six),
    )
    routes = tuple(
        network_api.Route(vpc_id="vpc-1", cidr_block=block, eni_id="eni-1")
        for block in ("0.0.0.0/0", "::/0", "172.16.0.0/16", "fd01::/64")
    )
    for _ in range(2):
        vpc.sync(*ports, routes=routes)

    fabric = network_api.Fabric(
        instances={NODE_1: "node-1"},
        ports=ports,
        routes=routes,
        security_groups={harness.GROUP: ()},
    )
    wanted, have = plan.plan(fabric), present.read(f"{vpc.prefix}-vpc")
    assert changes.net_commands(have.net, wanted.net, have.links.down & wanted.ports.keys()) == []
    assert changes.rule_commands(have.rules, wanted.rules) == []
    vpc.sync(*ports)
    left = vpc.sh("vpc", "ip route show table main") + vpc.sh("vpc", "ip -6 route show table main")
    assert "default" not in left


def test_an_address_less_leaves_what_was_there_before_it(vpc):
    vpc.sync(A, B)
    before = vpc.dump()
    vpc.sync(with_addresses(A, "10.0.0.20", "fd00::20"), B)
    assert vpc.dump() != before

    vpc.sync(A, B)

    assert vpc.dump() == before


def test_a_hundred_addresses_come_in_one_change_and_work(vpc):
    more = [f"10.0.0.{n}" for n in range(100, 200)]
    vpc.sync(A, B)

    vpc.sync(with_addresses(A, *more), B)

    vpc.configure(NODE_1, "eth0", more[0], more[-1])
    assert vpc.arrives((NODE_2, "10.0.0.2"), (NODE_1, more[0]))
    assert vpc.arrives((NODE_2, "10.0.0.2"), (NODE_1, more[-1]))


def test_a_link_that_the_guest_deleted_is_plugged_again(vpc):
    vpc.sync(A, B, C)
    assert vpc.network.repair() is False
    vpc.sh("node-1", "ip link del eth1")

    assert vpc.network.repair() is True

    assert links(vpc, "node-1")["eth1"]["address"] == C.mac
    vpc.configure(NODE_1, "eth1", "10.0.0.11")
    assert vpc.arrives((NODE_2, "10.0.0.2"), (NODE_1, "10.0.0.11"))


def test_an_interface_that_went_with_a_namespace_comes_back(vpc):
    vpc.sync(A, C)
    pod = f"{vpc.prefix}-pod"
    subprocess.run(["ip", "netns", "add", pod], check=True)
    vpc.sh("node-1", f"ip link set eth1 netns {pod}")
    assert vpc.network.repair() is False
    subprocess.run(["ip", "netns", "del", pod], check=True)
    # The kernel ends a namespace's links some time after its name.
    while "eth1" not in links(vpc, "node-1"):
        vpc.network.repair()

    assert links(vpc, "node-1")["eth1"]["address"] == C.mac


KILLED = """
import os, signal, sys
from sim.hardware.network import command
from tests.kernel import sim_network_harness as h
left = int(sys.argv[2])
start = command.Command.start
def counted(self):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    start(self)
command.Command.start = counted
vpc = h.Vpc()
vpc.prefix = sys.argv[1]
vpc.restart()
vpc.sync(h.port(1, h.NODE_1), h.port(2, h.NODE_2), h.port(11, h.NODE_1))
"""


@pytest.mark.parametrize("steps", range(0, 22, 2))
def test_a_sync_that_was_killed_is_completed_by_the_next(vpc, steps):
    argv = [sys.executable, "-c", KILLED, vpc.prefix, str(steps)]
    killed = subprocess.run(argv, cwd=ROOT, check=False, timeout=60)
    assert killed.returncode in (-signal.SIGKILL, 0)

    vpc.sync(A, B, C)

    vpc.configure(NODE_1, "eth1", "10.0.0.11")
    assert vpc.arrives((NODE_2, "10.0.0.2"), (NODE_1, "10.0.0.11"))
    assert vpc.arrives((NODE_1, "10.0.0.1"), (NODE_2, "10.0.0.2"))
    assert set(links(vpc, "node-1")) == {"lo", "eth0", "eth1"}
    assert len(links(vpc, "vpc")) == 4


def test_an_instance_that_is_no_more_loses_its_namespace(vpc):
    vpc.sync(A, B)

    vpc.sync(A, instances={NODE_1: "node-1"})

    assert vpc.namespaces() == [f"{vpc.prefix}-node-1", f"{vpc.prefix}-vpc"]


def test_release_leaves_nothing_even_after_a_crash(vpc):
    vpc.sync(A, B, C)
    vpc.restart()

    vpc.network.release()

    assert vpc.namespaces() == []
    assert vpc.notes() == []


def test_namespaces_of_others_are_neither_taken_nor_removed(vpc):
    other = f"{vpc.prefix}-node-2"
    subprocess.run(["ip", "netns", "add", other], check=True)

    with pytest.raises(api.HardwareError, match=f"namespace {other} exists"):
        vpc.sync(A, B)
    vpc.network.release()

    assert vpc.namespaces() == [other]


def test_two_processes_do_not_share_a_prefix(vpc):
    vpc.sync(A)
    second = harness.Vpc()
    second.prefix = vpc.prefix
    second.network = type(vpc.network)(vpc.prefix)

    with pytest.raises(api.HardwareError, match="another process"):
        second.sync(A)


def test_what_this_machine_cannot_show_is_refused_by_name(vpc):
    member = port(12, NODE_1, trunk_eni_id="eni-11", vlan_id=7)

    with pytest.raises(api.HardwareError, match="eni-12 is a member interface"):
        vpc.sync(A, C, member)
    with pytest.raises(api.HardwareError, match=r"10\.0\.0\.2 is on eni-2 and eni-11"):
        vpc.sync(A, B, with_addresses(C, "10.0.0.2"))
    with pytest.raises(api.HardwareError, match="no instance may be called vpc"):
        vpc.sync(A, instances={NODE_1: "vpc"})
