"""The world's sections about the network: their fields as types, and what makes them wrong.

Not here: whether ids that they use exist anywhere (world_checks.py).
"""

import dataclasses
import ipaddress
from collections.abc import Iterable, Sequence

from sim.hardware import network_api

CLOUD_BLOCK = ipaddress.IPv4Network("100.64.0.0/10")
"""Where the cloud's own services are. Source: VPC API, CreateRouteEntry, DestinationCidrBlock."""
_VPC_IPV6_LENGTH = 56
_VSWITCH_IPV6_LENGTH = 64
_PRIORITIES = range(1, 101)
_LAST_PORT = 65535

Block = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A custom entry of a VPC's route table: traffic to cidr_block goes to that interface.

    eni_id: of an instance's primary interface. instance_id: the same by its instance. One of both.
    """

    cidr_block: str
    eni_id: str = ""
    instance_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vpc:
    """A virtual private cloud. ipv6_cidr_block: a /56, "" = no IPv6. routes: IPv4 only."""

    vpc_id: str
    cidr_block: str
    name: str = ""
    ipv6_cidr_block: str = ""
    routes: tuple[Route, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VSwitch:
    """A subnet of a VPC in one zone.

    ipv6_cidr_block: a /64 of the VPC's block, "" = no IPv6.
    available_limit: most addresses in use, so that it can run dry; -1 = as many as the block has.
    """

    vswitch_id: str
    vpc_id: str
    zone_id: str
    cidr_block: str
    name: str = ""
    ipv6_cidr_block: str = ""
    available_limit: int = -1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """A security group of a VPC, with the rules it has from the start."""

    security_group_id: str
    vpc_id: str
    name: str = ""
    rules: tuple[network_api.Rule, ...] = ()


def faults(
    vpcs: Sequence[Vpc], vswitches: Sequence[VSwitch], groups: Sequence[SecurityGroup]
) -> Iterable[str]:
    """Faults inside and between the rows, one line each."""
    blocks: list[tuple[str, str, Block]] = []
    for vpc in vpcs:
        yield from _vpc_faults(vpc, [row for row in vswitches if row.vpc_id == vpc.vpc_id])
    homes = {row.vpc_id: row for row in vpcs}
    for vswitch in vswitches:
        where, home = f"vswitches: {vswitch.vswitch_id}", homes.get(vswitch.vpc_id)
        for found, outer, length in (
            (vswitch.cidr_block, home.cidr_block if home else "", 0),
            (vswitch.ipv6_cidr_block, home.ipv6_cidr_block if home else "", _VSWITCH_IPV6_LENGTH),
        ):
            fault, block = _parse(where, found, six=bool(length), length=length)
            yield from fault
            if block is None or home is None:
                continue
            if not is_inside(block, outer):
                yield f"{where} has {block}, which is not in {home.vpc_id}'s {outer or 'no block'}"
            blocks.append((vswitch.vpc_id, where, block))
    yield from _overlaps(blocks)
    for group in groups:
        yield from _group_faults(group)


def rule_fault(rule: network_api.Rule) -> str:
    """What is wrong with the rule on its own, "" when nothing is."""
    if bool(rule.cidr_block) == bool(rule.source_group_id):
        return "needs either cidr_block or source_group_id"
    if rule.cidr_block and _block(rule.cidr_block) is None:
        return f"has cidr_block {rule.cidr_block}, which is no block of addresses"
    if rule.priority not in _PRIORITIES:
        return f"needs a priority from 1 to {_PRIORITIES[-1]}, has {rule.priority}"
    ports = rule.port_from, rule.port_to
    if ports != (-1, -1) and rule.protocol not in ("tcp", "udp"):
        return f"has ports, which {rule.protocol} has not"
    if ports != (-1, -1) and not 1 <= rule.port_from <= rule.port_to <= _LAST_PORT:
        return f"needs 1 <= port_from <= port_to <= {_LAST_PORT}, or -1 for both"
    return ""


def is_inside(inner: Block, outer: str) -> bool:
    """Whether *inner* is the block *outer* or a part of it; False for what is no block."""
    block = _block(outer)
    if block is None or block.version != inner.version:
        return False
    return inner.network_address in block and inner.prefixlen >= block.prefixlen


def _vpc_faults(vpc: Vpc, vswitches: Sequence[VSwitch]) -> Iterable[str]:
    where = f"vpcs: {vpc.vpc_id}"
    yield from _parse(where, vpc.cidr_block, six=False)[0]
    yield from _parse(where, vpc.ipv6_cidr_block, six=True, length=_VPC_IPV6_LENGTH)[0]
    seen: set[Block] = set()
    for route in vpc.routes:
        fault, block = _parse(where, route.cidr_block, six=False)
        yield from fault
        if bool(route.eni_id) == bool(route.instance_id):
            yield f"{where}: the route to {route.cidr_block} needs either eni_id or instance_id"
        if block is None:
            continue
        if block in seen:
            yield f"{where} has two routes to {block}"
        seen.add(block)
        if is_inside(block, str(CLOUD_BLOCK)):
            yield f"{where} has a route to {block}, where the cloud's own services are"
        for row in vswitches:
            if is_inside(block, row.cidr_block):
                yield f"{where} has a route to {block}, which is inside {row.vswitch_id}"


def _group_faults(group: SecurityGroup) -> Iterable[str]:
    for n, rule in enumerate(group.rules):
        where = f"security_groups: {group.security_group_id}: rules[{n}]"
        fault = rule_fault(rule)
        if fault:
            yield f"{where} {fault}"
        if rule.source_group_id == group.security_group_id:
            yield f"{where} names its own group, whose members reach each other anyway"


def _overlaps(blocks: Sequence[tuple[str, str, Block]]) -> Iterable[str]:
    for n, (vpc_id, where, block) in enumerate(blocks):
        for other_vpc_id, other_where, other in blocks[:n]:
            if vpc_id == other_vpc_id and block.version == other.version and block.overlaps(other):
                yield f"{where} has {block}, which overlaps with {other} of {other_where}"


def _parse(where: str, text: str, *, six: bool, length: int = 0) -> tuple[list[str], Block | None]:
    """Faults, and the block when there is one. IPv6 ones may be absent."""
    if six and not text:
        return [], None
    try:
        block = ipaddress.IPv6Network(text) if six else ipaddress.IPv4Network(text)
    except ValueError as e:
        return [f"{where}: {e}"], None
    if length and block.prefixlen != length:
        return [f"{where}: ipv6_cidr_block must be a /{length}, is {text}"], None
    return [], block


def _block(text: str) -> Block | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None
