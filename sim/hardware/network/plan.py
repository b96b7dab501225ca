"""What the VPC's namespace must hold for a fabric: pure."""

import collections
import dataclasses
import hashlib
import ipaddress
from collections.abc import Iterable, Mapping

from sim.hardware import api, network_api
from sim.hardware.network import groups, model, ruleset

Block = ipaddress.IPv4Network | ipaddress.IPv6Network
_IPV6 = 6
_IPV6_LINK = 64
"""Prefix length of every vSwitch's IPv6 block. Source: VPC documentation, "vSwitch"."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """ports: name of the VPC's end → port."""

    ports: Mapping[str, network_api.Port]
    net: model.Net
    rules: model.Rules


def plan(fabric: network_api.Fabric) -> Plan:
    """Everything for *fabric*; HardwareError for what this machine cannot show."""
    ports = {port_name(port): port for port in fabric.ports}
    _require_possible(ports, fabric.instances)
    names = {port.eni_id: name for name, port in ports.items()}
    routes = [route for route in fabric.routes if route.eni_id in names]
    return Plan(ports=ports, net=_net(ports, names, routes), rules=_rules(ports, fabric, routes))


def port_name(port: network_api.Port) -> str:
    """Name of the VPC's end. Another MAC is another port: its guard is made for one."""
    digest = hashlib.sha256(f"{port.eni_id} {port.mac}".encode()).hexdigest()
    return f"p{digest[:12]}"


def vpc_number(vpc_id: str) -> int:
    """The mark of packets from ports of a VPC; never 0, which unmarked packets have."""
    return int.from_bytes(hashlib.sha256(vpc_id.encode()).digest()[:3], "big") + 1


def _require_possible(ports: Mapping[str, network_api.Port], instances: Mapping[str, str]) -> None:
    owners: dict[str, str] = {}
    for port in ports.values():
        if port.instance_id not in instances:
            raise api.HardwareError(f"network: {port.eni_id} is on unknown {port.instance_id}")
        if port.vlan_id:
            raise api.HardwareError(
                f"network: {port.eni_id} is a member interface (VLAN {port.vlan_id} of "
                f"{port.trunk_eni_id}), which this fabric does not have"
            )
        if not port.addresses:
            raise api.HardwareError(f"network: {port.eni_id} has no address")
        for address in port.addresses:
            other = owners.setdefault(address, port.eni_id)
            # One routing table serves all VPCs.
            if other != port.eni_id:
                raise api.HardwareError(f"network: {address} is on {other} and {port.eni_id}")


def _net(
    ports: Mapping[str, network_api.Port],
    names: Mapping[str, str],
    routes: Iterable[network_api.Route],
) -> model.Net:
    wanted_routes, neighbours, local = set(), set(), set()
    for name, port in ports.items():
        for first, *more in _families(port):
            # Only the first address has a neighbour: it is the next hop of all others, so the guest
            # answers for none of them.
            wanted_routes.add((first, "", name))
            neighbours.add((first, name, port.mac))
            wanted_routes |= {(each, first, name) for each in more}
        for block in _blocks(port.prefixes):
            via = next_hop(port, block)
            wanted_routes.add((_text(block), via, name))
            neighbours.add((via, name, port.mac))
        if port.gateway:
            local.add((port.gateway, "lo"))
            # Nothing goes there. A route that leads elsewhere is what makes the router answer ARP.
            wanted_routes.add((str(_vswitch(port)), "", "lo"))
        if port.ipv6_gateway:
            local.add((port.ipv6_gateway, name))
    for route in routes:
        name = names[route.eni_id]
        block = ipaddress.ip_network(route.cidr_block)
        via = next_hop(ports[name], block)
        wanted_routes.add((_text(block), via, name))
        neighbours.add((via, name, ports[name].mac))
    return model.Net(
        routes=frozenset(wanted_routes),
        neighbours=frozenset(neighbours),
        proxies=_proxies(ports),
        local=frozenset(local | {(ruleset.CLOUD_ADDRESS, "lo")}),
    )


def next_hop(port: network_api.Port, block: Block) -> str:
    """The port's first address of the block's family; HardwareError without one of IPv4.

    A port without IPv6 address is reached by the link-local one that its MAC gives.
    """
    for first, *_ in _families(port):
        if ipaddress.ip_address(first).version == block.version:
            return first
    if block.version == _IPV6:
        return link_local(port.mac)
    raise api.HardwareError(f"network: {port.eni_id} has no address to route {block} to")


def link_local(mac: str) -> str:
    """Source: RFC 4291, appendix A."""
    raw = bytes.fromhex(mac.replace(":", ""))
    host = bytes((raw[0] ^ 2, *raw[1:3], 0xFF, 0xFE, *raw[3:]))
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + host))


