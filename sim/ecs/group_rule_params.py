"""Security group rules as requests name them: pure.

Codes: error tables of AuthorizeSecurityGroup and RevokeSecurityGroup. Rules with source ports,
prefix lists or port lists are refused by name: 400 InvalidParameter.
"""

import dataclasses
import ipaddress
from collections.abc import Mapping
from typing import Literal

from sim import errors
from sim import params as params_module
from sim.hardware import network_api

Direction = Literal["ingress", "egress"]
_PROTOCOLS: Mapping[str, Literal["all", "tcp", "udp", "icmp", "gre"]] = {
    "all": "all",
    "tcp": "tcp",
    "udp": "udp",
    "icmp": "icmp",
    "gre": "gre",
}
_POLICIES: Mapping[str, Literal["accept", "drop"]] = {"accept": "accept", "drop": "drop"}
_FIELDS = (
    *("IpProtocol", "PortRange", "Policy", "Priority", "NicType", "Description"),
    *("SourceCidrIp", "Ipv6SourceCidrIp", "SourceGroupId", "SourcePrefixListId"),
    *("DestCidrIp", "Ipv6DestCidrIp", "DestGroupId", "DestPrefixListId"),
    *("SourcePortRange", "PortRangeListId"),
)
_MAX_RULES = 100
_MAX_PRIORITY = 100
_MAX_PORT = 65535
_ANY_PORT = "-1/-1"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A rule of a request. where: its place there, "" or `Permissions.1.`."""

    where: str
    rule: network_api.Rule
    description: str


def parse(params: params_module.Params, direction: Direction) -> list[Wanted]:
    """The rules of a request, in order: `Permissions.N`, or one in the older flat parameters.

    400 InvalidParam.Permissions for both, MissingParameter for neither, and for each rule what
    _rule says; InvalidParam.DuplicatePermissions.
    """
    flat = {name: params.text(name) for name in _FIELDS if params.text(name)}
    structs = params.structs("Permissions")
    if structs and flat:
        raise errors.ApiError(
            "InvalidParam.Permissions",
            400,
            "The specified parameter Permissions cannot coexist with other parameters.",
        )
    if len(structs) > _MAX_RULES:
        raise errors.invalid_parameter("Permissions.N", f"{len(structs)} rules", "1 to 100 rules")
    if not structs and not flat:
        raise errors.missing_parameter("Permissions.N")
    found = [
        _wanted(f"Permissions.{n}.", fields, direction) for n, fields in enumerate(structs, start=1)
    ] or [_wanted("", flat, direction)]
    if len({each.rule for each in found}) < len(found):
        raise errors.ApiError(
            "InvalidParam.DuplicatePermissions",
            400,
            "There are duplicate permissions in the specified parameter Permissions.",
        )
    return found


def _wanted(where: str, fields: Mapping[str, str], direction: Direction) -> Wanted:
    protocol = fields.get("IpProtocol", "").lower()
    if protocol not in _PROTOCOLS:
        raise errors.invalid_parameter(
            f"{where}IpProtocol",
            fields.get("IpProtocol", ""),
            "TCP, UDP, ICMP, GRE or ALL in any case",
            "InvalidIpProtocol.ValueNotSupported",
        )
    policy = fields.get("Policy", "accept").lower()
    if policy not in _POLICIES:
        raise errors.invalid_parameter(
            f"{where}Policy", policy, "accept, drop", "InvalidPolicy.Malformed"
        )
    if fields.get("NicType", "intranet") != "intranet":
        raise errors.invalid_parameter(
            f"{where}NicType", fields["NicType"], "intranet", "InvalidNicType.ValueNotSupported"
        )
    _refuse_what_is_not_offered(where, fields, direction)
    port_from, port_to = _ports(where, fields.get("PortRange", ""), protocol)
    cidr_block, group_id = _peer(where, fields, direction)
    return Wanted(
        where=where,
        description=fields.get("Description", ""),
        rule=network_api.Rule(
            direction=direction,
            protocol=_PROTOCOLS[protocol],
            cidr_block=cidr_block,
            source_group_id=group_id,
            port_from=port_from,
            port_to=port_to,
            policy=_POLICIES[policy],
            priority=_priority(where, fields.get("Priority", "1")),
        ),
    )


def _refuse_what_is_not_offered(
    where: str, fields: Mapping[str, str], direction: Direction
) -> None:
    here = "Dest" if direction == "ingress" else "Source"
    away = "Source" if direction == "ingress" else "Dest"
    names = (f"{here}CidrIp", f"Ipv6{here}CidrIp", f"{here}GroupId", f"{here}PrefixListId")
    for name in (*names, f"{away}PrefixListId", "PortRangeListId", "SourcePortRange"):
        if fields.get(name) and not (name == "SourcePortRange" and fields[name] == _ANY_PORT):
            raise errors.invalid_parameter(where + name, fields[name], "absent: not offered here")


def _ports(where: str, text: str, protocol: str) -> tuple[int, int]:
    """400 InvalidPortRange.Malformed when absent, InvalidParam.PortRange when wrong."""
    if not text:
        raise errors.ApiError(
            "InvalidPortRange.Malformed", 400, f"The parameter {where}PortRange must be set."
        )
    if text == _ANY_PORT and protocol not in ("tcp", "udp"):
        return -1, -1
    first, _, last = text.partition("/")
    whole = first.isdecimal() and last.isdecimal()
    if whole and protocol in ("tcp", "udp") and 1 <= int(first) <= int(last) <= _MAX_PORT:
        return int(first), int(last)
    allowed = "1/1 to 65535/65535" if protocol in ("tcp", "udp") else _ANY_PORT
    raise errors.invalid_parameter(f"{where}PortRange", text, allowed, "InvalidParam.PortRange")


def _priority(where: str, text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= _MAX_PRIORITY:
        return int(text)
    raise errors.invalid_parameter(
        f"{where}Priority", text, "1 to 100", "InvalidPriority.ValueNotSupported"
    )


def _peer(where: str, fields: Mapping[str, str], direction: Direction) -> tuple[str, str]:
    """The other side as (block, group id), one of them "". A block counts before a group."""
    side = "Source" if direction == "ingress" else "Dest"
    four, six = fields.get(f"{side}CidrIp", ""), fields.get(f"Ipv6{side}CidrIp", "")
    if four and six:
        raise errors.invalid_parameter(
            f"{where}Ipv6{side}CidrIp", six, f"absent beside {side}CidrIp", f"InvalidParam.{side}Ip"
        )
    try:
        if four:
            return str(ipaddress.IPv4Network(four)), ""
        if six:
            return str(ipaddress.IPv6Network(six)), ""
    except ValueError as e:
        name = f"{side}CidrIp" if four else f"Ipv6{side}CidrIp"
        raise errors.invalid_parameter(
            where + name, four or six, f"a block of addresses; {e}", f"InvalidParam.{name}"
        ) from e
    if not fields.get(f"{side}GroupId"):
        raise errors.ApiError(
            f"MissingParameter.{side}",
            400,
            f"One of the parameters {side}CidrIp, Ipv6{side}CidrIp or {side}GroupId must be "
            f"specified{f' in {where[:-1]}' if where else ''}.",
        )
    return "", fields[f"{side}GroupId"]
