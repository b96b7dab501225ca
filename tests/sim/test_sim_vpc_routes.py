"""Route tables: what calls change, what they refuse, what the network learns."""

import pytest
from alibabacloud_vpc20160428 import models

from tests.sim.sim_ecs_harness import NODE_1, NODE_2, Ecs, world_of
from tests.sim.test_sim_eni_fabric import Recorder
from tests.sim.test_sim_shapes import describe_faults

TABLE, VPC = "vtb-bp1sim000000000001", "vpc-bp1sim000000000001"
VSWITCH, GROUP = "vsw-bp1sim000000000002", "sg-bp1sim000000000001"
DECLARED = {"cidr_block": "172.16.0.0/16", "instance_id": NODE_1}
ENI_1 = "eni-bp1sim000000000001"


@pytest.fixture
def network():
    return Recorder()


def world():
    zone = {"zone_id": "cn-hangzhou-k", "vswitch_id": "vsw-foreign", "vpc_id": "vpc-2"}
    return world_of(
        first_vpcs={"routes": [DECLARED]},
        vpcs=[{"vpc_id": "vpc-2", "cidr_block": "10.1.0.0/16"}],
        vswitches=[{**zone, "cidr_block": "10.1.0.0/24"}],
        security_groups=[{"security_group_id": "sg-foreign", "vpc_id": "vpc-2"}],
    )


@pytest.fixture
def ecs(tmp_path, network):
    made = Ecs(tmp_path, declared=world(), network=network)
    yield made
    made.cloud.close()


def add(ecs, block="172.17.0.0/16", hop=NODE_2, **values):
    wanted = {"RouteTableId": TABLE, "DestinationCidrBlock": block, "NextHopId": hop, **values}
    return ecs("CreateRouteEntry", **wanted)["RouteEntryId"]


def entries(ecs, **values):
    answer = ecs("DescribeRouteEntryList", RouteTableId=TABLE, **{"MaxResult": 100, **values})
    return answer["RouteEntrys"]["RouteEntry"]


def custom(ecs):
    return {
        row["DestinationCidrBlock"]: row["NextHops"]["NextHop"][0]["NextHopId"]
        for row in entries(ecs, RouteEntryType="Custom")
    }


def routes(network):
    return {route.cidr_block: route.eni_id for route in network.fabric.routes}


def create(ecs, **changes):
    values = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP], **changes}
    eni_id = ecs("CreateNetworkInterface", **values)["NetworkInterfaceId"]
    ecs.wait()
    return eni_id


def test_a_table_has_the_routes_of_the_world_until_a_call_changes_them(ecs, network):
    assert routes(network) == {"172.16.0.0/16": ENI_1}

    entry_id = add(ecs)

    assert custom(ecs) == {"172.16.0.0/16": NODE_1, "172.17.0.0/16": NODE_2}
    assert routes(network)["172.17.0.0/16"] == "eni-bp1sim000000000002"
    ecs("DeleteRouteEntry", RouteEntryId=entry_id)
    ecs(
        "DeleteRouteEntry",
        RouteTableId=TABLE,
        DestinationCidrBlock="172.16.0.0/16",
        NextHopId=NODE_1,
    )
    assert custom(ecs) == {}
    assert routes(network) == {}


def test_routes_to_an_interface_count_while_it_is_attached_and_survive_a_restart(tmp_path):
    ecs = Ecs(tmp_path, declared=world())
    eni_id = create(ecs)
    add(ecs, "172.18.0.9", eni_id, NextHopType="NetworkInterface")
    ecs.cloud.close()

    network = Recorder()
    again = Ecs(tmp_path, declared=world(), network=network)
    before = routes(network)
    again("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1)
    again.wait()

    assert custom(again)["172.18.0.9/32"] == eni_id
    assert before == {"172.16.0.0/16": ENI_1}
    assert routes(network)["172.18.0.9/32"] == eni_id
    again.cloud.close()


def test_entries_of_the_system_are_the_vswitches_and_stay(ecs):
    rows = entries(ecs, RouteEntryType="System")
    blocks = {row["DestinationCidrBlock"]: row["RouteEntryId"] for row in rows}

    assert {"192.168.1.0/24", "2408:4005:0:1::/64"} < blocks.keys()
    assert ecs.refused("DeleteRouteEntry", RouteEntryId=blocks["192.168.1.0/24"]) == (
        400,
        "OperationDenied",
    )
    four = entries(ecs, IpVersion="IPv4", RouteEntryType="System")
    assert len(four) == len(rows) / 2


def test_tables_are_found_by_vpc(ecs):
    def found(**values):
        answer = ecs("DescribeRouteTableList", **values)["RouterTableList"]
        return [row["RouteTableId"] for row in answer["RouterTableListType"]]

    assert found() == [TABLE, "vtb-2"]
    assert found(VpcId="vpc-2") == ["vtb-2"]
    assert found(RouteTableId=TABLE, RouterId="vrt-bp1sim000000000001") == [TABLE]
    assert found(RouteTableType="Custom") == []


def test_answers_have_every_key_of_the_sdk_models(ecs):
    for action, values in (
        ("DescribeRouteTableList", {}),
        ("DescribeRouteEntryList", {"RouteTableId": TABLE}),
    ):
        answer = {"RequestId": "R", **ecs(action, **values)}
        body = getattr(models, f"{action}ResponseBody")().from_map(answer)
        assert body.to_map() == answer
        assert list(describe_faults(body, action)) == []


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"RouteTableId": "vtb-no"}, (404, "InvalidRouteTableId.NotFound")),
        ({"DestinationCidrBlock": "x"}, (400, "InvalidCidrBlock.Malformed")),
        ({"DestinationCidrBlock": "192.168.1.0/24"}, (400, "InvalidCidrBlock")),
        ({"DestinationCidrBlock": "192.168.1.7"}, (400, "InvalidCidrBlock")),
        ({"DestinationCidrBlock": "100.100.100.200"}, (400, "InvalidCidrBlock")),
        ({"DestinationCidrBlock": "172.16.0.0/16"}, (400, "InvalidCIDRBlock.Duplicate")),
        ({"NextHopType": "HaVip"}, (400, "InvalidNextHopType")),
        ({"NextHopId": "i-no"}, (400, "InvalidNextHop.NotFound")),
        ({"NextHopType": "NetworkInterface"}, (400, "InvalidNextHop.NotFound")),
        ({"RouteTableId": "vtb-2"}, (400, "InvalidNextHop.NotFound")),
        ({"DryRun": True}, (400, "DryRunOperation")),
        ({"DestinationCidrBlock": "fd00::/64"}, (400, "OperationFailed.NotSupportIPV6")),
        (
            {"DestinationCidrBlock": "2408:4005::/56"},
            (400, "OperationUnsupported.DestinationCidrBlockOverlapWithVSwitch"),
        ),
        (
            {"RouteTableId": "vtb-2", "DestinationCidrBlock": "fd00::/64"},
            (400, "OperationDenied.VpcIpv6NotEnabled"),
        ),
    ],
)
def test_an_entry_that_cannot_be_is_refused(ecs, changes, verdict):
    wanted = {
        "RouteTableId": TABLE,
        "DestinationCidrBlock": "172.17.0.0/16",
        "NextHopId": NODE_1,
        **changes,
    }

    assert ecs.refused("CreateRouteEntry", **wanted) == verdict


