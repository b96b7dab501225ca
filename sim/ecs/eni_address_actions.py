"""Assign and Unassign of addresses and prefixes, IPv4 and IPv6.

Describe tells what was assigned at once; it works after the world's `assign_private_ip`.
"""

from collections.abc import Sequence
from typing import Any

from sim import actions, errors
from sim.ecs import (
    eni_address_rules,
    eni_addresses,
    eni_blocks,
    eni_limits,
    eni_model,
    eni_rules,
    enis,
    fabric,
)

VERSION = "2014-05-26"


@actions.action(VERSION, "AssignPrivateIpAddresses", idempotent=True)
def assign_private_ip_addresses(call: actions.Call) -> dict[str, Any]:
    """More addresses or prefixes for an interface: a count, or those named."""
    cloud, params = call.cloud, call.params
    eni = _eni(call)
    addresses = eni_address_rules.ips(params)
    prefixes = eni_address_rules.ipv4_prefixes(params)
    eni_address_rules.require_one_kind(
        addresses,
        prefixes,
        "PrivateIpAddress.N, SecondaryPrivateIpAddressCount, Ipv4Prefix.N or Ipv4PrefixCount",
    )
    if eni.instance_id:
        host = eni_rules.instance(cloud, eni.instance_id)
        eni_limits.require_ipv4_room(eni, host, addresses.total + prefixes.total)
    vswitch = eni_rules.vswitch(cloud, eni.vswitch_id)
    given = eni_address_rules.hand_out_ipv4(cloud, vswitch, addresses=addresses, prefixes=prefixes)
    _put(call, eni_address_rules.with_more(cloud, eni, given))
    return {
        "AssignedPrivateIpAddressesSet": {
            "NetworkInterfaceId": eni.eni_id,
            "PrivateIpSet": {"PrivateIpAddress": list(given.ips)},
            "Ipv4PrefixSet": {"Ipv4Prefixes": list(given.ipv4_prefixes)},
        }
    }


@actions.action(VERSION, "UnassignPrivateIpAddresses")
def unassign_private_ip_addresses(call: actions.Call) -> dict[str, Any]:
    """Give secondary addresses and prefixes back; all of them or none."""
    eni = _eni(call)
    named = call.params.strings("PrivateIpAddress")
    prefixes = _named_prefixes(call, "Ipv4Prefix")
    if not named and not prefixes:
        raise errors.missing_parameter("PrivateIpAddress.N or Ipv4Prefix.N")
    _require_assigned([*named, *prefixes], [*eni.ips, *eni.ipv4_prefixes])
    if eni.ips[0] in named:
        raise errors.ApiError(
            "InvalidOperation.PrimaryIp",
            400,
            f"The primary IP {eni.ips[0]} cannot be unassigned.",
        )
    return _give_back(call, eni, [*named, *prefixes])


@actions.action(VERSION, "AssignIpv6Addresses", idempotent=True)
def assign_ipv6_addresses(call: actions.Call) -> dict[str, Any]:
    """IPv6 addresses or prefixes for an interface: a count, or those named."""
    cloud, params = call.cloud, call.params
    eni = _eni(call)
    addresses = eni_address_rules.ipv6s(params)
    prefixes = eni_address_rules.ipv6_prefixes(params)
    eni_address_rules.require_one_kind(
        addresses, prefixes, "Ipv6Address.N, Ipv6AddressCount, Ipv6Prefix.N or Ipv6PrefixCount"
    )
    vswitch = eni_rules.vswitch(cloud, eni.vswitch_id)
    eni_addresses.require_ipv6(vswitch)
    host = eni_rules.instance(cloud, eni.instance_id) if eni.instance_id else None
    eni_limits.require_ipv6_room(eni, host, addresses.total + prefixes.total)
    given = eni_address_rules.hand_out_ipv6(cloud, vswitch, addresses=addresses, prefixes=prefixes)
    _put(call, eni_address_rules.with_more(cloud, eni, given))
    return {
        "NetworkInterfaceId": eni.eni_id,
        "Ipv6Sets": {"Ipv6Address": list(given.ipv6s)},
        "Ipv6PrefixSets": {"Ipv6Prefix": list(given.ipv6_prefixes)},
    }


@actions.action(VERSION, "UnassignIpv6Addresses")
def unassign_ipv6_addresses(call: actions.Call) -> dict[str, Any]:
    """Give IPv6 addresses and prefixes back; all of them or none."""
    eni = _eni(call)
    texts = call.params.strings("Ipv6Address")
    named = [str(eni_addresses.parse_ipv6(text)) for text in texts]
    prefixes = _named_prefixes(call, "Ipv6Prefix")
    if not named and not prefixes:
        raise errors.missing_parameter("Ipv6Address.N or Ipv6Prefix.N")
    _require_assigned([*named, *prefixes], [*eni.ipv6s, *eni.ipv6_prefixes])
    return _give_back(call, eni, [*named, *prefixes])


def _eni(call: actions.Call) -> eni_model.Eni:
    eni = enis.require(call.cloud, call.params.required("NetworkInterfaceId"))
    eni_rules.require_status(eni, eni_model.AVAILABLE, eni_model.IN_USE)
    return eni


def _named_prefixes(call: actions.Call, name: str) -> list[str]:
    """Prefixes as they are kept; what is none is left as it is, and assigned to nobody."""
    texts = call.params.strings(name)
    return [str(eni_blocks.parse_prefix(text) or text) for text in texts]


def _require_assigned(named: Sequence[str], there: Sequence[str]) -> None:
    for text in named:
        if text not in there:
            raise errors.ApiError(
                "InvalidIp.IpUnassigned", 403, f"The specified IP {text} is not assigned."
            )


def _give_back(call: actions.Call, eni: eni_model.Eni, gone: Sequence[str]) -> dict[str, Any]:
    eni_addresses.forget(call.cloud, eni.vswitch_id, gone)
    _put(call, enis.without(eni, gone))
    return {}


def _put(call: actions.Call, eni: eni_model.Eni) -> None:
    enis.put(call.cloud, eni)
    fabric.act(call.cloud, enis.every(call.cloud))
