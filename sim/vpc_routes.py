"""The route table of each VPC: making, deleting and listing entries, API version 2016-04-28.

Codes: error tables of CreateRouteEntry and DeleteRouteEntry. Next hops are instances and
interfaces; entries take effect with the answer.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any

from sim import actions, errors, paging, vpc_route_view, world_network
from sim import cloud as cloud_module
from sim import world as world_module
from sim.ecs import eni_model, enis, fabric, lists, route_tables
from sim.ecs.route_tables import Entry

VERSION = "2016-04-28"
_MAX_ENTRIES = 200
_HOP_TYPES = ("Instance", "NetworkInterface")


@actions.action(VERSION, "CreateRouteEntry", idempotent=True)
def create_route_entry(call: actions.Call) -> dict[str, Any]:
    """A custom entry, in effect at once."""
    cloud, params = call.cloud, call.params
    vpc = _vpc(cloud, params.required("RouteTableId"))
    if params.structs("NextHopList"):
        raise errors.invalid_parameter("NextHopList.N", "a list", "absent: one next hop only")
    hop_type = params.text("NextHopType", "Instance")
    if hop_type not in _HOP_TYPES:
        raise errors.invalid_parameter(
            "NextHopType", hop_type, ", ".join(_HOP_TYPES), "InvalidNextHopType"
        )
    block = _destination(cloud.world, vpc, params.required("DestinationCidrBlock"))
    entries = route_tables.entries_of(cloud.store, vpc)
    if any(each.cidr_block == str(block) for each in entries):
        raise _refused("InvalidCIDRBlock.Duplicate", f"There is an entry for {block} already.")
    if len(entries) >= _MAX_ENTRIES:
        raise _refused("QuotaExceeded", f"The route table has {_MAX_ENTRIES} custom entries.")
    hop_id = params.required("NextHopId")
    _require_next_hop(cloud, vpc, block, hop_type, hop_id)
    made = Entry(
        cidr_block=str(block),
        instance_id=hop_id if hop_type == "Instance" else "",
        eni_id=hop_id if hop_type == "NetworkInterface" else "",
        name=params.text("RouteEntryName"),
        description=params.text("Description"),
    )
    lists.refuse_dry_run(params)
    _put(cloud, vpc, (*entries, made))
    return {"RouteEntryId": made.entry_id(vpc.vpc_id)}


@actions.action(VERSION, "DeleteRouteEntry")
def delete_route_entry(call: actions.Call) -> dict[str, Any]:
    """Delete a custom entry: by its id, or by table, destination and next hop."""
    cloud, params = call.cloud, call.params
    entry_id = params.text("RouteEntryId")
    if entry_id:
        if params.text("DestinationCidrBlock"):
            raise _refused(
                "ParamExclusive.RouteEntryIdAndRouteTableIdOrDestCidrBlock",
                "RouteEntryId and DestinationCidrBlock cannot both be there.",
            )
        vpc, gone = _by_id(cloud, entry_id)
    else:
        vpc = _vpc(cloud, params.required("RouteTableId"))
        gone = _by_destination(
            cloud, vpc, params.required("DestinationCidrBlock"), params.text("NextHopId")
        )
    lists.refuse_dry_run(params)
    left = [each for each in route_tables.entries_of(cloud.store, vpc) if each != gone]
    _put(cloud, vpc, left)
    return {}


@actions.action(VERSION, "DescribeRouteTableList")
def describe_route_table_list(call: actions.Call) -> dict[str, Any]:
    """The one table that each VPC has."""
    params, world = call.params, call.cloud.world
    fits = [
        row
        for row in world.vpcs
        if params.text("VpcId", row.vpc_id) == row.vpc_id
        and params.text("RouterId") in ("", vpc_route_view.router_id(row.vpc_id))
        and params.text("RouteTableId") in ("", route_tables.table_id(row.vpc_id))
        and params.text("RouterType", "VRouter") == "VRouter"
        and params.text("RouteTableType", "System") == "System"
        and not params.text("RouteTableName")
        and not params.structs("Tag")
    ]
    page = paging.by_number(params, fits, maximum=50)
    shown = [vpc_route_view.table(world, row) for row in page.items]
    return {"RouterTableList": {"RouterTableListType": shown}, **page.fields}


@actions.action(VERSION, "DescribeRouteEntryList")
def describe_route_entry_list(call: actions.Call) -> dict[str, Any]:
    """Entries of a table, those of the system (each vSwitch's block) first."""
    params, cloud = call.params, call.cloud
    vpc = _vpc(cloud, params.required("RouteTableId"))
    rows = [
        *vpc_route_view.system_entries(cloud.world, vpc),
        *vpc_route_view.custom_entries(cloud, vpc),
    ]
    wanted = {name: params.text(name) for name in ("DestinationCidrBlock", "RouteEntryId")}
    hops = {"NextHopId": params.text("NextHopId"), "NextHopType": params.text("NextHopType")}
    fits = [
        row
        for row in rows
        if all(value in ("", row[name]) for name, value in wanted.items())
        and all(value in ("", row["NextHops"]["NextHop"][0][name]) for name, value in hops.items())
        and params.text("RouteEntryType", row["Type"]) == row["Type"]
        and params.text("RouteEntryName", row["RouteEntryName"]) == row["RouteEntryName"]
        and params.text("IpVersion", row["IpVersion"]).lower() == row["IpVersion"].lower()
    ]
    page = paging.by_token(
        params, fits, lambda row: str(row["RouteEntryId"]), maximum=500, size_name="MaxResult"
    )
    return {
        "RouteEntrys": {"RouteEntry": page.items},
        "TotalCount": len(fits),
        **page.fields,
    }


def _put(cloud: cloud_module.Cloud, vpc: world_module.Vpc, entries: Sequence[Entry]) -> None:
    cloud.store.put(route_tables.KIND, vpc.vpc_id, route_tables.row(entries))
    fabric.act(cloud, enis.every(cloud))


def _vpc(cloud: cloud_module.Cloud, table_id: str) -> world_module.Vpc:
    for row in cloud.world.vpcs:
        if route_tables.table_id(row.vpc_id) == table_id:
            return row
    raise errors.ApiError(
        "InvalidRouteTableId.NotFound", 404, f"The route table {table_id} does not exist."
    )


def _destination(
    world: world_module.World, vpc: world_module.Vpc, text: str
) -> world_network.Block:
    """The block; an address is the block of itself."""
    try:
        block = ipaddress.ip_network(text)
    except ValueError as e:
        raise _refused("InvalidCidrBlock.Malformed", f"{text} is no CIDR block: {e}.") from e
    if isinstance(block, ipaddress.IPv6Network):
        if not vpc.ipv6_cidr_block:
            raise _refused("OperationDenied.VpcIpv6NotEnabled", f"{vpc.vpc_id} has no IPv6.")
    elif world_network.is_inside(block, str(world_network.CLOUD_BLOCK)):
        raise _refused("InvalidCidrBlock", f"{block} is inside {world_network.CLOUD_BLOCK}.")
    for row in world.vswitches:
        if row.vpc_id != vpc.vpc_id:
            continue
        if world_network.is_inside(block, row.cidr_block):
            raise _refused("InvalidCidrBlock", f"{block} is inside {row.cidr_block}.")
        if row.ipv6_cidr_block and block.overlaps(ipaddress.ip_network(row.ipv6_cidr_block)):
            raise _refused(
                "OperationUnsupported.DestinationCidrBlockOverlapWithVSwitch",
                f"{block} overlaps with {row.ipv6_cidr_block}.",
            )
    return block


def _require_next_hop(
    cloud: cloud_module.Cloud,
    vpc: world_module.Vpc,
    block: world_network.Block,
    hop_type: str,
    hop_id: str,
) -> None:
    """The next hop is in the VPC and can take the block's family."""
    if hop_type == "Instance":
        instance = cloud.world.instance(hop_id)
        eni = enis.find(cloud, instance.eni_id) if instance else None
    else:
        eni = enis.find(cloud, hop_id)
    if eni is None or eni.vpc_id != vpc.vpc_id:
        raise _refused("InvalidNextHop.NotFound", f"{hop_id} is not in {vpc.vpc_id}.")
    if isinstance(block, ipaddress.IPv4Network):
        return
    if hop_type == "Instance" or not eni.ipv6s:
        raise _refused("OperationFailed.NotSupportIPV6", f"{hop_id} does not support IPv6.")
    if eni.type == eni_model.PRIMARY:
        raise _refused(
            "OperationUnsupported.Ipv6EntryOnPrimaryNetworkInterface",
            f"{hop_id} is a primary network interface.",
        )
    if len(eni.ipv6s) > 1:
        raise _refused(
            "OperationUnsupported.MutipleIpv6Address", f"{hop_id} has several IPv6 addresses."
        )


def _by_id(cloud: cloud_module.Cloud, entry_id: str) -> tuple[world_module.Vpc, Entry]:
    for vpc in cloud.world.vpcs:
        for each in route_tables.entries_of(cloud.store, vpc):
            if each.entry_id(vpc.vpc_id) == entry_id:
                return vpc, each
        system = vpc_route_view.system_entries(cloud.world, vpc)
        if any(row["RouteEntryId"] == entry_id for row in system):
            raise _refused("OperationDenied", f"{entry_id} is an entry of the system.")
    raise _refused("InvalidRouteEntryId.NotFound", f"The entry {entry_id} does not exist.")


def _by_destination(
    cloud: cloud_module.Cloud, vpc: world_module.Vpc, destination: str, hop_id: str
) -> Entry:
    try:
        block = str(ipaddress.ip_network(destination))
    except ValueError as e:
        raise _refused("InvalidCidrBlock.Malformed", f"{destination} is no CIDR block.") from e
    if not hop_id:
        raise _refused("InvalidNextHop", "NextHopId must be there beside DestinationCidrBlock.")
    for row in cloud.world.vswitches:
        if row.vpc_id == vpc.vpc_id and block in (row.cidr_block, row.ipv6_cidr_block):
            raise _refused("OperationDenied", f"The entry for {block} is one of the system.")
    for each in route_tables.entries_of(cloud.store, vpc):
        if (each.cidr_block, each.next_hop_id) == (block, hop_id):
            return each
    raise _refused("InvalidRouteEntry.NotFound", f"There is no entry from {block} to {hop_id}.")


def _refused(code: str, message: str) -> errors.ApiError:
    return errors.ApiError(code, 400, message)
