"""Compares what the kernel holds for a pod with what ADD made. Pure; `Seen` values come in.

Only what ADD made is looked for: further addresses, routes and queues may be another plug-in's.
"""

import dataclasses
import ipaddress
from collections.abc import Iterable, Sequence
from typing import Literal

from host import rtnl, rtnl_codes, rtnl_read
from ipamd.datapath import model, plan, tbf
from ipamd.datapath.plan import Address

_Where = Literal["node", "pod"]
_NOTHING = "nothing"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A link and what belongs to it, in one namespace."""

    link: rtnl_read.Link | None
    addresses: Sequence[rtnl_read.LinkAddress] = ()
    routes: Sequence[rtnl_read.Route] = ()
    neighbours: Sequence[rtnl_read.Neighbour] = ()
    bucket: rtnl_read.Bucket | None = None


def host_end(
    wiring: model.Wiring, seen: Seen, rules: Sequence[rtnl_read.Rule]
) -> list[model.Difference]:
    """Differences of the node's end, its routes and rules."""
    found = _Differences("node")
    name = wiring.host_ifname
    if seen.link is None:
        found.add(name, "a veth link", _NOTHING)
    else:
        found.link(seen.link, name, wiring.mtu)
        found.expect(f"{name} alias", wiring.alias, seen.link.alias)
        found.expect(f"{name} forwarding", "on", _on(seen.link.forwards))
        found.expect(f"{name} rp_filter", "off", _on(seen.link.filters))
        found.bucket(f"{name} limit", plan.ingress(wiring), seen.bucket)
        if wiring.extra_routes:
            found.address(name, plan.LINK_LOCAL, seen.addresses)
    for address in plan.addresses(wiring):
        found.route(f"route to {address}", ipaddress.ip_network(address), None, seen.routes)
        _compare_rules(found, wiring, address, rules)
    return found.all


def eni(wiring: model.Wiring, seen: Seen, node_ips: Iterable[Address]) -> list[model.Difference]:
    """Differences of the ENI. seen.routes: of its table."""
    found = _Differences("node")
    name = wiring.eni.ifname
    if seen.link is None or seen.link.mac != wiring.eni.mac.lower():
        told = _NOTHING if seen.link is None else seen.link.mac
        found.add(f"link {wiring.eni.index}", f"{name}, {wiring.eni.mac}", told)
        return found.all
    found.expect(f"{name} state", "up", "up" if seen.link.up else "down")
    found.expect(f"{name} rp_filter", "off", _on(seen.link.filters))
    for node_ip in node_ips:
        found.address(name, node_ip, seen.addresses)
    where = f"default route of table {wiring.eni.table}"
    found.route(where, plan.DEFAULT, wiring.gateway, seen.routes)
    if wiring.ipv6 is not None and wiring.ipv6_gateway is not None:
        found.route(f"IPv6 {where}", plan.DEFAULT_V6, wiring.ipv6_gateway, seen.routes)
    return found.all


def pod_end(
    wiring: model.Wiring, seen: Seen, host_link: rtnl_read.Link | None
) -> list[model.Difference]:
    """Differences inside the pod; *host_link* is the node's end."""
    found = _Differences("pod")
    name = wiring.ifname
    if seen.link is None:
        found.add(name, "a veth link", _NOTHING)
        return found.all
    found.link(seen.link, name, wiring.mtu)
    for address in plan.addresses(wiring):
        found.address(name, address, seen.addresses)
    if host_link is not None:
        found.expect(f"{name} peer", str(host_link.index), str(seen.link.peer_index))
        for next_hop in _next_hops(wiring):
            found.neighbour(next_hop, host_link.mac, seen.neighbours)
    if wiring.default_route:
        found.route("default route", plan.DEFAULT, plan.LINK_LOCAL, seen.routes)
        if wiring.ipv6 is not None:
            found.route("IPv6 default route", plan.DEFAULT_V6, plan.LINK_LOCAL_V6, seen.routes)
    for network in wiring.extra_routes:
        found.route(f"route to {network}", network, wiring.gateway, seen.routes)
    found.bucket(f"{name} limit", plan.egress(wiring), seen.bucket)
    return found.all


