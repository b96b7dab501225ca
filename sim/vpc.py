"""The simulated VPC product, API version 2016-04-28: what vSwitches there are.

Importing this module registers its actions with sim.actions.
"""

from typing import Any

from sim import actions, paging
from sim import cloud as cloud_module
from sim import world as world_module
from sim.ecs import enis

VERSION = "2016-04-28"


@actions.action(VERSION, "DescribeVSwitches")
def describe_vswitches(call: actions.Call) -> dict[str, Any]:
    """VSwitches that fit every filter."""
    params = call.params
    fits = [
        row
        for row in call.cloud.world.vswitches
        if params.text("VSwitchId", row.vswitch_id) == row.vswitch_id
        and params.text("VpcId", row.vpc_id) == row.vpc_id
        and params.text("ZoneId", row.zone_id) == row.zone_id
    ]
    page = paging.by_number(params, fits, maximum=50)
    return {
        "VSwitches": {"VSwitch": [_vswitch(call.cloud, row) for row in page.items]},
        **page.fields,
    }


def _vswitch(cloud: cloud_module.Cloud, row: world_module.VSwitch) -> dict[str, Any]:
    return {
        "VSwitchId": row.vswitch_id,
        "VSwitchName": row.name,
        "VpcId": row.vpc_id,
        "ZoneId": row.zone_id,
        "CidrBlock": row.cidr_block,
        "Ipv6CidrBlock": "",
        "EnabledIpv6": False,
        "AvailableIpAddressCount": len(enis.free_ips(cloud, row)),
        "Status": "Available",
        "ShareType": "",
        "Description": "",
        "CreationTime": "2026-01-01T00:00:00Z",
        "IsDefault": False,
        "OwnerId": int(cloud.world.account_id),
        "NetworkAclId": "",
        "ResourceGroupId": "",
        "RouteTable": {"RouteTableId": "", "RouteTableType": "System"},
        "Tags": {"Tag": []},
    }
