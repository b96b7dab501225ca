"""What calls to the simulated cloud do to packets: rules, routes, IPv6, prefixes. Needs root."""

import dataclasses
import json
import os
import pathlib
import subprocess

import pytest

from tests.kernel import sim_network_harness as harness
from tests.sim.sim_ecs_harness import NODE_1, NODE_2, Ecs, world_of

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

VPC, GROUP, OTHER = "vpc-bp1sim000000000001", "sg-bp1sim000000000001", "sg-2"
VSWITCH = "vsw-bp1sim000000000003"
TABLE = "vtb-bp1sim000000000001"
ENI_1, ENI_2 = "eni-bp1sim000000000001", "eni-bp1sim000000000002"
ONE, TWO = (NODE_1, "192.168.1.11"), (NODE_2, "192.168.1.12")
GATEWAY_6 = "2408:4005:0:1:ffff:ffff:ffff:fffd"


@pytest.fixture
def vpc():
    made = harness.Vpc()
    yield made
    made.close()


@pytest.fixture
def cloud(tmp_path, vpc):
    """A cloud with two nodes: node-1 in a group of its own."""
    world = world_of(
        security_groups=[{"security_group_id": OTHER, "vpc_id": VPC}],
        first_instances={"security_group_ids": [OTHER]},
    )
    made = Ecs(tmp_path, declared=world, network=vpc.network)
    yield made
    made.cloud.close()


