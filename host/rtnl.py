"""Requests that change links, addresses, routes, rules, neighbours and queues, as bytes. Pure."""

import dataclasses
import ipaddress
import socket

from host import rtnl_codes as c
from host.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Request, attr, nested


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tbf:
    """A token bucket. rate: bytes per second; burst, limit: bytes; mtu: as the kernel keeps it."""

    rate_bytes_per_s: int
    burst_bytes: int
    limit_bytes: int
    mtu: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of a veth pair."""

    ifname: str
    index: int
    mac: str


def make_veth(host: End, pod: End, *, mtu: int, netns_fd: int) -> Request:
    """A pair whose *pod* end is born in the namespace *netns_fd* with its final name.

    Moving a device between namespaces takes 20 to 34 ms, and each queue beyond the first costs
    (spec/performance.md C). Neither end can be up yet.
    """
    peer = (
        c.LINK.pack(0, 0, pod.index, 0, 0)
        + _end(pod, mtu)
        + attr(c.IFLA_NET_NS_FD, c.U32.pack(netns_fd))
    )
    data = nested(c.IFLA_INFO_DATA, nested(c.VETH_INFO_PEER, peer))
    info = nested(c.IFLA_LINKINFO, attr(c.IFLA_INFO_KIND, b"veth"), data)
    return Request(
        kind=c.RTM_NEWLINK,
        flags=NLM_F_CREATE | NLM_F_EXCL,
        body=c.LINK.pack(0, 0, host.index, 0, 0) + _end(host, mtu) + info,
        doing=f"make {host.ifname} and its peer {pod.ifname}",
    )


def set_up(index: int, *, mtu: int = 0, alias: str = "", router: bool = False) -> Request:
    """Switch a link on. mtu 0, alias "": leave. router: forward from it, with no reverse filter."""
    body = c.LINK.pack(0, 0, index, c.IFF_UP, c.IFF_UP)
    if mtu:
        body += attr(c.IFLA_MTU, c.U32.pack(mtu))
    if alias:
        body += attr(c.IFLA_IFALIAS, alias.encode())
    if router:
        conf = nested(
            c.IFLA_INET_CONF,
            attr(c.DEVCONF_FORWARDING, c.U32.pack(1)),
            attr(c.DEVCONF_RP_FILTER, c.U32.pack(0)),
        )
        body += nested(c.IFLA_AF_SPEC, nested(socket.AF_INET, conf))
    return Request(kind=c.RTM_SETLINK, body=body, doing=f"switch link {index} on")


def set_mtu(index: int, mtu: int) -> Request:
    """Give a link another MTU; EINVAL or ERANGE where its device does not take it."""
    body = c.LINK.pack(0, 0, index, 0, 0) + attr(c.IFLA_MTU, c.U32.pack(mtu))
    return Request(kind=c.RTM_SETLINK, body=body, doing=f"give link {index} the MTU {mtu}")


def delete_link(index: int) -> Request:
    """Delete a link, and its peer. The answer takes 13 to 46 ms, the link is gone before."""
    body = c.LINK.pack(0, 0, index, 0, 0)
    return Request(kind=c.RTM_DELLINK, body=body, doing=f"delete link {index}")


def put_address(index: int, address: c.Address) -> Request:
    """Give a link a single address; again changes nothing."""
    return _address(
        c.RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, ipaddress.ip_interface(address)
    )


def delete_address(index: int, interface: c.Interface) -> Request:
    """Take an address with its prefix from a link."""
    return _address(c.RTM_DELADDR, 0, index, interface)


def put_route(
    network: c.Network,
    index: int,
    *,
    gateway: c.Address | None = None,
    table: int = c.RT_TABLE_MAIN,
) -> Request:
    """Route to *network* over a link, in place of another one. A gateway needs no route itself."""
    onlink = 0 if gateway is None else c.RTNH_F_ONLINK
    # IPv6 knows no scopes, and would tell another one back.
    narrow = gateway is None and network.version == 4
    body = c.ROUTE.pack(
        family(network),
        network.prefixlen,
        0,
        0,
        table if table <= c.TABLE_SHORT_MAX else 0,
        c.RTPROT_BOOT,
        c.SCOPE_LINK if narrow else c.SCOPE_UNIVERSE,
        c.RTN_UNICAST,
        onlink,
    )
    if network.prefixlen:
        body += attr(c.RTA_DST, network.network_address.packed)
    if gateway is not None:
        body += attr(c.RTA_GATEWAY, gateway.packed)
    body += attr(c.RTA_OIF, c.U32.pack(index)) + attr(c.RTA_TABLE, c.U32.pack(table))
    return Request(
        kind=c.RTM_NEWROUTE,
        flags=NLM_F_CREATE | NLM_F_REPLACE,
        body=body,
        doing=f"route {network} over link {index}, table {table}",
    )


def delete_route(address: c.Address, index: int) -> Request:
    """Delete the host route to *address* over a link, of the main table."""
    length = address.max_prefixlen
    body = c.ROUTE.pack(family(address), length, 0, 0, c.RT_TABLE_MAIN, 0, c.SCOPE_NOWHERE, 0, 0)
    body += attr(c.RTA_DST, address.packed) + attr(c.RTA_OIF, c.U32.pack(index))
    return Request(kind=c.RTM_DELROUTE, body=body, doing=f"delete the route to {address}")


def put_neighbour(index: int, address: c.Address, mac: str) -> Request:
    """A neighbour that never expires."""
    body = c.NEIGHBOUR.pack(family(address), index, c.NUD_PERMANENT, 0, c.RTN_UNICAST)
    body += attr(c.NDA_DST, address.packed) + attr(c.NDA_LLADDR, pack_mac(mac))
    return Request(
        kind=c.RTM_NEWNEIGH,
        flags=NLM_F_CREATE | NLM_F_REPLACE,
        body=body,
        doing=f"neighbour {address} on link {index}",
    )


def add_rule_to(address: c.Address, *, priority: int, table: int) -> Request:
    """Traffic to *address* looks in *table*."""
    return _rule(c.RTM_NEWRULE, c.FRA_DST, address, priority=priority, table=table)


def add_rule_from(address: c.Address, *, priority: int, table: int) -> Request:
    """Traffic from *address* looks in *table*."""
    return _rule(c.RTM_NEWRULE, c.FRA_SRC, address, priority=priority, table=table)


def delete_rule_to(address: c.Address, *, priority: int, table: int = 0) -> Request:
    """Delete one rule for traffic to *address*; table 0 = whichever it names."""
    return _rule(c.RTM_DELRULE, c.FRA_DST, address, priority=priority, table=table)


def delete_rule_from(address: c.Address, *, priority: int, table: int = 0) -> Request:
    """Delete one rule for traffic from *address*; table 0 = whichever it names."""
    return _rule(c.RTM_DELRULE, c.FRA_SRC, address, priority=priority, table=table)


def put_tbf(index: int, tbf: Tbf) -> Request:
    """Limit what a link sends. Cheapest while the link is down.

    The burst goes in bytes, so that no rate table is needed. Source: net/sched/sch_tbf.c.
    """
    rate = min(tbf.rate_bytes_per_s, c.U32_MAX)
    parms = c.TBF.pack(0, c.LINKLAYER_ETHERNET, 0, 0, 0, rate, tbf.limit_bytes, 0, tbf.mtu)
    options = attr(c.TCA_TBF_PARMS, parms) + attr(c.TCA_TBF_BURST, c.U32.pack(tbf.burst_bytes))
    if tbf.rate_bytes_per_s > c.U32_MAX:
        options += attr(c.TCA_TBF_RATE64, c.U64.pack(tbf.rate_bytes_per_s))
    body = c.QDISC.pack(0, index, c.QDISC_HANDLE, c.TC_H_ROOT, 0)
    body += attr(c.TCA_KIND, b"tbf\0") + nested(c.TCA_OPTIONS, options)
    return Request(
        kind=c.RTM_NEWQDISC,
        flags=NLM_F_CREATE | NLM_F_REPLACE,
        body=body,
        doing=f"limit link {index}",
    )


def delete_root_qdisc(index: int) -> Request:
    """Back to the link's default queue."""
    body = c.QDISC.pack(0, index, 0, c.TC_H_ROOT, 0)
    return Request(kind=c.RTM_DELQDISC, body=body, doing=f"take the limit off link {index}")


