"""Compares what the kernel holds for a pod with what ADD made. Pure; `Seen` values come in.

Only what ADD made is looked for: further addresses, routes and queues may be another plug-in's.
"""

import ipaddress
from collections.abc import Iterable, Sequence

from host import rtnl_codes, rtnl_read
from ipamd.datapath import differences, model
from ipamd.datapath.differences import NOTHING
from ipamd.datapath.seen import Seen
from ipamd.datapath.veth_policy_route import plan


def host_end(
    wiring: model.Wiring, seen: Seen, rules: Sequence[rtnl_read.Rule]
) -> list[model.Difference]:
    """Differences of the node's end, its routes and rules."""
    found = differences.Differences("node")
    name = wiring.host_ifname
    if seen.link is None:
        found.add(name, "a veth link", NOTHING)
    else:
        found.link(seen.link, name, "veth", wiring.mtu)
        found.expect(f"{name} alias", wiring.alias, seen.link.alias)
        found.expect(f"{name} forwarding", "on", differences.on(seen.link.forwards))
        found.expect(f"{name} rp_filter", "off", differences.on(seen.link.filters))
        found.bucket(f"{name} limit", plan.ingress(wiring), seen.bucket)
        if wiring.extra_routes:
            found.address(name, plan.LINK_LOCAL, seen.addresses)
    for address in plan.addresses(wiring):
        found.route(f"route to {address}", ipaddress.ip_network(address), None, seen.routes)
        _compare_rules(found, wiring, address, rules)
    return found.all


def eni(
    wiring: model.Wiring, seen: Seen, node_ips: Iterable[model.Address]
) -> list[model.Difference]:
    """Differences of the ENI. seen.routes: of its table."""
    found = differences.Differences("node")
    name = wiring.eni.ifname
    if seen.link is None or seen.link.mac != wiring.eni.mac.lower():
        told = NOTHING if seen.link is None else seen.link.mac
        found.add(f"link {wiring.eni.index}", f"{name}, {wiring.eni.mac}", told)
        return found.all
    found.expect(f"{name} state", "up", "up" if seen.link.up else "down")
    found.expect(f"{name} rp_filter", "off", differences.on(seen.link.filters))
    for node_ip in node_ips:
        found.address(name, node_ip, seen.addresses)
    where = f"default route of table {wiring.eni.table}"
    found.route(where, model.DEFAULT, wiring.gateway, seen.routes)
    if wiring.ipv6 is not None and wiring.ipv6_gateway is not None:
        found.route(f"IPv6 {where}", model.DEFAULT_V6, wiring.ipv6_gateway, seen.routes)
    return found.all


def pod_end(
    wiring: model.Wiring, seen: Seen, host_link: rtnl_read.Link | None
) -> list[model.Difference]:
    """Differences inside the pod; *host_link* is the node's end."""
    found = differences.Differences("pod")
    name = wiring.ifname
    if seen.link is None:
        found.add(name, "a veth link", NOTHING)
        return found.all
    found.link(seen.link, name, "veth", wiring.mtu)
    for address in plan.addresses(wiring):
        found.address(name, address, seen.addresses)
    if host_link is not None:
        found.expect(f"{name} peer", str(host_link.index), str(seen.link.peer_index))
        for next_hop in _next_hops(wiring):
            found.neighbour(next_hop, host_link.mac, seen.neighbours)
    if wiring.default_route:
        found.route("default route", model.DEFAULT, plan.LINK_LOCAL, seen.routes)
        if wiring.ipv6 is not None:
            found.route("IPv6 default route", model.DEFAULT_V6, plan.LINK_LOCAL_V6, seen.routes)
    for network in wiring.extra_routes:
        found.route(f"route to {network}", network, wiring.gateway, seen.routes)
    found.bucket(f"{name} limit", plan.egress(wiring), seen.bucket)
    return found.all


def no_netns(wiring: model.Wiring) -> model.Difference:
    """The pod's namespace is not there."""
    what = "network namespace"
    return model.Difference(where="pod", what=what, expected=str(wiring.netns_path), found=NOTHING)


def has_needless_bucket(wiring: model.Wiring, host: Seen, pod: Seen) -> bool:
    """Whether a limit is set where none is asked for any more, or none ever was."""
    needless_in = plan.ingress(wiring) is None and host.bucket is not None
    return needless_in or (plan.egress(wiring) is None and pod.bucket is not None)


def _compare_rules(
    found: differences.Differences,
    wiring: model.Wiring,
    address: model.Address,
    rules: Sequence[rtnl_read.Rule],
) -> None:
    network = ipaddress.ip_network(address)
    to_pod = [
        rule.table
        for rule in rules
        if rule.priority == model.PRIORITY_TO_POD and rule.destination == network
    ]
    from_pod = [
        rule.table
        for rule in rules
        if rule.priority == model.PRIORITY_FROM_POD and rule.source == network
    ]
    found.expect(f"rule to {address}", _tables([rtnl_codes.RT_TABLE_MAIN]), _tables(to_pod))
    found.expect(f"rule from {address}", _tables([wiring.eni.table]), _tables(from_pod))


def _next_hops(wiring: model.Wiring) -> list[model.Address]:
    hops: list[model.Address] = [plan.LINK_LOCAL]
    if wiring.ipv6 is not None:
        hops.append(plan.LINK_LOCAL_V6)
    if wiring.extra_routes:
        hops.append(wiring.gateway)
    return hops


def _tables(tables: Iterable[int]) -> str:
    return differences.join(f"lookup {table}" for table in tables)
