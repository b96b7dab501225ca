"""Route tables and their entries as the VPC API shows them: every key of the SDK's models."""

from typing import Any

from sim import cloud as cloud_module
from sim import world as world_module
from sim.ecs import route_tables
from sim.ecs.route_tables import Entry

_CREATION_TIME = "2026-01-01T00:00:00Z"


def system_entries(world: world_module.World, vpc: world_module.Vpc) -> list[dict[str, Any]]:
    """Entries that every table has: the blocks of the VPC's vSwitches."""
    blocks = [
        block
        for row in world.vswitches
        if row.vpc_id == vpc.vpc_id
        for block in (row.cidr_block, row.ipv6_cidr_block)
        if block
    ]
    hop = {"NextHopType": "local", "NextHopId": ""}
    return [
        {**_entry(world, vpc, Entry(cidr_block=block), hop), "Type": "System"} for block in blocks
    ]


def custom_entries(cloud: cloud_module.Cloud, vpc: world_module.Vpc) -> list[dict[str, Any]]:
    """Entries that were made, as a Describe action sees them."""
    return [
        _entry(
            cloud.world,
            vpc,
            each,
            {
                "NextHopType": "NetworkInterface" if each.eni_id else "Instance",
                "NextHopId": each.next_hop_id,
            },
        )
        for each in route_tables.entries_of(cloud.view, vpc)
    ]


def _entry(
    world: world_module.World, vpc: world_module.Vpc, each: Entry, hop: dict[str, str]
) -> dict[str, Any]:
    return {
        "RouteTableId": route_tables.table_id(vpc.vpc_id),
        "RouteEntryId": each.entry_id(vpc.vpc_id),
        "RouteEntryName": each.name,
        "Description": each.description,
        "DestinationCidrBlock": each.cidr_block,
        "IpVersion": "IPv6" if ":" in each.cidr_block else "IPv4",
        "Type": "Custom",
        "Status": "Available",
        "Origin": "RouteTable",
        "ServiceType": "",
        "GmtModified": _CREATION_TIME,
        "NextHops": {
            "NextHop": [
                {
                    **hop,
                    "NextHopRegionId": world.region_id,
                    "Enabled": 1,
                    "Weight": 0,
                    "NextHopRelatedInfo": {"InstanceId": "", "InstanceType": "", "RegionId": ""},
                }
            ]
        },
    }


def table(world: world_module.World, row: world_module.Vpc) -> dict[str, Any]:
    """One element of RouterTableList.RouterTableListType."""
    mine = [each.vswitch_id for each in world.vswitches if each.vpc_id == row.vpc_id]
    return {
        "RouteTableId": route_tables.table_id(row.vpc_id),
        "RouteTableName": "",
        "RouteTableType": "System",
        "AssociateType": "VSwitch",
        "RouterId": router_id(row.vpc_id),
        "RouterType": "VRouter",
        "RoutePropagationEnable": True,
        "VpcId": row.vpc_id,
        "VSwitchIds": {"VSwitchId": mine},
        "GatewayIds": {"GatewayIds": []},
        "Status": "Available",
        "Description": "",
        "CreationTime": _CREATION_TIME,
        "OwnerId": int(world.account_id),
        "ResourceGroupId": "",
        "Tags": {"Tag": []},
    }


def router_id(vpc_id: str) -> str:
    """Id of the VPC's router."""
    return f"vrt-{vpc_id.removeprefix('vpc-')}"
