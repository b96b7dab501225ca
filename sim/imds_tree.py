"""What the metadata service tells of an instance, as a tree of names: pure."""

import ipaddress
import json
from collections.abc import Callable, Sequence
from typing import Any

from sim import world as world_module
from sim.ecs import eni_blocks, eni_model

# A value that is made when it is asked for is a function.
Leaf = str | Callable[[], str]
Tree = dict[str, "Tree | Leaf"]


def meta_data(
    world: world_module.World,
    instance: world_module.Instance,
    enis: Sequence[eni_model.Eni],
) -> Tree:
    """`meta-data/` of an instance with the interfaces *enis*, without its role."""
    network = _network(world, instance)
    flat = ("vpc-id", "vpc-cidr-block", "vswitch-id", "vswitch-cidr-block")
    return {
        "dns-conf": {"nameservers": "100.100.2.136\n100.100.2.138"},
        "hostname": instance.name,
        "image-id": instance.image_id,
        "instance": {
            "instance-name": instance.name,
            "instance-type": instance.instance_type_id,
            "virtualization-solution": "ECS Virt",
            "virtualization-solution-version": "2.0",
            "vsc-options": {"enabled": "true" if instance.vsc_enabled else "false"},
        },
        "instance-id": instance.instance_id,
        "mac": instance.mac,
        "network": {
            "interfaces": {
                "macs": {
                    instance.mac: network,
                    **{eni.mac: _interface(world, eni) for eni in enis},
                }
            }
        },
        "network-type": "vpc",
        "ntp-conf": {"ntp-servers": "ntp1.aliyun.com\nntp2.aliyun.com"},
        "owner-account-id": world.account_id,
        "private-ipv4": instance.private_ip,
        "region-id": world.region_id,
        "serial-number": instance.serial_number,
        **{name: network[name] for name in flat},
        "zone-id": instance.zone_id,
    }


def _network(world: world_module.World, instance: world_module.Instance) -> Tree:
    vswitch = world.vswitch(instance.vswitch_id)
    vpc = world.vpc(vswitch.vpc_id) if vswitch else None
    if vswitch is None or vpc is None:
        raise LookupError(f"vSwitch of {instance.instance_id} is not in the world")
    subnet = ipaddress.IPv4Network(vswitch.cidr_block)
    return {
        # The VPC's router has the third last address of each vSwitch.
        "gateway": str(subnet.broadcast_address - 2),
        "netmask": str(subnet.netmask),
        "network-interface-id": instance.eni_id,
        "primary-ip-address": instance.private_ip,
        "private-ipv4s": json.dumps([instance.private_ip]),
        "vpc-cidr-block": vpc.cidr_block,
        "vpc-id": vpc.vpc_id,
        "vswitch-cidr-block": vswitch.cidr_block,
        "vswitch-id": vswitch.vswitch_id,
    }


def _interface(world: world_module.World, eni: eni_model.Eni) -> Tree:
    """What the service tells of one interface."""
    vswitch, vpc = world.vswitch(eni.vswitch_id), world.vpc(eni.vpc_id)
    if vswitch is None or vpc is None:
        return {}
    subnet = ipaddress.IPv4Network(vswitch.cidr_block)
    return {
        "gateway": str(subnet.broadcast_address - 2),
        "netmask": str(subnet.netmask),
        "network-interface-id": eni.eni_id,
        "primary-ip-address": eni.ips[0],
        "private-ipv4s": json.dumps(list(eni.working(eni.ips))),
        "vpc-cidr-block": vpc.cidr_block,
        "vpc-id": vpc.vpc_id,
        "vswitch-cidr-block": vswitch.cidr_block,
        "vswitch-id": vswitch.vswitch_id,
        **_ipv6(vswitch, eni),
    }


def _ipv6(vswitch: world_module.VSwitch, eni: eni_model.Eni) -> Tree:
    """The IPv6 half of an interface; entries that have no value are absent."""
    addresses = eni.working(eni.ipv6s)
    tree: Tree = {}
    if addresses:
        # In brackets, but no JSON (spec/cloud-api.md 7).
        tree["ipv6s"] = f"[{','.join(addresses)}]"
    if vswitch.ipv6_cidr_block:
        tree["ipv6-gateway"] = eni_blocks.gateway(vswitch.ipv6_cidr_block)
        tree["vswitch-ipv6-cidr-block"] = vswitch.ipv6_cidr_block
    return tree


def identity_document(world: world_module.World, instance: world_module.Instance) -> dict[str, Any]:
    """The instance's identity document, as JSON."""
    return {
        "zone-id": instance.zone_id,
        "serial-number": instance.serial_number,
        "instance-id": instance.instance_id,
        "region-id": world.region_id,
        "private-ipv4": instance.private_ip,
        "owner-account-id": world.account_id,
        "mac": instance.mac,
        "image-id": instance.image_id,
        "instance-type": instance.instance_type_id,
    }
