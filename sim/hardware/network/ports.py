"""Plugging interfaces: veth pairs between the VPC and the instances' namespaces."""

import hashlib
import socket
from collections.abc import Iterable, Mapping

import structlog

from sim.hardware import network_api
from sim.hardware.network import command, namespaces

log = structlog.get_logger()

ROUTER_MAC = "ee:ff:ff:ff:ff:ff"
"""Who answers ARP in a VPC, whatever was asked for."""
_MTU = 1500


def plug(
    spaces: namespaces.Namespaces,
    ports: Mapping[str, network_api.Port],
    instances: Mapping[str, str],
) -> None:
    """Make the pairs of ports (name → port) that are not there.

    A primary interface comes up as at boot, others appear down and without address, as a hot-plug
    shows them. Nothing else in the instance's namespace is touched.
    """
    taken: dict[str, set[str]] = {}
    lines = []
    for name, port in sorted(ports.items(), key=lambda each: (not each[1].primary, each[0])):
        node = spaces.node(instances[port.instance_id])
        spaces.ensure_node(node)
        if node not in taken:
            taken[node] = _names(node)
        guest = _guest_name(taken[node], primary=port.primary)
        taken[node].add(guest)
        if port.primary:
            _plug_primary(spaces.vpc, node, name, guest, port)
        else:
            lines.append(_pair(name, guest, node, port.mac))
        log.info("interface plugged", eni_id=port.eni_id, mac=port.mac, netns=node, ifname=guest)
    command.ip_batch(spaces.vpc, lines)


def unplug(vpc: str, names: Iterable[str]) -> None:
    """Remove pairs; the instance's end goes wherever it is."""
    command.ip_batch(vpc, [f"link del {name}" for name in sorted(names)])


def _plug_primary(vpc: str, node: str, name: str, guest: str, port: network_api.Port) -> None:
    """The VPC's end gets its name last, so that a killed run is seen and begun again."""
    unfinished = f"t{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    command.ip_batch(vpc, [_pair(unfinished, guest, node, port.mac)])
    lines = [f"link set {guest} up"]
    four = next((each for each in port.addresses if ":" not in each), "")
    six = next((each for each in port.addresses if ":" in each), "")
    if four and port.gateway:
        lines.append(f"addr add {four}/{port.prefix_length} dev {guest}")
        lines.append(f"route replace default via {port.gateway} dev {guest}")
    if six and port.ipv6_gateway:
        lines.append(f"addr add {six}/64 dev {guest} nodad")
        lines.append(f"route replace default via {port.ipv6_gateway} dev {guest}")
    command.ip_batch(node, lines)
    command.ip_batch(vpc, [f"link set {unfinished} name {name}"])


def _pair(name: str, guest: str, node: str, mac: str) -> str:
    peer = f"name {guest} address {mac} mtu {_MTU} netns {node}"
    return f"link add {name} address {ROUTER_MAC} mtu {_MTU} type veth peer {peer}"


def _names(node: str) -> set[str]:
    return {name for _, name in command.inside(node, socket.if_nameindex)}


def _guest_name(taken: set[str], *, primary: bool) -> str:
    """The name a guest gives: eth0 for the primary interface, then the lowest that is free."""
    if primary and "eth0" not in taken:
        return "eth0"
    return next(f"eth{n}" for n in range(1, len(taken) + 2) if f"eth{n}" not in taken)
