"""Interfaces of the simulated ECS: addresses, states, quotas, refusals."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import errors
from sim.ecs import eni_blocks
from tests.sim.sim_ecs_harness import NODE_1, NODE_2, Ecs

VSWITCH = "vsw-bp1sim000000000002"
OTHER_ZONE = "vsw-bp1sim000000000001"
GROUP = "sg-bp1sim000000000001"


@pytest.fixture
def ecs(tmp_path):
    made = Ecs(tmp_path)
    yield made
    made.cloud.close()


def create(ecs, **changes):
    values = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP], **changes}
    eni_id = ecs("CreateNetworkInterface", **values)["NetworkInterfaceId"]
    ecs.wait()
    return eni_id


def attached(ecs, instance_id=NODE_1, **changes):
    eni_id = create(ecs, **changes)
    ecs("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=instance_id)
    ecs.wait()
    return eni_id


def describe(ecs, eni_id):
    return ecs("DescribeNetworkInterfaces", NetworkInterfaceId=[eni_id])["NetworkInterfaceSets"][
        "NetworkInterfaceSet"
    ][0]


def refused(ecs, action, **parameters):
    with pytest.raises(errors.ApiError) as caught:
        ecs(action, **parameters)
    return caught.value.code, caught.value.http_status


def ips(row):
    return [each["PrivateIpAddress"] for each in row["PrivateIpSets"]["PrivateIpSet"]]


def test_an_interface_goes_through_its_states(ecs):
    eni_id = ecs("CreateNetworkInterface", VSwitchId=VSWITCH, SecurityGroupIds=[GROUP])[
        "NetworkInterfaceId"
    ]
    seen = [describe(ecs, eni_id)["Status"]]
    ecs.wait()
    seen.append(describe(ecs, eni_id)["Status"])
    ecs("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1)
    seen.append(describe(ecs, eni_id)["Status"])
    ecs.wait()
    seen.append(describe(ecs, eni_id)["Status"])
    assert describe(ecs, eni_id)["InstanceId"] == NODE_1
    ecs("DetachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1)
    seen.append(describe(ecs, eni_id)["Status"])
    ecs.wait()
    seen.append(describe(ecs, eni_id)["Status"])
    ecs("DeleteNetworkInterface", NetworkInterfaceId=eni_id)
    ecs.wait()

    assert seen == ["Creating", "Available", "Attaching", "InUse", "Detaching", "Available"]
    assert refused(ecs, "DeleteNetworkInterface", NetworkInterfaceId=eni_id) == (
        "InvalidEniId.NotFound",
        404,
    )


def test_the_primary_interface_is_there_and_stays(ecs):
    (row,) = ecs("DescribeNetworkInterfaces", InstanceId=NODE_1)["NetworkInterfaceSets"][
        "NetworkInterfaceSet"
    ]

    assert (row["Type"], row["Status"]) == ("Primary", "InUse")
    assert refused(
        ecs,
        "DetachNetworkInterface",
        NetworkInterfaceId=row["NetworkInterfaceId"],
        InstanceId=NODE_1,
    ) == ("InvalidOperation.DetachPrimaryEniNotAllowed", 400)


def test_addresses_are_assigned_and_given_back(ecs):
    eni_id = attached(ecs)
    added = ecs(
        "AssignPrivateIpAddresses", NetworkInterfaceId=eni_id, SecondaryPrivateIpAddressCount=3
    )["AssignedPrivateIpAddressesSet"]["PrivateIpSet"]["PrivateIpAddress"]

    assert ips(describe(ecs, eni_id))[1:] == added
    ecs("UnassignPrivateIpAddresses", NetworkInterfaceId=eni_id, PrivateIpAddress=added[:1])
    assert ips(describe(ecs, eni_id))[1:] == added[1:]
    assert refused(
        ecs, "UnassignPrivateIpAddresses", NetworkInterfaceId=eni_id, PrivateIpAddress=added
    ) == ("InvalidIp.IpUnassigned", 403)
    assert ips(describe(ecs, eni_id))[1:] == added[1:]


def test_the_instance_type_limits_interfaces_and_addresses(ecs):
    first = attached(ecs)
    attached(ecs)
    third = create(ecs)

    assert refused(ecs, "AttachNetworkInterface", NetworkInterfaceId=third, InstanceId=NODE_1) == (
        "EniPerInstanceLimitExceeded",
        403,
    )
    assert refused(
        ecs,
        "AssignPrivateIpAddresses",
        NetworkInterfaceId=first,
        SecondaryPrivateIpAddressCount=6,
    ) == ("InvalidOperation.Ipv4CountExceeded", 403)


def test_a_vswitch_runs_dry(ecs):
    row = next(each for each in ecs.cloud.world.vswitches if each.vswitch_id == VSWITCH)
    plain = {"vswitch_id": VSWITCH, "vpc_id": row.vpc_id, "zone_id": row.zone_id}
    plain |= {"cidr_block": row.cidr_block, "available_limit": 3}
    ecs.cloud.change_world({"vswitches": [plain]})
    create(ecs)

    assert refused(ecs, "CreateNetworkInterface", VSwitchId=VSWITCH, SecurityGroupIds=[GROUP]) == (
        "InvalidVSwitchId.IpNotEnough",
        403,
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"VSwitchId": "vsw-no"}, "InvalidVSwitchId.NotFound"),
        ({"SecurityGroupIds": ["sg-no"]}, "InvalidSecurityGroupId.NotFound"),
        ({"VSwitchId": ""}, "MissingParameter"),
        ({"Ipv6AddressCount": 1}, "InvalidVSwitch.Ipv6NotTurnOn"),
        ({"InstanceType": "Member"}, "InvalidParameter"),
        ({"PrimaryIpAddress": "10.0.0.1"}, "InvalidVSwitchId.IpInvalid"),
        ({"PrimaryIpAddress": "192.168.1.11"}, "InvalidIp.IpAssigned"),
    ],
)
def test_what_cannot_be_made_is_refused(ecs, changes, code):
    values = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP], **changes}

    assert refused(ecs, "CreateNetworkInterface", **values)[0].startswith(code)


def test_an_interface_of_another_zone_or_state_is_not_attached(ecs):
    elsewhere = create(ecs, VSwitchId=OTHER_ZONE)
    used = attached(ecs)

    assert (
        refused(ecs, "AttachNetworkInterface", NetworkInterfaceId=elsewhere, InstanceId=NODE_1)[0]
        == "InvalidOperation.AvailabilityZoneMismatch"
    )
    assert (
        refused(ecs, "AttachNetworkInterface", NetworkInterfaceId=used, InstanceId=NODE_2)[0]
        == "InvalidOperation.InvalidEniState"
    )
    assert (
        refused(ecs, "DeleteNetworkInterface", NetworkInterfaceId=used)[0]
        == "InvalidOperation.InvalidEniState"
    )


def test_interfaces_are_found_by_tag_and_status(ecs):
    mine = create(ecs, Tag=[{"Key": "owner", "Value": "me"}])
    create(ecs)

    rows = ecs(
        "DescribeNetworkInterfaces", Tag=[{"Key": "owner", "Value": "me"}], Status="Available"
    )["NetworkInterfaceSets"]["NetworkInterfaceSet"]

    assert [row["NetworkInterfaceId"] for row in rows] == [mine]


@given(
    st.sets(st.integers(0, 60)),
    st.dictionaries(st.integers(0, 60), st.floats(1, 100)),
    st.integers(0, 70),
)
def test_addresses_are_chosen_once_each_and_the_last_freed_last(numbers, freed_at, count):
    free = [str(ipaddress.IPv4Address("10.0.0.0") + n) for n in numbers]
    freed = {str(ipaddress.IPv4Address("10.0.0.0") + n): at for n, at in freed_at.items()}

    chosen = eni_blocks.choose(free, freed, count)

    assert len(chosen) == len(set(chosen)) == min(count, len(free))
    assert set(chosen) <= set(free)
    left = set(free) - set(chosen)
    if chosen and left:
        assert max(freed.get(ip, 0) for ip in chosen) <= min(freed.get(ip, 0) for ip in left)


def test_the_last_three_addresses_of_a_block_and_its_first_are_reserved():
    assert eni_blocks.usable("10.0.0.0/29") == [f"10.0.0.{n}" for n in (1, 2, 3, 4)]