def _proxies(ports: Mapping[str, network_api.Port]) -> frozenset[tuple[str, str]]:
    """IPv6 addresses of a vSwitch, on each of its other ports."""
    links: dict[Block, list[tuple[str, str]]] = collections.defaultdict(list)
    for name, port in ports.items():
        for address in port.addresses:
            if ":" in address:
                link = ipaddress.ip_network(f"{address}/{_IPV6_LINK}", strict=False)
                links[link].append((address, name))
    return frozenset(
        (address, other)
        for members in links.values()
        for other in {name for _, name in members}
        for address, name in members
        if other != name
    )


def _rules(
    ports: Mapping[str, network_api.Port],
    fabric: network_api.Fabric,
    routes: Iterable[network_api.Route],
) -> model.Rules:
    filters = groups.filters(ports, fabric.security_groups)
    found: dict[str, set[str]] = {
        **{name: set() for name in ruleset.SETS},
        **{name: {f'"{each}"' for each in members} for name, members in filters.members.items()},
        "egress": {f'"{name}" : jump {chain}' for name, chain in filters.egress.items()},
        "ingress": {f'"{name}" : jump {chain}' for name, chain in filters.ingress.items()},
    }
    for name, port in ports.items():
        _add_port(found, name, port)
    for vpc, blocks in _owned_blocks(ports, routes).items():
        for block in _collapse(blocks):
            found[f"owned_blocks{_suffix(str(block))}"].add(f"{vpc} . {_text(block)}")
    return model.Rules(
        elements={name: frozenset(elements) for name, elements in found.items()},
        chains=filters.chains,
        guards={name: port.mac for name, port in ports.items()},
    )


def _add_port(found: dict[str, set[str]], name: str, port: network_api.Port) -> None:
    """Elements that say what may come from a port and what goes there."""
    vpc = vpc_number(port.vpc_id)
    found["vpcs"].add(f'"{name}" : {vpc}')
    if not port.source_dest_check:
        found["unchecked"].add(f'"{name}"')
    for address in port.addresses:
        six = _suffix(address)
        found[f"sources{six}"].add(f'"{name}" . {address}')
        found[f"owned{six}"].add(f"{vpc} . {address}")
    for block in _collapse(_blocks(port.prefixes)):
        found[f"source_blocks{_suffix(str(block))}"].add(f'"{name}" . {_text(block)}')
    for gateway in filter(None, (port.gateway, port.ipv6_gateway)):
        found[f"gateways{_suffix(gateway)}"].add(gateway)


def _owned_blocks(
    ports: Mapping[str, network_api.Port], routes: Iterable[network_api.Route]
) -> dict[int, list[Block]]:
    """Blocks that have an owner, by the VPC's number."""
    owned: dict[int, list[Block]] = collections.defaultdict(list)
    for port in ports.values():
        owned[vpc_number(port.vpc_id)] += _blocks(port.prefixes)
    unchecked = {port.eni_id for port in ports.values() if not port.source_dest_check}
    for route in routes:
        # An interface with the check on takes nothing that is not addressed to it.
        if route.eni_id in unchecked:
            owned[vpc_number(route.vpc_id)].append(ipaddress.ip_network(route.cidr_block))
    return owned


def _families(port: network_api.Port) -> list[list[str]]:
    """The port's IPv4 addresses, then its IPv6 ones, without empty lists."""
    split = (
        [each for each in port.addresses if ":" not in each],
        [each for each in port.addresses if ":" in each],
    )
    return [each for each in split if each]


def _vswitch(port: network_api.Port) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(f"{port.gateway}/{port.prefix_length}", strict=False)


def _blocks(texts: Iterable[str]) -> Iterable[Block]:
    return (ipaddress.ip_network(text) for text in texts)


def _collapse(blocks: Iterable[Block]) -> Iterable[Block]:
    """The same addresses in blocks that do not overlap, which nft's interval sets refuse."""
    blocks = list(blocks)
    yield from ipaddress.collapse_addresses(
        block for block in blocks if isinstance(block, ipaddress.IPv4Network)
    )
    yield from ipaddress.collapse_addresses(
        block for block in blocks if isinstance(block, ipaddress.IPv6Network)
    )


def _text(block: Block) -> str:
    """As iproute2 and nft print it: a single address has no mask."""
    return str(block.network_address) if block.prefixlen == block.max_prefixlen else str(block)


def _suffix(address: str) -> str:
    """Of the names of sets for the address's family."""
    return "6" if ":" in address else ""