def let_all_in(cloud):
    for group, other in ((GROUP, OTHER), (OTHER, GROUP)):
        rule = {"IpProtocol": "all", "PortRange": "-1/-1", "SourceGroupId": other}
        cloud("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule])


def configure(vpc, node, address):
    """As a guest does with an IPv6 address that it is told of."""
    vpc.sh(node, f"ip addr add {address}/128 dev eth0 nodad")
    vpc.sh(node, f"ip -6 route replace default via {GATEWAY_6} dev eth0 onlink")


def test_rules_that_are_authorized_and_revoked_decide_packets(cloud, vpc):
    port = f"{harness.PORT}/{harness.PORT}"
    rule = {"IpProtocol": "udp", "PortRange": port, "SourceCidrIp": "192.168.1.12/32"}
    which = {"SecurityGroupId": OTHER, "Permissions": [rule]}
    assert not vpc.arrives(TWO, ONE, lost=True)

    cloud("AuthorizeSecurityGroup", **which)
    assert vpc.arrives(TWO, ONE)

    cloud("RevokeSecurityGroup", **which)
    assert not vpc.arrives(TWO, ONE, lost=True)
    assert vpc.drops() == {"security_group": 2}


def test_an_egress_rule_stops_packets_at_the_sender(cloud, vpc):
    let_all_in(cloud)
    assert vpc.arrives(ONE, TWO)
    rule = {"IpProtocol": "udp", "PortRange": "1/65535", "DestGroupId": GROUP, "Policy": "drop"}

    cloud("AuthorizeSecurityGroupEgress", SecurityGroupId=OTHER, Permissions=[rule])

    assert not vpc.arrives(ONE, TWO, lost=True)
    assert vpc.arrives(TWO, ONE)


def test_a_custom_route_leads_to_an_instance_until_it_is_deleted(cloud, vpc):
    let_all_in(cloud)
    vpc.sh("node-2", "ip addr add 172.16.3.4/32 dev lo")
    target = (NODE_2, "172.16.3.4")
    cloud("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=ENI_2, SourceDestCheck=False)
    assert not vpc.arrives(ONE, target, lost=True)

    entry = {"RouteTableId": TABLE, "DestinationCidrBlock": "172.16.0.0/16"}
    entry_id = cloud("CreateRouteEntry", **entry, NextHopId=NODE_2)["RouteEntryId"]
    assert vpc.arrives(ONE, target)

    cloud("DeleteRouteEntry", RouteEntryId=entry_id)
    assert not vpc.arrives(ONE, target, lost=True)
    assert vpc.drops() == {"unassigned": 2}


def test_a_default_route_leads_to_an_instance(cloud, vpc):
    let_all_in(cloud)
    vpc.sh("node-2", "ip addr add 8.8.8.8/32 dev lo")
    cloud("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=ENI_2, SourceDestCheck=False)
    entry = {"RouteTableId": TABLE, "DestinationCidrBlock": "0.0.0.0/0"}

    cloud("CreateRouteEntry", **entry, NextHopId=NODE_2)

    assert vpc.arrives(ONE, (NODE_2, "8.8.8.8"))


def test_an_ipv6_address_works_from_assign_to_unassign(cloud, vpc):
    let_all_in(cloud)
    first, second = (
        cloud("AssignIpv6Addresses", NetworkInterfaceId=eni_id, Ipv6AddressCount=1)["Ipv6Sets"][
            "Ipv6Address"
        ][0]
        for eni_id in (ENI_1, ENI_2)
    )
    configure(vpc, "node-1", first)
    configure(vpc, "node-2", second)

    assert vpc.arrives((NODE_1, first), (NODE_2, second))
    assert vpc.arrives((NODE_2, second), (NODE_1, first))
    assert vpc.drops() == {}
    cloud("UnassignIpv6Addresses", NetworkInterfaceId=ENI_2, Ipv6Address=[second])
    assert not vpc.arrives((NODE_1, first), (NODE_2, second), lost=True)


def test_prefixes_are_delivered_whether_or_not_there_is_an_address_of_the_family(cloud, vpc):
    let_all_in(cloud)
    which = {"NetworkInterfaceId": ENI_2}
    cloud("AssignPrivateIpAddresses", **which, Ipv4Prefix=["192.168.1.64/28"])
    cloud("AssignIpv6Addresses", **which, Ipv6Prefix=["2408:4005:0:1:7::/80"])
    told = cloud("AssignIpv6Addresses", NetworkInterfaceId=ENI_1, Ipv6AddressCount=1)
    (first,) = told["Ipv6Sets"]["Ipv6Address"]
    configure(vpc, "node-1", first)
    configure(vpc, "node-2", "2408:4005:0:1:7::42")
    vpc.sh("node-2", "ip addr add 192.168.1.77/32 dev eth0")

    assert vpc.arrives(ONE, (NODE_2, "192.168.1.77"))
    assert vpc.arrives((NODE_2, "192.168.1.77"), ONE)
    assert vpc.arrives((NODE_1, first), (NODE_2, "2408:4005:0:1:7::42"))
    assert vpc.arrives((NODE_2, "2408:4005:0:1:7::42"), (NODE_1, first))
    assert vpc.drops() == {}


def test_the_network_is_the_same_after_a_restart(cloud, vpc, tmp_path):
    let_all_in(cloud)
    cloud("AssignIpv6Addresses", NetworkInterfaceId=ENI_2, Ipv6PrefixCount=1)
    cloud("AssignPrivateIpAddresses", NetworkInterfaceId=ENI_2, Ipv4PrefixCount=2)
    entry = {"RouteTableId": TABLE, "DestinationCidrBlock": "172.16.0.0/16"}
    cloud("CreateRouteEntry", **entry, NextHopId=NODE_2)
    before = vpc.dump()

    cloud.cloud.close()
    vpc.restart()
    again = Ecs(tmp_path, declared=cloud.cloud.world, network=vpc.network)

    assert vpc.dump() == before
    again.cloud.close()


def test_a_released_instance_loses_its_links_and_another_of_its_name_has_a_network_of_its_own(
    cloud, vpc
):
    let_all_in(cloud)
    assert vpc.arrives(ONE, TWO)
    eni_id = cloud("CreateNetworkInterface", VSwitchId=VSWITCH, SecurityGroupIds=[OTHER])[
        "NetworkInterfaceId"
    ]
    cloud.wait()
    cloud("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1)
    cloud.wait()
    with pathlib.Path(f"/run/netns/{vpc.namespace(NODE_1)}").open("rb") as held:
        inside = ["nsenter", f"--net=/proc/self/fd/{held.fileno()}", "ip", "-o", "link"]

        def links():
            done = subprocess.run(
                inside, check=True, capture_output=True, text=True, pass_fds=[held.fileno()]
            )
            return [line.split()[1].split("@")[0] for line in done.stdout.splitlines()]

        assert {"eth0", "eth1"} <= set(links())

        cloud("DeleteInstance", InstanceId=NODE_1, Force=True)
        cloud.wait()

        assert not {"eth0", "eth1"} & set(links())
    assert not pathlib.Path(f"/run/netns/{vpc.namespace(NODE_1)}").exists()

    row = json.loads(json.dumps(dataclasses.asdict(world_of().instances[0])))
    row |= {"instance_id": "i-new", "eni_id": "eni-new", "mac": "00:16:3e:00:00:77"}
    cloud.cloud.change_world({"instances": [row]})

    assert "00:16:3e:00:00:77" in vpc.sh("node-1", "ip link show eth0")
    assert vpc.arrives(ONE, TWO)
    assert vpc.arrives(TWO, ONE)
