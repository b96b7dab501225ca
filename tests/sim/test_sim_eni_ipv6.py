"""IPv6 addresses and prefixes of interfaces: life cycle, limits, refusals."""

import ipaddress

import pytest

from sim.ecs import eni_addresses, eni_blocks
from tests.sim.sim_ecs_harness import NODE_1, Ecs, world_of

VSWITCH, BLOCK = "vsw-bp1sim000000000002", "2408:4005:0:1::/64"
GROUP = "sg-bp1sim000000000001"
NO_IPV6 = "ecs.g6.large"


@pytest.fixture
def ecs(tmp_path):
    made = Ecs(tmp_path, declared=world_of())
    yield made
    made.cloud.close()


def create(ecs, **changes):
    values = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP], **changes}
    eni_id = ecs("CreateNetworkInterface", **values)["NetworkInterfaceId"]
    ecs.wait()
    return eni_id


def attached(ecs, **changes):
    eni_id = create(ecs, **changes)
    ecs("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1)
    ecs.wait()
    return eni_id


def six(ecs, **values):
    answer = ecs("AssignIpv6Addresses", **values)
    return answer["Ipv6Sets"]["Ipv6Address"], answer["Ipv6PrefixSets"]["Ipv6Prefix"]


def four(ecs, **values):
    told = ecs("AssignPrivateIpAddresses", **values)["AssignedPrivateIpAddressesSet"]
    return told["PrivateIpSet"]["PrivateIpAddress"], told["Ipv4PrefixSet"]["Ipv4Prefixes"]


def shown(ecs, eni_id):
    """(IPv4, IPv6, IPv4 prefixes, IPv6 prefixes) as Describe tells them."""
    row = ecs("DescribeNetworkInterfaceAttribute", NetworkInterfaceId=eni_id)
    return (
        [each["PrivateIpAddress"] for each in row["PrivateIpSets"]["PrivateIpSet"]],
        [each["Ipv6Address"] for each in row["Ipv6Sets"]["Ipv6Set"]],
        [each["Ipv4Prefix"] for each in row["Ipv4PrefixSets"]["Ipv4PrefixSet"]],
        [each["Ipv6Prefix"] for each in row["Ipv6PrefixSets"]["Ipv6PrefixSet"]],
    )


def room(ecs):
    return eni_addresses.free_count(ecs.cloud, ecs.cloud.world.vswitch(VSWITCH))


def test_ipv6_addresses_are_assigned_shown_found_and_given_back(ecs):
    eni_id = attached(ecs, Ipv6AddressCount=2)
    named = "2408:4005:0:1:0:0:0:99"

    added, _ = six(ecs, NetworkInterfaceId=eni_id, Ipv6Address=[named])

    assert added == ["2408:4005:0:1::99"]
    _, addresses, *_ = shown(ecs, eni_id)
    assert addresses[2:] == added
    assert all(ipaddress.ip_address(each) in ipaddress.ip_network(BLOCK) for each in addresses)
    found = ecs("DescribeNetworkInterfaces", Ipv6Address=added)["NetworkInterfaceSets"]
    assert [row["NetworkInterfaceId"] for row in found["NetworkInterfaceSet"]] == [eni_id]
    ecs("UnassignIpv6Addresses", NetworkInterfaceId=eni_id, Ipv6Address=[named])
    assert shown(ecs, eni_id)[1] == addresses[:2]


def test_prefixes_are_aligned_apart_from_addresses_and_given_back(ecs):
    eni_id = attached(ecs, Ipv4PrefixCount=1, Ipv6PrefixCount=1, PrimaryIpAddress="192.168.1.40")
    before = room(ecs)

    _, blocks = four(ecs, NetworkInterfaceId=eni_id, Ipv4Prefix=["192.168.1.64/28"])
    _, more = six(ecs, NetworkInterfaceId=eni_id, Ipv6Prefix=["2408:4005:0:1:5::/80"])

    # The first 28 holds reserved addresses, node-1 and node-2; the third holds the primary one.
    assert shown(ecs, eni_id)[2:] == (
        ["192.168.1.16/28", "192.168.1.64/28"],
        ["2408:4005:0:1:1::/80", "2408:4005:0:1:5::/80"],
    )
    assert (blocks, more) == (["192.168.1.64/28"], ["2408:4005:0:1:5::/80"])
    assert before - room(ecs) == 16
    ecs("UnassignPrivateIpAddresses", NetworkInterfaceId=eni_id, Ipv4Prefix=blocks)
    ecs("UnassignIpv6Addresses", NetworkInterfaceId=eni_id, Ipv6Prefix=more)
    assert shown(ecs, eni_id)[2:] == (["192.168.1.16/28"], ["2408:4005:0:1:1::/80"])
    assert room(ecs) == before


def test_addresses_and_prefixes_of_one_call_do_not_overlap(ecs):
    eni_id = create(
        ecs,
        PrivateIpAddress=["192.168.1.20"],
        Ipv4PrefixCount=2,
        Ipv6Address=["2408:4005:0:1:1::7"],
        Ipv6PrefixCount=1,
    )

    addresses, _, blocks, more = shown(ecs, eni_id)

    assert addresses[1] == "192.168.1.20"
    assert blocks == ["192.168.1.32/28", "192.168.1.48/28"]
    assert more == ["2408:4005:0:1:2::/80"]


def test_single_addresses_stay_out_of_prefixes(ecs):
    taken = create(ecs, Ipv4PrefixCount=10)
    eni_id = create(ecs, SecondaryPrivateIpAddressCount=49)

    blocks = [ipaddress.ip_network(each) for each in shown(ecs, taken)[2]]
    addresses = [ipaddress.ip_address(each) for each in shown(ecs, eni_id)[0]]

    assert not [each for each in addresses if any(each in block for block in blocks)]


@pytest.mark.parametrize(
    ("action", "changes", "verdict"),
    [
        ("AssignIpv6Addresses", {}, (400, "MissingParameter")),
        ("AssignIpv6Addresses", {"Ipv6AddressCount": 11}, (400, "InvalidParameter")),
        (
            "AssignIpv6Addresses",
            {"Ipv6AddressCount": 1, "Ipv6PrefixCount": 1},
            (400, "InvalidParameter"),
        ),
        (
            "AssignIpv6Addresses",
            {"Ipv6AddressCount": 1, "Ipv6Address": ["2408:4005:0:1::7"]},
            (400, "InvalidParameter"),
        ),
        ("AssignIpv6Addresses", {"Ipv6Address": ["x"]}, (403, "InvalidIp.Address")),
        (
            "AssignIpv6Addresses",
            {"Ipv6Address": ["2408:4005:0:2::7"]},
            (403, "InvalidVSwitchId.IpInvalid"),
        ),
        (
            "AssignIpv6Addresses",
            {"Ipv6Address": ["2408:4005:0:1:ffff:ffff:ffff:fffd"]},
            (403, "InvalidVSwitchId.IpInvalid"),
        ),
        (
            "AssignIpv6Addresses",
            {"Ipv6Address": ["2408:4005:0:1::7", "2408:4005:0:1::07"]},
            (403, "InvalidIp.IpRepeated"),
        ),
        (
            "AssignIpv6Addresses",
            {"Ipv6Address": ["2408:4005:0:1::5"]},
            (403, "InvalidIp.IpAssigned"),
        ),
        (
            "AssignIpv6Addresses",
            {"Ipv6Address": ["2408:4005:0:1:9::7"]},
            (403, "InvalidIp.IpAssigned"),
        ),
        ("AssignIpv6Addresses", {"Ipv6Prefix": [f"{BLOCK}"]}, (400, "InvalidParameter")),
        (
            "AssignIpv6Addresses",
            {"Ipv6Prefix": ["2408:4005:0:1:9::/80"]},
            (403, "InvalidIp.IpAssigned"),
        ),
        (
            "AssignIpv6Addresses",
            {"Ipv6Prefix": ["2408:4005:0:1::/80"]},
            (403, "InvalidVSwitchId.IpInvalid"),
        ),
        (
            "AssignPrivateIpAddresses",
            {"SecondaryPrivateIpAddressCount": 1, "Ipv4PrefixCount": 1},
            (400, "InvalidParameter"),
        ),
        (
            "AssignPrivateIpAddresses",
            {"Ipv4Prefix": ["192.168.1.8/28"]},
            (400, "InvalidParameter"),
        ),
        (
            "AssignPrivateIpAddresses",
            {"Ipv4Prefix": ["192.168.2.16/28"]},
            (403, "InvalidVSwitchId.IpInvalid"),
        ),
        (
            "AssignPrivateIpAddresses",
            {"Ipv4Prefix": ["192.168.1.240/28"]},
            (403, "InvalidVSwitchId.IpInvalid"),
        ),
        (
            "AssignPrivateIpAddresses",
            {"Ipv4Prefix": ["192.168.1.64/28"]},
            (403, "InvalidIp.IpAssigned"),
        ),
        (
            "AssignPrivateIpAddresses",
            {"PrivateIpAddress": ["192.168.1.65"]},
            (403, "InvalidIp.IpAssigned"),
        ),
        ("UnassignIpv6Addresses", {}, (400, "MissingParameter")),
        (
            "UnassignIpv6Addresses",
            {"Ipv6Address": ["2408:4005:0:1::8"]},
            (403, "InvalidIp.IpUnassigned"),
        ),
        (
            "UnassignIpv6Addresses",
            {"Ipv6Prefix": ["2408:4005:0:1:8::/80"]},
            (403, "InvalidIp.IpUnassigned"),
        ),
        (
            "UnassignPrivateIpAddresses",
            {"Ipv4Prefix": ["192.168.1.80/28"]},
            (403, "InvalidIp.IpUnassigned"),
        ),
    ],
)
def test_what_cannot_be_assigned_is_refused(ecs, action, changes, verdict):
    create(
        ecs,
        Ipv6Address=["2408:4005:0:1::5"],
        Ipv6Prefix=["2408:4005:0:1:9::/80"],
        Ipv4Prefix=["192.168.1.64/28"],
    )
    eni_id = create(ecs)

    assert ecs.refused(action, NetworkInterfaceId=eni_id, **changes) == verdict


def test_a_prefix_counts_as_one_address_against_the_instance_type(ecs):
    eni_id = attached(ecs)
    which = {"NetworkInterfaceId": eni_id}
    four(ecs, **which, Ipv4PrefixCount=5)
    six(ecs, **which, Ipv6PrefixCount=2)
    six(ecs, **which, Ipv6AddressCount=4)

    assert ecs.refused("AssignPrivateIpAddresses", **which, Ipv4PrefixCount=1) == (
        403,
        "InvalidOperation.Ipv4CountExceeded",
    )
    assert ecs.refused("AssignIpv6Addresses", **which, Ipv6PrefixCount=1) == (
        403,
        "InvalidOperation.Ipv6CountExceeded",
    )


def test_an_interface_on_no_instance_has_up_to_ten_of_ipv6_and_then_may_not_fit(ecs):
    wanted = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP], "Ipv6AddressCount": 10}
    assert ecs.refused("CreateNetworkInterface", **wanted, Ipv6PrefixCount=1) == (
        403,
        "InvalidOperation.Ipv6CountExceeded",
    )
    eni_id = create(ecs, Ipv6AddressCount=10)

    assert ecs.refused("AssignIpv6Addresses", NetworkInterfaceId=eni_id, Ipv6AddressCount=1) == (
        403,
        "InvalidOperation.Ipv6CountExceeded",
    )
    assert ecs.refused("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1) == (
        403,
        "InvalidOperation.Ipv6CountExceeded",
    )


