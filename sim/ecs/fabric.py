"""The network as the machine must have it, built from world and interfaces."""

import ipaddress
from collections.abc import Mapping, Sequence

import structlog

from sim import cloud as cloud_module
from sim import errors
from sim import world as world_module
from sim.ecs import eni_blocks, eni_model, group_rules, route_tables
from sim.hardware import api, network_api

log = structlog.get_logger()


def wanted(cloud: cloud_module.Cloud, enis: Sequence[eni_model.Eni]) -> network_api.Fabric:
    """The network with *enis*, and with rules and routes as they are now."""
    return build(
        cloud.world,
        enis,
        rules=group_rules.every(cloud.store, cloud.world),
        routes=route_tables.every(cloud.store, cloud.world),
    )


def build(
    world: world_module.World,
    enis: Sequence[eni_model.Eni],
    *,
    rules: Mapping[str, tuple[network_api.Rule, ...]],
    routes: Sequence[network_api.Route],
) -> network_api.Fabric:
    """Pure: ports of the interfaces that are plugged, with the addresses that work.

    Routes to an interface that has no address of their family are left out: nothing takes them.
    """
    ports = []
    for eni in enis:
        vswitch = world.vswitch(eni.vswitch_id)
        if eni.status not in eni_model.PLUGGED or vswitch is None:
            continue
        block = ipaddress.IPv4Network(vswitch.cidr_block)
        ports.append(
            network_api.Port(
                eni_id=eni.eni_id,
                mac=eni.mac,
                instance_id=eni.instance_id,
                primary=eni.type == eni_model.PRIMARY,
                addresses=(*eni.working(eni.ips), *eni.working(eni.ipv6s)),
                prefixes=eni.working((*eni.ipv4_prefixes, *eni.ipv6_prefixes)),
                gateway=eni_blocks.gateway(vswitch.cidr_block),
                ipv6_gateway=_ipv6_gateway(vswitch, eni),
                trunk_eni_id=eni.trunk_eni_id,
                vlan_id=eni.vlan_id,
                prefix_length=block.prefixlen,
                source_dest_check=eni.source_dest_check,
                vpc_id=eni.vpc_id,
                security_group_ids=eni.security_group_ids,
            )
        )
    return network_api.Fabric(
        instances={row.instance_id: row.name for row in world.instances},
        ports=tuple(ports),
        security_groups=rules,
        vpc_cidrs={
            row.vpc_id: tuple(filter(None, (row.cidr_block, row.ipv6_cidr_block)))
            for row in world.vpcs
        },
        routes=tuple(route for route in routes if _takes(ports, route)),
    )


def _ipv6_gateway(vswitch: world_module.VSwitch, eni: eni_model.Eni) -> str:
    """None for an interface that has no IPv6 yet, told as "": it shall see no router of it."""
    if not vswitch.ipv6_cidr_block or not eni.ipv6_count:
        return ""
    return eni_blocks.gateway(vswitch.ipv6_cidr_block)


def _takes(ports: Sequence[network_api.Port], route: network_api.Route) -> bool:
    six = ":" in route.cidr_block
    return any(
        (":" in address) is six
        for port in ports
        if port.eni_id == route.eni_id
        for address in port.addresses
    )


def act(cloud: cloud_module.Cloud, enis: Sequence[eni_model.Eni]) -> None:
    """Make the network so, in an action; a failure is 500 InternalError and undoes the action."""
    if cloud.network is None:
        return
    try:
        cloud.network.sync(wanted(cloud, enis))
    except api.HardwareError as e:
        log.warning("network refused", error=str(e))
        raise errors.ApiError("InternalError", 500, str(e)) from e


def settle(cloud: cloud_module.Cloud, enis: Sequence[eni_model.Eni]) -> bool:
    """Make the network so, in a settler; False when it failed and must be tried again."""
    if cloud.network is None:
        return True
    try:
        cloud.network.sync(wanted(cloud, enis))
    except api.HardwareError as e:
        log.warning("network failed, trying again", error=str(e))
        return False
    return True
