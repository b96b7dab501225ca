"""Rules of security groups: what calls change, what they refuse, what the network learns."""

import pytest

from sim import errors
from tests.sim.sim_ecs_harness import Ecs, world_of
from tests.sim.test_sim_eni_fabric import Recorder

VPC = "vpc-bp1sim000000000001"
GROUP, OTHER, FOREIGN = "sg-bp1sim000000000001", "sg-2", "sg-foreign"
DECLARED = {"direction": "ingress", "protocol": "tcp", "cidr_block": "10.0.0.0/8"}
HTTP = {"IpProtocol": "TCP", "PortRange": "80/80", "SourceCidrIp": "10.0.0.0/8"}
DNS_OUT = {"IpProtocol": "udp", "PortRange": "53/53", "DestCidrIp": "0.0.0.0/0", "Policy": "Drop"}


@pytest.fixture
def network():
    return Recorder()


def world():
    return world_of(
        first_security_groups={"rules": [DECLARED]},
        vpcs=[{"vpc_id": "vpc-2", "cidr_block": "10.1.0.0/16"}],
        security_groups=[
            {"security_group_id": OTHER, "vpc_id": VPC, "name": "other"},
            {"security_group_id": FOREIGN, "vpc_id": "vpc-2"},
        ],
    )


@pytest.fixture
def ecs(tmp_path, network):
    made = Ecs(tmp_path, declared=world(), network=network)
    yield made
    made.cloud.close()


def rules(ecs, **values):
    wanted = {"SecurityGroupId": GROUP, **values}
    return ecs("DescribeSecurityGroupAttribute", **wanted)["Permissions"]["Permission"]


def test_a_group_has_the_rules_of_the_world_until_a_call_changes_them(ecs, network):
    (declared,) = rules(ecs)
    assert network.fabric.security_groups[GROUP][0].cidr_block == "10.0.0.0/8"

    ecs("AuthorizeSecurityGroup", SecurityGroupId=GROUP, Permissions=[{**HTTP, "Priority": 7}])

    first, second = rules(ecs)
    assert first == declared
    assert (second["IpProtocol"], second["PortRange"], second["Policy"]) == (
        "TCP",
        "80/80",
        "Accept",
    )
    assert (second["SourceCidrIp"], second["Priority"]) == ("10.0.0.0/8", "7")
    told = network.fabric.security_groups[GROUP][1]
    assert (told.protocol, told.port_from, told.port_to, told.priority) == ("tcp", 80, 80, 7)

    ecs(
        "RevokeSecurityGroup",
        SecurityGroupId=GROUP,
        SecurityGroupRuleId=[declared["SecurityGroupRuleId"]],
    )
    ecs("RevokeSecurityGroup", SecurityGroupId=GROUP, Permissions=[{**HTTP, "Priority": 7}])
    assert rules(ecs) == []
    assert network.fabric.security_groups[GROUP] == ()


def test_rules_survive_a_restart_and_a_reset_brings_back_the_worlds(tmp_path):
    ecs = Ecs(tmp_path, declared=world())
    ecs("AuthorizeSecurityGroupEgress", SecurityGroupId=GROUP, **DNS_OUT)
    before = rules(ecs)
    ecs.cloud.close()

    network = Recorder()
    again = Ecs(tmp_path, declared=world(), network=network)

    assert rules(again) == before
    assert len(network.fabric.security_groups[GROUP]) == 2
    again.cloud.reset()
    assert len(rules(again)) == 1
    again.cloud.close()


def test_directions_are_apart_and_the_flat_parameters_still_work(ecs):
    ecs("AuthorizeSecurityGroupEgress", SecurityGroupId=GROUP, **DNS_OUT)

    (out,) = rules(ecs, Direction="egress")
    (into,) = rules(ecs, Direction="ingress")

    assert (out["Direction"], out["DestCidrIp"], out["SourceCidrIp"]) == ("egress", "0.0.0.0/0", "")
    assert (out["Policy"], into["Direction"]) == ("Drop", "ingress")
    missing = (400, "InvalidSecurityGroupRule.RuleNotExist")
    wrong = {"SecurityGroupId": GROUP, "SecurityGroupRuleId": [out["SecurityGroupRuleId"]]}
    assert ecs.refused("RevokeSecurityGroup", **wrong) == (
        404,
        "InvalidSecurityGroupRuleId.NotFound",
    )
    ecs("RevokeSecurityGroupEgress", SecurityGroupId=GROUP, **DNS_OUT)
    assert ecs.refused("RevokeSecurityGroupEgress", SecurityGroupId=GROUP, **DNS_OUT) == missing


def test_a_rule_that_is_there_already_is_not_made_twice(ecs):
    for _ in range(2):
        ecs("AuthorizeSecurityGroup", SecurityGroupId=GROUP, Permissions=[HTTP])

    assert len(rules(ecs)) == 2


def test_a_rule_may_name_another_group_and_is_counted(ecs, network):
    rule = {"IpProtocol": "ALL", "PortRange": "-1/-1", "SourceGroupId": OTHER}
    ecs("AuthorizeSecurityGroup", SecurityGroupId=GROUP, Permissions=[rule])

    _, told = rules(ecs)
    (group,) = ecs("DescribeSecurityGroups", SecurityGroupId=GROUP)["SecurityGroups"][
        "SecurityGroup"
    ]

    assert (told["SourceGroupId"], told["SourceGroupName"]) == (OTHER, "other")
    assert (group["RuleCount"], group["GroupToGroupRuleCount"]) == (2, 1)
    assert network.fabric.security_groups[GROUP][1].source_group_id == OTHER