def test_routes_of_ipv6_lead_to_a_secondary_interface_with_one_address(ecs, network):
    def refused(hop):
        wanted = {"RouteTableId": TABLE, "DestinationCidrBlock": "fd00::/64", "NextHopId": hop}
        return ecs.refused("CreateRouteEntry", **wanted, NextHopType="NetworkInterface")[1]

    ecs("AssignIpv6Addresses", NetworkInterfaceId=ENI_1, Ipv6AddressCount=1)
    one, two = create(ecs, Ipv6AddressCount=1), create(ecs, Ipv6AddressCount=2)
    assert refused(ENI_1) == "OperationUnsupported.Ipv6EntryOnPrimaryNetworkInterface"
    assert refused(two) == "OperationUnsupported.MutipleIpv6Address"
    add(ecs, "fd00::/64", one, NextHopType="NetworkInterface")
    ecs("AttachNetworkInterface", NetworkInterfaceId=one, InstanceId=NODE_1)
    ecs.wait()

    assert routes(network)["fd00::/64"] == one
    (address,) = (ip for ip in network.port(one).addresses if ":" in ip)
    ecs("UnassignIpv6Addresses", NetworkInterfaceId=one, Ipv6Address=[address])
    assert "fd00::/64" not in routes(network)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"RouteEntryId": "rte-no"}, "InvalidRouteEntryId.NotFound"),
        (
            {"RouteEntryId": "rte-no", "DestinationCidrBlock": "172.16.0.0/16"},
            "ParamExclusive.RouteEntryIdAndRouteTableIdOrDestCidrBlock",
        ),
        ({"RouteTableId": TABLE, "DestinationCidrBlock": "172.16.0.0/16"}, "InvalidNextHop"),
        (
            {"RouteTableId": TABLE, "DestinationCidrBlock": "172.16.0.0/16", "NextHopId": NODE_2},
            "InvalidRouteEntry.NotFound",
        ),
        (
            {"RouteTableId": TABLE, "DestinationCidrBlock": "192.168.1.0/24", "NextHopId": NODE_2},
            "OperationDenied",
        ),
        ({"RouteTableId": TABLE}, "MissingParameter"),
    ],
)
def test_an_entry_that_is_not_there_is_not_deleted(ecs, values, code):
    assert ecs.refused("DeleteRouteEntry", **values) == (400, code)


def test_a_table_has_at_most_200_entries(ecs):
    for n in range(199):
        add(ecs, f"10.200.{n}.0/24")

    wanted = {"RouteTableId": TABLE, "DestinationCidrBlock": "10.201.0.0/24", "NextHopId": NODE_1}
    assert ecs.refused("CreateRouteEntry", **wanted) == (400, "QuotaExceeded")
    page = ecs("DescribeRouteEntryList", RouteTableId=TABLE, RouteEntryType="Custom", MaxResult=150)
    rest = ecs(
        "DescribeRouteEntryList",
        RouteTableId=TABLE,
        RouteEntryType="Custom",
        MaxResult=150,
        NextToken=page["NextToken"],
    )
    assert (len(rest["RouteEntrys"]["RouteEntry"]), page["TotalCount"]) == (50, 200)


def test_vpcs_and_vswitches_tell_their_ipv6_blocks(ecs):
    (vpc,) = ecs("DescribeVpcs", VpcId=VPC, EnableIpv6=True)["Vpcs"]["Vpc"]
    rows = ecs("DescribeVSwitches", EnableIpv6=False)["VSwitches"]["VSwitch"]
    row = ecs("DescribeVSwitchAttributes", VSwitchId=VSWITCH)

    assert vpc["Ipv6CidrBlock"] == "2408:4005::/56"
    assert vpc["RouterTableIds"]["RouterTableIds"] == [TABLE]
    assert [each["VSwitchId"] for each in rows] == ["vsw-foreign"]
    assert (row["EnabledIpv6"], row["Ipv6CidrBlock"]) == (True, "2408:4005:0:1::/64")
    assert row["RouteTable"] == {"RouteTableId": TABLE, "RouteTableType": "System"}
