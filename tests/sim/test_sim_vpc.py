"""The simulated VPC product: answers in the SDK's shape, filters, refusals, through real HTTP."""

import pytest
from alibabacloud_tea_openapi import exceptions
from alibabacloud_vpc20160428 import client, models

from tests.sim.conftest import Sim
from tests.sim.test_sim_shapes import describe_faults

VPC = "vpc-bp1sim000000000001"
VSWITCH = "vsw-bp1sim000000000002"


@pytest.fixture
def vpc(sim: Sim) -> client.Client:
    return client.Client(sim._config({}))


def ask(vpc: client.Client, action: str, **fields: object):
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in action).lstrip("_")
    request = getattr(models, f"{action}Request")().from_map({"RegionId": "cn-hangzhou", **fields})
    return getattr(vpc, snake.replace("v_switch", "vswitch"))(request).body


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("DescribeVSwitches", {"VSwitchId": VSWITCH}),
        ("DescribeVSwitchAttributes", {"VSwitchId": VSWITCH}),
        ("DescribeVpcs", {"VpcId": VPC}),
        ("DescribeVpcAttribute", {"VpcId": VPC}),
    ],
)
def test_the_answer_has_every_key_of_the_sdk_model_in_its_type(vpc, action, fields):
    body = ask(vpc, action, **fields)

    assert list(describe_faults(body, action)) == []


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, ["sim-j", "sim-k", "sim-pods-1", "sim-pods-2"]),
        ({"ZoneId": "cn-hangzhou-j"}, ["sim-j"]),
        ({"VSwitchId": VSWITCH}, ["sim-k"]),
        ({"VSwitchName": "sim-pods-2"}, ["sim-pods-2"]),
        ({"VpcId": "vpc-no"}, []),
        ({"PageSize": 3, "PageNumber": 2}, ["sim-pods-2"]),
        ({"EnableIpv6": True}, []),
    ],
)
def test_vswitches_are_filtered_and_paged(vpc, fields, names):
    body = ask(vpc, "DescribeVSwitches", **fields)

    assert [row.v_switch_name for row in body.v_switches.v_switch] == names


def test_vpcs_are_found_by_several_ids_and_tell_their_vswitches(vpc):
    (row,) = ask(vpc, "DescribeVpcs", VpcId=f"vpc-no,{VPC}").vpcs.vpc

    assert row.cidr_block == "192.168.0.0/16"
    assert VSWITCH in row.v_switch_ids.v_switch_id
    assert ask(vpc, "DescribeVpcs", VpcId="vpc-no").vpcs.vpc == []


@pytest.mark.parametrize(
    ("action", "fields", "code"),
    [
        ("DescribeVSwitchAttributes", {"VSwitchId": "vsw-no"}, "InvalidVSwitchId.NotFound"),
        ("DescribeVpcAttribute", {"VpcId": "vpc-no"}, "InvalidVpcId.NotFound"),
    ],
)
def test_what_is_not_there_is_refused(vpc, action, fields, code):
    with pytest.raises(exceptions.ClientException) as caught:
        ask(vpc, action, **fields)

    assert (caught.value.code, caught.value.status_code) == (code, 404)


def test_the_count_of_free_addresses_follows_the_limit_at_once(sim, vpc):
    def count():
        return ask(vpc, "DescribeVSwitchAttributes", VSwitchId=VSWITCH).available_ip_address_count

    row = {"vswitch_id": VSWITCH, "vpc_id": VPC, "zone_id": "cn-hangzhou-k"}
    row |= {"cidr_block": "192.168.1.0/24", "available_limit": 10}

    before = count()
    sim.control("POST", "world", {"vswitches": [row]})

    # 256 without the network's, the gateway and the last two, and two instances have one each.
    assert (before, count()) == (256 - 4 - 2, 10 - 2)