def no_netns(wiring: model.Wiring) -> model.Difference:
    """The pod's namespace is not there."""
    what = "network namespace"
    return model.Difference(where="pod", what=what, expected=str(wiring.netns_path), found=_NOTHING)


def has_needless_bucket(wiring: model.Wiring, host: Seen, pod: Seen) -> bool:
    """Whether a limit is set where none is asked for any more, or none ever was."""
    needless_in = plan.ingress(wiring) is None and host.bucket is not None
    return needless_in or (plan.egress(wiring) is None and pod.bucket is not None)


def _compare_rules(
    found: "_Differences",
    wiring: model.Wiring,
    address: Address,
    rules: Sequence[rtnl_read.Rule],
) -> None:
    network = ipaddress.ip_network(address)
    to_pod = [
        rule.table
        for rule in rules
        if rule.priority == plan.PRIORITY_TO_POD and rule.destination == network
    ]
    from_pod = [
        rule.table
        for rule in rules
        if rule.priority == plan.PRIORITY_FROM_POD and rule.source == network
    ]
    found.expect(f"rule to {address}", _tables([rtnl_codes.RT_TABLE_MAIN]), _tables(to_pod))
    found.expect(f"rule from {address}", _tables([wiring.eni.table]), _tables(from_pod))


def _next_hops(wiring: model.Wiring) -> list[Address]:
    hops: list[Address] = [plan.LINK_LOCAL]
    if wiring.ipv6 is not None:
        hops.append(plan.LINK_LOCAL_V6)
    if wiring.extra_routes:
        hops.append(wiring.gateway)
    return hops


class _Differences:
    """Collects differences of one side."""

    def __init__(self, where: _Where) -> None:
        self.all: list[model.Difference] = []
        self._where: _Where = where

    def add(self, what: str, expected: str, found: str) -> None:
        self.all.append(
            model.Difference(where=self._where, what=what, expected=expected, found=found)
        )

    def expect(self, what: str, expected: str, found: str) -> None:
        if expected != found:
            self.add(what, expected, found)

    def link(self, link: rtnl_read.Link, name: str, mtu: int) -> None:
        self.expect(f"{name} kind", "veth", link.kind)
        self.expect(f"{name} state", "up", "up" if link.up else "down")
        self.expect(f"{name} mtu", str(mtu), str(link.mtu))

    def bucket(self, what: str, wanted: rtnl.Tbf | None, found: rtnl_read.Bucket | None) -> None:
        if wanted is not None and not tbf.is_same(wanted, found):
            self.add(what, tbf.wanted_text(wanted), tbf.found_text(found))

    def address(self, name: str, address: Address, found: Sequence[rtnl_read.LinkAddress]) -> None:
        wanted = ipaddress.ip_interface(address)
        if any(each.interface == wanted for each in found):
            return
        self.add(f"{name} address", str(wanted), _join(str(each.interface) for each in found))

    def route(
        self,
        what: str,
        network: ipaddress.IPv4Network | ipaddress.IPv6Network,
        gateway: Address | None,
        found: Sequence[rtnl_read.Route],
    ) -> None:
        there = [route.gateway for route in found if route.network == network]
        if gateway not in there:
            self.add(what, _via(gateway), _join(_via(each) for each in there))

    def neighbour(self, address: Address, mac: str, found: Sequence[rtnl_read.Neighbour]) -> None:
        there = [each for each in found if each.address == address]
        told = _join(f"{each.mac}{'' if each.permanent else ', may expire'}" for each in there)
        self.expect(f"neighbour {address}", mac, told)


def _join(texts: Iterable[str]) -> str:
    return ", ".join(texts) or _NOTHING


def _tables(tables: Iterable[int]) -> str:
    return _join(f"lookup {table}" for table in tables)


def _via(gateway: Address | None) -> str:
    return "on the link" if gateway is None else f"via {gateway}"


def _on(flag: bool) -> str:  # noqa: FBT001 - a yes or no of the kernel, put into words
    return "on" if flag else "off"
