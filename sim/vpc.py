"""The simulated VPC product, API version 2016-04-28: reading VPCs and vSwitches.

Importing this module registers its actions with sim.actions. Both are declared in the world; there
is nothing to make or delete. Route tables: vpc_routes.py.
"""

from typing import Any

from sim import actions, errors, paging, vpc_route_view
from sim import cloud as cloud_module
from sim import params as params_module
from sim import world as world_module
from sim.ecs import eni_addresses, route_tables

VERSION = "2016-04-28"
_CREATION_TIME = "2026-01-01T00:00:00Z"
_MAX_IDS = 20
_DHCP = {
    "DhcpOptionsSetId": "",
    "DhcpOptionsSetStatus": "Available",
    "DnsHostnameStatus": "DISABLED",
}


@actions.action(VERSION, "DescribeVSwitches")
def describe_vswitches(call: actions.Call) -> dict[str, Any]:
    """VSwitches that fit every filter."""
    params = call.params
    fits = [
        row
        for row in call.cloud.world.vswitches
        if params.text("VSwitchId", row.vswitch_id) == row.vswitch_id
        and params.text("VSwitchName", row.name) == row.name
        and params.text("VpcId", row.vpc_id) == row.vpc_id
        and params.text("ZoneId", row.zone_id) == row.zone_id
        and _fits(params, row.ipv6_cidr_block)
    ]
    page = paging.by_number(params, fits, maximum=50)
    return {
        "VSwitches": {"VSwitch": [_vswitch(call.cloud, row) for row in page.items]},
        **page.fields,
    }


@actions.action(VERSION, "DescribeVSwitchAttributes")
def describe_vswitch_attributes(call: actions.Call) -> dict[str, Any]:
    """One vSwitch; 404 InvalidVSwitchId.NotFound."""
    vswitch_id = call.params.required("VSwitchId")
    row = call.cloud.world.vswitch(vswitch_id)
    if row is None:
        raise errors.ApiError(
            "InvalidVSwitchId.NotFound", 404, f"The specified VSwitch {vswitch_id} does not exist."
        )
    return _vswitch(call.cloud, row)


@actions.action(VERSION, "DescribeVpcs")
def describe_vpcs(call: actions.Call) -> dict[str, Any]:
    """VPCs that fit every filter. `VpcId` may list up to 20 ids, with commas between them."""
    params, world = call.params, call.cloud.world
    ids = [text for text in params.text("VpcId").split(",") if text]
    if len(ids) > _MAX_IDS:
        raise errors.invalid_parameter("VpcId", f"{len(ids)} ids", f"up to {_MAX_IDS} ids")
    fits = [
        row
        for row in world.vpcs
        if (not ids or row.vpc_id in ids)
        and params.text("VpcName", row.name) == row.name
        and _fits(params, row.ipv6_cidr_block)
    ]
    page = paging.by_number(params, fits, maximum=50)
    rows = [
        {
            **_vpc(world, row),
            "CenStatus": "",
            "NatGatewayIds": {"NatGatewayIds": []},
            "RouterTableIds": {"RouterTableIds": [route_tables.table_id(row.vpc_id)]},
        }
        for row in page.items
    ]
    return {"Vpcs": {"Vpc": rows}, **page.fields}


@actions.action(VERSION, "DescribeVpcAttribute")
def describe_vpc_attribute(call: actions.Call) -> dict[str, Any]:
    """One VPC; 404 InvalidVpcId.NotFound."""
    vpc_id = call.params.required("VpcId")
    row = call.cloud.world.vpc(vpc_id)
    if row is None:
        raise errors.ApiError(
            "InvalidVpcId.NotFound", 404, f"The specified VPC {vpc_id} does not exist."
        )
    return {
        **_vpc(call.cloud.world, row),
        "ClassicLinkEnabled": False,
        "Ipv4GatewayId": "",
        "SupportIpv4Gateway": False,
        "AssociatedCens": {"AssociatedCen": []},
        "AssociatedPropagationSources": {"AssociatedPropagationSources": []},
        "CloudResources": {"CloudResourceSetType": []},
    }


def _fits(params: params_module.Params, ipv6_cidr_block: str) -> bool:
    """The filters that VPCs and vSwitches share; none has tags here and none is the default."""
    return (
        not params.structs("Tag")
        and not params.text("ResourceGroupId")
        and params.boolean("EnableIpv6") in (None, bool(ipv6_cidr_block))
        and not params.boolean("IsDefault")
    )


def _vswitch(cloud: cloud_module.Cloud, row: world_module.VSwitch) -> dict[str, Any]:
    return {
        "VSwitchId": row.vswitch_id,
        "VSwitchName": row.name,
        "VpcId": row.vpc_id,
        "ZoneId": row.zone_id,
        "CidrBlock": row.cidr_block,
        "Ipv6CidrBlock": row.ipv6_cidr_block,
        "EnabledIpv6": bool(row.ipv6_cidr_block),
        "AvailableIpAddressCount": eni_addresses.free_count(cloud, row),
        "Status": "Available",
        "ShareType": "",
        "Description": "",
        "CreationTime": _CREATION_TIME,
        "IsDefault": False,
        "OwnerId": int(cloud.world.account_id),
        "NetworkAclId": "",
        "ResourceGroupId": "",
        "RouteTable": {
            "RouteTableId": route_tables.table_id(row.vpc_id),
            "RouteTableType": "System",
        },
        "Tags": {"Tag": []},
    }


def _vpc(world: world_module.World, row: world_module.Vpc) -> dict[str, Any]:
    """What DescribeVpcs and DescribeVpcAttribute share."""
    mine = [each.vswitch_id for each in world.vswitches if each.vpc_id == row.vpc_id]
    block = {"Ipv6CidrBlock": row.ipv6_cidr_block, "Ipv6Isp": "BGP"}
    blocks = [block] if row.ipv6_cidr_block else []
    return {
        "VpcId": row.vpc_id,
        "VpcName": row.name,
        "RegionId": world.region_id,
        "CidrBlock": row.cidr_block,
        "SecondaryCidrBlocks": {"SecondaryCidrBlock": []},
        "UserCidrs": {"UserCidr": []},
        "Ipv6CidrBlock": row.ipv6_cidr_block,
        "Ipv6CidrBlocks": {"Ipv6CidrBlock": blocks},
        "EnabledIpv6": bool(row.ipv6_cidr_block),
        "VSwitchIds": {"VSwitchId": mine},
        "VRouterId": vpc_route_view.router_id(row.vpc_id),
        "Status": "Available",
        "IsDefault": False,
        "Description": "",
        "CreationTime": _CREATION_TIME,
        "OwnerId": int(world.account_id),
        "ResourceGroupId": "",
        **_DHCP,
        "Tags": {"Tag": []},
    }
