"""The network as the machine must have it, built from world and interfaces."""

import ipaddress
from collections.abc import Sequence

import structlog

from sim import cloud as cloud_module
from sim import errors
from sim import world as world_module
from sim.ecs import eni_model
from sim.hardware import api, network_api

log = structlog.get_logger()


def build(world: world_module.World, enis: Sequence[eni_model.Eni]) -> network_api.Fabric:
    """Pure: ports of the interfaces that are plugged, with the addresses that work."""
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
                addresses=eni.working_ips,
                gateway=str(block[-3]),
                prefix_length=block.prefixlen,
                source_dest_check=eni.source_dest_check,
                vpc_id=eni.vpc_id,
                security_group_ids=eni.security_group_ids,
            )
        )
    return network_api.Fabric(
        instances={row.instance_id: row.name for row in world.instances},
        ports=tuple(ports),
        security_groups={row.security_group_id: () for row in world.security_groups},
        vpc_cidrs={row.vpc_id: (row.cidr_block,) for row in world.vpcs},
    )


def act(cloud: cloud_module.Cloud, enis: Sequence[eni_model.Eni]) -> None:
    """Make the network so, in an action; a failure is 500 InternalError and undoes the action."""
    if cloud.network is None:
        return
    try:
        cloud.network.sync(build(cloud.world, enis))
    except api.HardwareError as e:
        log.warning("network refused", error=str(e))
        raise errors.ApiError("InternalError", 500, str(e)) from e


def settle(cloud: cloud_module.Cloud, enis: Sequence[eni_model.Eni]) -> bool:
    """Make the network so, in a settler; False when it failed and must be tried again."""
    if cloud.network is None:
        return True
    try:
        cloud.network.sync(build(cloud.world, enis))
    except api.HardwareError as e:
        log.warning("network failed, trying again", error=str(e))
        return False
    return True