def pack_mac(mac: str) -> bytes:
    """Six bytes of "02:00:00:00:00:01"."""
    return bytes.fromhex(mac.replace(":", ""))


def _end(end: End, mtu: int) -> bytes:
    one = c.U32.pack(1)
    return (
        attr(c.IFLA_IFNAME, end.ifname.encode() + b"\0")
        + attr(c.IFLA_ADDRESS, pack_mac(end.mac))
        + attr(c.IFLA_MTU, c.U32.pack(mtu))
        + attr(c.IFLA_NUM_TX_QUEUES, one)
        + attr(c.IFLA_NUM_RX_QUEUES, one)
    )


def _address(kind: int, flags: int, index: int, interface: c.Interface) -> Request:
    nodad = c.IFA_F_NODAD if interface.version == 6 else 0
    prefix_length = interface.network.prefixlen
    body = c.ADDRESS.pack(family(interface), prefix_length, nodad, c.SCOPE_UNIVERSE, index)
    packed = interface.ip.packed
    body += attr(c.IFA_LOCAL, packed) + attr(c.IFA_ADDRESS, packed)
    return Request(kind=kind, flags=flags, body=body, doing=f"address {interface} of link {index}")


def _rule(kind: int, selector: int, address: c.Address, *, priority: int, table: int) -> Request:
    length = address.max_prefixlen
    lengths = (length, 0) if selector == c.FRA_DST else (0, length)
    short_table = table if table <= c.TABLE_SHORT_MAX else 0
    body = c.RULE.pack(family(address), *lengths, 0, short_table, c.FR_ACT_TO_TBL, 0)
    body += attr(selector, address.packed) + attr(c.FRA_PRIORITY, c.U32.pack(priority))
    if table:
        body += attr(c.FRA_TABLE, c.U32.pack(table))
    way = "to" if selector == c.FRA_DST else "from"
    doing = f"rule {priority} {way} {address}, table {table or 'any'}"
    flags = NLM_F_CREATE | NLM_F_EXCL if kind == c.RTM_NEWRULE else 0
    return Request(kind=kind, flags=flags, body=body, doing=doing)


def family(address: c.Address | c.Interface | c.Network) -> int:
    """AF_INET or AF_INET6."""
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
