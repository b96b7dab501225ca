"""AssignPrivateIpAddresses and UnassignPrivateIpAddresses."""

import dataclasses
from typing import Any

from sim import actions, errors
from sim.ecs import eni_model, eni_rules, enis, fabric

VERSION = "2014-05-26"


@actions.action(VERSION, "AssignPrivateIpAddresses", idempotent=True)
def assign_private_ip_addresses(call: actions.Call) -> dict[str, Any]:
    """More addresses for an interface: a count, or those named.

    Describe tells them at once; they work after the world's `assign_private_ip`.
    """
    cloud, params = call.cloud, call.params
    eni_rules.refuse_other_kinds(params)
    eni = enis.require(cloud, params.required("NetworkInterfaceId"))
    eni_rules.require_status(eni, eni_model.AVAILABLE, eni_model.IN_USE)
    vswitch = eni_rules.vswitch(cloud, eni.vswitch_id)
    named, count = eni_rules.names_or_count(params)
    if not named and not count:
        raise errors.missing_parameter("PrivateIpAddress.N or SecondaryPrivateIpAddressCount")
    if eni.instance_id:
        eni_rules.require_ip_room(
            eni, eni_rules.instance(cloud, eni.instance_id), count or len(named)
        )
    added = eni_rules.addresses(cloud, vswitch, named=named, count=count)
    enis.put(cloud, _with_addresses(call, eni, added))
    fabric.act(cloud, enis.every(cloud))
    return {
        "AssignedPrivateIpAddressesSet": {
            "NetworkInterfaceId": eni.eni_id,
            "PrivateIpSet": {"PrivateIpAddress": added},
            "Ipv4PrefixSet": {"Ipv4Prefixes": []},
        }
    }


@actions.action(VERSION, "UnassignPrivateIpAddresses")
def unassign_private_ip_addresses(call: actions.Call) -> dict[str, Any]:
    """Give secondary addresses back; all of them or none."""
    cloud, params = call.cloud, call.params
    eni_rules.refuse_other_kinds(params)
    eni = enis.require(cloud, params.required("NetworkInterfaceId"))
    eni_rules.require_status(eni, eni_model.AVAILABLE, eni_model.IN_USE)
    named = params.strings("PrivateIpAddress")
    if not named:
        raise errors.missing_parameter("PrivateIpAddress.N")
    for ip in named:
        if ip not in eni.ips:
            raise errors.ApiError(
                "InvalidIp.IpUnassigned", 403, f"The specified IP {ip} is not assigned."
            )
        if ip == eni.ips[0]:
            raise errors.ApiError(
                "InvalidOperation.PrimaryIp", 400, f"The primary IP {ip} cannot be unassigned."
            )
    enis.put(cloud, enis.without_ips(eni, named))
    enis.forget_ips(cloud, eni.vswitch_id, named)
    fabric.act(cloud, enis.every(cloud))
    return {}


def _with_addresses(call: actions.Call, eni: eni_model.Eni, added: list[str]) -> eni_model.Eni:
    """*eni* with the addresses, which are on their way while the latency lasts."""
    latency_s = call.cloud.latency("assign_private_ip")
    arriving = dict(eni.arriving)
    if latency_s > 0:
        arriving |= dict.fromkeys(added, call.cloud.clock.now_s() + latency_s)
    return dataclasses.replace(eni, ips=(*eni.ips, *added), arriving=arriving)