def test_pages_of_rules(ecs):
    wanted = [{**HTTP, "Priority": n} for n in range(1, 25)]
    ecs("AuthorizeSecurityGroup", SecurityGroupId=GROUP, Permissions=wanted)

    first = ecs("DescribeSecurityGroupAttribute", SecurityGroupId=GROUP, MaxResults=20)
    rest = ecs(
        "DescribeSecurityGroupAttribute", SecurityGroupId=GROUP, NextToken=first["NextToken"]
    )

    counts = [len(each["Permissions"]["Permission"]) for each in (first, rest)]
    assert (counts, rest["NextToken"]) == ([20, 5], "")
    assert len(rules(ecs)) == 25


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"IpProtocol": "sctp"}, (400, "InvalidIpProtocol.ValueNotSupported")),
        ({"IpProtocol": ""}, (400, "InvalidIpProtocol.ValueNotSupported")),
        ({"PortRange": ""}, (400, "InvalidPortRange.Malformed")),
        ({"PortRange": "80"}, (400, "InvalidParam.PortRange")),
        ({"PortRange": "81/80"}, (400, "InvalidParam.PortRange")),
        ({"PortRange": "0/80"}, (400, "InvalidParam.PortRange")),
        ({"PortRange": "-1/-1"}, (400, "InvalidParam.PortRange")),
        ({"IpProtocol": "icmp"}, (400, "InvalidParam.PortRange")),
        ({"Policy": "reject"}, (400, "InvalidPolicy.Malformed")),
        ({"NicType": "internet"}, (400, "InvalidNicType.ValueNotSupported")),
        ({"Priority": "0"}, (400, "InvalidPriority.ValueNotSupported")),
        ({"Priority": "101"}, (400, "InvalidPriority.ValueNotSupported")),
        ({"SourceCidrIp": ""}, (400, "MissingParameter.Source")),
        ({"SourceCidrIp": "10.0.0.1/8"}, (400, "InvalidParam.SourceCidrIp")),
        ({"SourceCidrIp": "", "Ipv6SourceCidrIp": "x"}, (400, "InvalidParam.Ipv6SourceCidrIp")),
        ({"Ipv6SourceCidrIp": "fd00::/8"}, (400, "InvalidParam.SourceIp")),
        ({"SourceCidrIp": "", "SourceGroupId": GROUP}, (400, "InvalidParamter.Conflict")),
        ({"SourceCidrIp": "", "SourceGroupId": "sg-no"}, (404, "InvalidSourceGroupId.NotFound")),
        ({"SourceCidrIp": "", "SourceGroupId": FOREIGN}, (400, "InvalidSourceGroupId.Mismatch")),
        ({"SourcePrefixListId": "pl-1"}, (400, "InvalidParameter")),
        ({"SourcePortRange": "1/2"}, (400, "InvalidParameter")),
        ({"DestCidrIp": "10.0.0.0/8"}, (400, "InvalidParameter")),
        ({"Description": "x" * 513}, (400, "InvalidSecurityGroupDiscription.Malformed")),
    ],
)
def test_a_rule_that_cannot_be_is_refused(ecs, changes, verdict):
    wanted = {name: value for name, value in (HTTP | changes).items() if value}

    assert (
        ecs.refused("AuthorizeSecurityGroup", SecurityGroupId=GROUP, Permissions=[wanted])
        == verdict
    )
    assert ecs.refused("AuthorizeSecurityGroup", SecurityGroupId=GROUP, **wanted) == verdict


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"SecurityGroupId": "sg-no", **HTTP}, (404, "InvalidSecurityGroupId.NotFound")),
        ({"Permissions": [HTTP], **HTTP}, (400, "InvalidParam.Permissions")),
        ({"Permissions": [HTTP, HTTP]}, (400, "InvalidParam.DuplicatePermissions")),
        ({"Permissions": [HTTP] * 101}, (400, "InvalidParameter")),
        ({}, (400, "MissingParameter")),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(ecs, values, verdict):
    assert ecs.refused("AuthorizeSecurityGroup", **{"SecurityGroupId": GROUP, **values}) == verdict


def test_egress_rules_name_their_destination(ecs):
    def refused(**changes):
        wanted = {"IpProtocol": "tcp", "PortRange": "1/2", **changes}
        return ecs.refused("AuthorizeSecurityGroupEgress", SecurityGroupId=GROUP, **wanted)

    assert refused() == (400, "MissingParameter.Dest")
    assert refused(SourceCidrIp="10.0.0.0/8") == (400, "InvalidParameter")
    assert refused(DestGroupId="sg-no") == (404, "InvalidDestGroupId.NotFound")
    assert refused(DestGroupId=FOREIGN) == (400, "InvalidDestGroupId.Mismatch")


def test_a_group_has_at_most_200_rules(ecs):
    for first in (1, 101):
        wanted = [{**HTTP, "PortRange": f"{n}/{n}"} for n in range(first, first + 100)]
        if first == 1:
            ecs("AuthorizeSecurityGroup", SecurityGroupId=GROUP, Permissions=wanted)

    # One is the world's.
    assert ecs.refused("AuthorizeSecurityGroup", SecurityGroupId=GROUP, Permissions=wanted) == (
        403,
        "AuthorizationLimitExceed",
    )


def test_rules_that_the_network_refuses_are_not_there(ecs, network):
    network.failing = True
    with pytest.raises(errors.ApiError, match="no room for a link"):
        ecs("AuthorizeSecurityGroup", SecurityGroupId=GROUP, Permissions=[HTTP])
    network.failing = False

    assert len(rules(ecs)) == 1
