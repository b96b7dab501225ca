"""What the world may say about blocks, routes and rules of security groups."""

import pytest
import yaml

from sim import world

VPC = "vpc-bp1sim000000000001"
GROUP = "sg-bp1sim000000000001"
NODE_1 = "i-bp1sim000000000001"
FOREIGN_VPC = {"vpc_id": "vpc-2", "cidr_block": "10.0.0.0/16"}
FOREIGN_GROUP = {"security_group_id": "sg-2", "vpc_id": "vpc-2"}


def plain(**changes):
    """The default world with IPv6, a second VPC with a group, and *changes* to first rows."""
    made = yaml.safe_load(world.DEFAULT_FILE.read_text())
    made["vpcs"][0]["ipv6_cidr_block"] = "2408:4005::/56"
    for n, row in enumerate(made["vswitches"]):
        row["ipv6_cidr_block"] = f"2408:4005:0:{n}::/64"
    made["vpcs"].append(FOREIGN_VPC)
    made["security_groups"].append(FOREIGN_GROUP)
    for section, change in changes.items():
        made[section][0] |= change
    return made


def rule(**fields):
    return {"direction": "ingress", "cidr_block": "0.0.0.0/0", **fields}


def test_blocks_routes_and_rules_are_read() -> None:
    routes = [{"cidr_block": "172.16.0.0/16", "instance_id": NODE_1}]
    rules = [rule(protocol="tcp", port_from=80, port_to=443, policy="drop", priority=100)]

    made = world.parse(plain(vpcs={"routes": routes}, security_groups={"rules": rules}))

    assert made.vpcs[0].routes[0].instance_id == NODE_1
    assert made.security_groups[0].rules[0].port_to == 443
    assert made.vswitches[3].ipv6_cidr_block == "2408:4005:0:3::/64"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vpcs": {"ipv6_cidr_block": "2408:4005::/64"}}, "must be a /56"),
        ({"vpcs": {"ipv6_cidr_block": "10.0.0.0/8"}}, "vpcs: "),
        ({"vpcs": {"ipv6_cidr_block": ""}}, "vpc-bp1sim000000000001's no block"),
        ({"vswitches": {"ipv6_cidr_block": "2408:4005::/80"}}, "must be a /64"),
        ({"vswitches": {"ipv6_cidr_block": "2408:4005:0:100::/64"}}, "is not in"),
        ({"vswitches": {"ipv6_cidr_block": "2408:4005:0:1::/64"}}, "overlaps with"),
        ({"vswitches": {"cidr_block": "10.1.0.0/24"}}, "is not in vpc-bp1sim000000000001's"),
        ({"vswitches": {"cidr_block": "192.168.0.0/23"}}, "overlaps with 192.168.0.0/23"),
    ],
)
def test_blocks_must_nest_and_not_overlap(changes, words) -> None:
    with pytest.raises(world.WorldError) as refused:
        world.parse(plain(**changes))

    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ({"cidr_block": "172.16.0.0/16"}, "needs either eni_id or instance_id"),
        ({"cidr_block": "172.16.0.1/16", "instance_id": NODE_1}, "has host bits set"),
        ({"cidr_block": "fd00::/64", "instance_id": NODE_1}, "Expected 4 octets"),
        ({"cidr_block": "172.16.0.0/16", "instance_id": "i-no"}, "i-no, which is not in"),
        ({"cidr_block": "172.16.0.0/16", "eni_id": "eni-no"}, "eni-no, which is not in"),
        ({"cidr_block": "192.168.1.0/25", "instance_id": NODE_1}, "is inside vsw-"),
        ({"cidr_block": "100.64.0.0/10", "instance_id": NODE_1}, "cloud's own services"),
    ],
)
def test_routes_lead_from_outside_the_vswitches_to_an_interface(route, words) -> None:
    with pytest.raises(world.WorldError) as refused:
        world.parse(plain(vpcs={"routes": [route]}))

    assert words in str(refused.value)


def test_two_routes_to_one_block_and_routes_into_another_vpc_are_refused() -> None:
    route = {"cidr_block": "172.16.0.0/16", "instance_id": NODE_1}
    made = plain(vpcs={"routes": [route, route]})
    made["vpcs"][1] = FOREIGN_VPC | {"routes": [route]}

    with pytest.raises(world.WorldError) as refused:
        world.parse(made)

    assert "has two routes to 172.16.0.0/16" in str(refused.value)
    assert f"vpc-2 has a route to {NODE_1} of another VPC" in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"direction": "in"}, "must be one of ingress, egress"),
        ({"protocol": "sctp"}, "must be one of all, tcp, udp, icmp, gre"),
        ({"cidr_block": ""}, "needs either cidr_block or source_group_id"),
        ({"source_group_id": "sg-2"}, "needs either cidr_block or source_group_id"),
        ({"cidr_block": "10.0.0.1/8"}, "is no block of addresses"),
        ({"priority": 0}, "needs a priority from 1 to 100, has 0"),
        ({"priority": 101}, "needs a priority from 1 to 100, has 101"),
        ({"port_from": 80, "port_to": 80}, "has ports, which all has not"),
        ({"protocol": "tcp", "port_from": 80}, "needs 1 <= port_from <= port_to"),
        ({"protocol": "udp", "port_from": 9, "port_to": 65536}, "port_to <= 65535"),
        ({"cidr_block": "", "source_group_id": "sg-no"}, "sg-no, which is not in"),
        ({"cidr_block": "", "source_group_id": "sg-2"}, "names sg-2 of another VPC"),
        ({"cidr_block": "", "source_group_id": GROUP}, "names its own group"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(fields, words) -> None:
    with pytest.raises(world.WorldError) as refused:
        world.parse(plain(security_groups={"rules": [rule(**fields)]}))

    assert words in str(refused.value)