def test_a_type_without_ipv6_takes_none(tmp_path):
    ecs = Ecs(tmp_path, declared=world_of(first_instance_types={"eni_ipv6_quantity": 0}))
    eni_id, other_id = create(ecs, Ipv6AddressCount=1), attached(ecs)
    no = (403, "InvalidOperation.Ipv6NotSupport")

    attach = {"NetworkInterfaceId": eni_id, "InstanceId": NODE_1}
    assert ecs.refused("AttachNetworkInterface", **attach) == no
    assert ecs.refused("AssignIpv6Addresses", NetworkInterfaceId=other_id, Ipv6AddressCount=1) == no
    ecs.cloud.close()


def test_a_vswitch_that_runs_dry_gives_no_prefix(ecs):
    row = {"vswitch_id": VSWITCH, "vpc_id": "vpc-bp1sim000000000001", "zone_id": "cn-hangzhou-k"}
    row |= {"cidr_block": "192.168.1.0/24", "available_limit": 18}
    ecs.cloud.change_world({"vswitches": [row]})
    eni_id = create(ecs)

    assert ecs.refused(
        "AssignPrivateIpAddresses", NetworkInterfaceId=eni_id, Ipv4PrefixCount=1
    ) == (
        403,
        "InvalidVSwitchId.IpNotEnough",
    )


def test_freed_prefixes_are_given_again_last(ecs):
    first, second = create(ecs, Ipv4PrefixCount=1), create(ecs, Ipv4PrefixCount=1)
    (freed,) = shown(ecs, first)[2]
    ecs("DeleteNetworkInterface", NetworkInterfaceId=first)
    ecs.wait()

    _, blocks = four(ecs, NetworkInterfaceId=second, Ipv4PrefixCount=10)

    assert freed not in blocks


def test_a_block_smaller_than_three_prefixes_has_none():
    assert eni_blocks.free_prefixes("10.0.0.0/28", ()) == []
    assert eni_blocks.free_prefixes("10.0.0.0/27", ()) == []
    assert eni_blocks.free_prefixes("10.0.0.0/26", ()) == ["10.0.0.16/28", "10.0.0.32/28"]
    assert len(eni_blocks.free_prefixes("fd00::/64", ["fd00::1:0:0:1"])) == 2**16 - 3
