"""Reads what the kernel holds for a pod, for `compare`; and all that the node carries."""

import socket

from host import netlink, rtnl_codes, rtnl_read
from ipamd.datapath import compare, model, names, plan


def host_end(asking: netlink.Socket, wiring: model.Wiring) -> compare.Seen:
    """The node's end of the pod's interface."""
    return _seen(asking, rtnl_read.read_link(asking, wiring.host_ifname), _families(wiring))


def pod_end(asking: netlink.Socket, wiring: model.Wiring) -> compare.Seen:
    """The pod's end, with a socket of the pod's namespace."""
    families = _families(wiring)
    seen = _seen(asking, rtnl_read.read_link(asking, wiring.ifname), families)
    if seen.link is None:
        return seen
    neighbours = [
        neighbour
        for family in families
        for neighbour in rtnl_read.read_neighbours(asking, seen.link.index, family)
    ]
    return compare.Seen(
        link=seen.link,
        addresses=seen.addresses,
        routes=seen.routes,
        neighbours=neighbours,
        bucket=seen.bucket,
    )


def eni(asking: netlink.Socket, wiring: model.Wiring) -> compare.Seen:
    """The ENI, with the routes of its table."""
    link = rtnl_read.read_link_at(asking, wiring.eni.index)
    return _seen(asking, link, _families(wiring), table=wiring.eni.table)


def rules(asking: netlink.Socket, wiring: model.Wiring) -> list[rtnl_read.Rule]:
    """The rules of the pod's families."""
    return [rule for family in _families(wiring) for rule in rtnl_read.read_rules(asking, family)]


def host_state(asking: netlink.Socket) -> model.HostState:
    """Links with a pod's name, the rules of our priorities, the routes over those links."""
    links = [
        link
        for link in rtnl_read.read_links(asking)
        if link.kind == "veth" and link.ifname.startswith(names.PREFIX)
    ]
    indexes = {link.index for link in links}
    routes = [
        model.HostRoute(address=route.network.network_address, index=route.index)
        for family in (socket.AF_INET, socket.AF_INET6)
        for route in rtnl_read.read_routes(asking, family)
        if route.index in indexes and route.network.num_addresses == 1
    ]
    return model.HostState(
        links=tuple(
            model.HostLink(ifname=link.ifname, index=link.index, alias=link.alias, up=link.up)
            for link in links
        ),
        rules=tuple(
            told
            for family in (socket.AF_INET, socket.AF_INET6)
            for rule in rtnl_read.read_rules(asking, family)
            if (told := _host_rule(rule)) is not None
        ),
        routes=tuple(routes),
    )


def _host_rule(rule: rtnl_read.Rule) -> model.HostRule | None:
    """A rule of ours, None for another one."""
    network = None
    if rule.priority == plan.PRIORITY_TO_POD:
        network = rule.destination
    elif rule.priority == plan.PRIORITY_FROM_POD:
        network = rule.source
    if network is None or network.num_addresses != 1:
        return None
    return model.HostRule(priority=rule.priority, address=network.network_address, table=rule.table)


def _seen(
    asking: netlink.Socket,
    link: rtnl_read.Link | None,
    families: tuple[int, ...],
    *,
    table: int = rtnl_codes.RT_TABLE_MAIN,
) -> compare.Seen:
    if link is None:
        return compare.Seen(link=None)
    return compare.Seen(
        link=link,
        addresses=[
            address
            for family in families
            for address in rtnl_read.read_addresses(asking, link.index, family)
        ],
        routes=[
            route
            for family in families
            for route in rtnl_read.read_routes(asking, family, table=table, index=link.index)
        ],
        bucket=rtnl_read.read_bucket(asking, link.index) if link.qdisc == "tbf" else None,
    )


def _families(wiring: model.Wiring) -> tuple[int, ...]:
    if wiring.ipv6 is None:
        return (socket.AF_INET,)
    return (socket.AF_INET, socket.AF_INET6)
