"""What the kernel tells of links, addresses, routes, rules, neighbours and queues, as plain values.

Each `parse_` is pure; each `read_` asks over a socket and so tells of that socket's namespace.
"""

import dataclasses
import errno
import ipaddress
import socket
from collections.abc import Mapping

from host import netlink
from host import rtnl_codes as c
from host.netlink import Request, attr, attrs


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link. kind: "" for a device of hardware; peer_index: in its peer's namespace, 0 = none.

    forwards, filters: its IPv4 settings `forwarding` and `rp_filter`.
    """

    index: int
    ifname: str
    kind: str
    mac: str
    mtu: int
    up: bool
    alias: str
    peer_index: int
    qdisc: str
    forwards: bool
    filters: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LinkAddress:
    """An address with its prefix, on a link."""

    index: int
    interface: c.Interface
    scope: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route; gateway None = on the link. index 0: it has no single link."""

    network: c.Network
    index: int
    table: int
    gateway: c.Address | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A routing rule; None = any."""

    priority: int
    table: int
    source: c.Network | None
    destination: c.Network | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A neighbour of a link."""

    index: int
    address: c.Address
    mac: str
    permanent: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A token bucket as the kernel tells it. buffer_ticks: of 64 ns, wrapped at 32 bits."""

    rate_bytes_per_s: int
    limit_bytes: int
    buffer_ticks: int


def read_link(asking: netlink.Socket, ifname: str) -> Link | None:
    """The link of this name, None when there is none."""
    name = attr(c.IFLA_IFNAME, ifname.encode() + b"\0")
    body = c.LINK.pack(0, 0, 0, 0, 0) + name + _NO_STATS
    return _read_link(asking, Request(kind=c.RTM_GETLINK, body=body, doing=f"look for {ifname}"))


def read_link_at(asking: netlink.Socket, index: int) -> Link | None:
    """The link of this index, None when there is none."""
    body = c.LINK.pack(0, 0, index, 0, 0) + _NO_STATS
    return _read_link(
        asking, Request(kind=c.RTM_GETLINK, body=body, doing=f"look for link {index}")
    )


def read_links(asking: netlink.Socket) -> list[Link]:
    """All links."""
    body = c.LINK.pack(0, 0, 0, 0, 0) + _NO_STATS
    found = asking.dump(Request(kind=c.RTM_GETLINK, body=body, doing="list the links"))
    return [parse_link(message.body) for message in found if message.kind == c.RTM_NEWLINK]


def read_addresses(asking: netlink.Socket, index: int, family: int) -> list[LinkAddress]:
    """Addresses of a link."""
    body = c.ADDRESS.pack(family, 0, 0, 0, index)
    found = asking.dump(Request(kind=c.RTM_GETADDR, body=body, doing="list the addresses"))
    told = [parse_address(message.body) for message in found if message.body[0] == family]
    return [address for address in told if address is not None and address.index == index]


def read_routes(
    asking: netlink.Socket, family: int, *, table: int = c.RT_TABLE_MAIN, index: int = 0
) -> list[Route]:
    """Routes of a table; with *index*, only those over that link."""
    body = c.ROUTE.pack(family, 0, 0, 0, table if table <= c.TABLE_SHORT_MAX else 0, 0, 0, 0, 0)
    body += attr(c.RTA_TABLE, c.U32.pack(table))
    if index:
        body += attr(c.RTA_OIF, c.U32.pack(index))
    try:
        found = asking.dump(Request(kind=c.RTM_GETROUTE, body=body, doing=f"list table {table}"))
    except netlink.Refused as e:
        if e.error == errno.ENOENT:  # a table without routes does not exist
            return []
        raise
    told = [parse_route(message.body) for message in found if message.body[0] == family]
    return [
        route
        for route in told
        if route is not None and route.table == table and index in (0, route.index)
    ]


def read_rules(asking: netlink.Socket, family: int) -> list[Rule]:
    """All routing rules of a family."""
    body = c.RULE.pack(family, 0, 0, 0, 0, 0, 0)
    try:
        found = asking.dump(Request(kind=c.RTM_GETRULE, body=body, doing="list the rules"))
    except netlink.Refused as e:
        if e.error in (errno.EAFNOSUPPORT, errno.EOPNOTSUPP):  # IPv6 is switched off
            return []
        raise
    return [parse_rule(message.body) for message in found if message.body[0] == family]


def read_neighbours(asking: netlink.Socket, index: int, family: int) -> list[Neighbour]:
    """Neighbours of a link."""
    body = c.NEIGHBOUR.pack(family, 0, 0, 0, 0) + attr(c.NDA_IFINDEX, c.U32.pack(index))
    found = asking.dump(Request(kind=c.RTM_GETNEIGH, body=body, doing="list the neighbours"))
    told = [parse_neighbour(message.body) for message in found if message.body[0] == family]
    return [neighbour for neighbour in told if neighbour is not None and neighbour.index == index]


def read_bucket(asking: netlink.Socket, index: int) -> Bucket | None:
    """The token bucket at a link's root, None when something else is there."""
    body = c.QDISC.pack(0, index, 0, 0, 0)
    found = asking.dump(Request(kind=c.RTM_GETQDISC, body=body, doing="list the queues"))
    for message in found:
        bucket = parse_bucket(message.body, index)
        if bucket is not None:
            return bucket
    return None


def parse_link(body: bytes) -> Link:
    """A link from its message."""
    _, _, index, flags, _ = c.LINK.unpack_from(body)
    told = attrs(body[c.LINK.size :])
    info = attrs(told.get(c.IFLA_LINKINFO, b""))
    per_family = attrs(told.get(c.IFLA_AF_SPEC, b""))
    conf = attrs(per_family.get(socket.AF_INET, b"")).get(c.IFLA_INET_CONF, b"")
    return Link(
        index=index,
        ifname=_text(told, c.IFLA_IFNAME),
        kind=_text(info, c.IFLA_INFO_KIND),
        mac=told.get(c.IFLA_ADDRESS, b"").hex(":"),
        mtu=_u32(told, c.IFLA_MTU),
        up=bool(flags & c.IFF_UP),
        alias=_text(told, c.IFLA_IFALIAS),
        peer_index=_u32(told, c.IFLA_LINK),
        qdisc=_text(told, c.IFLA_QDISC),
        forwards=_devconf(conf, c.DEVCONF_FORWARDING) != 0,
        filters=_devconf(conf, c.DEVCONF_RP_FILTER) != 0,
    )


def parse_address(body: bytes) -> LinkAddress | None:
    """An address from its message, None for a family we do not know."""
    family, length, _, scope, index = c.ADDRESS.unpack_from(body)
    told = attrs(body[c.ADDRESS.size :])
    address = _address(family, told.get(c.IFA_LOCAL) or told.get(c.IFA_ADDRESS))
    if address is None:
        return None
    interface = ipaddress.ip_interface((address, length))
    return LinkAddress(index=index, interface=interface, scope=scope)


def parse_route(body: bytes) -> Route | None:
    """A route from its message, None for one that is not to a network of a known family."""
    family, length, _, _, short_table, _, _, _, _ = c.ROUTE.unpack_from(body)
    told = attrs(body[c.ROUTE.size :])
    network = _network(family, told.get(c.RTA_DST), length)
    if network is None:
        return None
    return Route(
        network=network,
        index=_u32(told, c.RTA_OIF),
        table=_u32(told, c.RTA_TABLE) or short_table,
        gateway=_address(family, told.get(c.RTA_GATEWAY)),
    )


def parse_rule(body: bytes) -> Rule:
    """A rule from its message."""
    family, to_length, from_length, _, short_table, _, _ = c.RULE.unpack_from(body)
    told = attrs(body[c.RULE.size :])
    source, destination = told.get(c.FRA_SRC), told.get(c.FRA_DST)
    return Rule(
        priority=_u32(told, c.FRA_PRIORITY),
        table=_u32(told, c.FRA_TABLE) or short_table,
        source=_network(family, source, from_length) if source else None,
        destination=_network(family, destination, to_length) if destination else None,
    )


def parse_neighbour(body: bytes) -> Neighbour | None:
    """A neighbour from its message, None for a family we do not know."""
    family, index, state, _, _ = c.NEIGHBOUR.unpack_from(body)
    told = attrs(body[c.NEIGHBOUR.size :])
    address = _address(family, told.get(c.NDA_DST))
    if address is None:
        return None
    mac = told.get(c.NDA_LLADDR, b"").hex(":")
    permanent = bool(state & c.NUD_PERMANENT)
    return Neighbour(index=index, address=address, mac=mac, permanent=permanent)


def parse_bucket(body: bytes, index: int) -> Bucket | None:
    """The token bucket at the root of link *index*; None: the message is about another queue."""
    _, found_index, handle, parent, _ = c.QDISC.unpack_from(body)
    told = attrs(body[c.QDISC.size :])
    where = (found_index, handle, parent)
    if where != (index, c.QDISC_HANDLE, c.TC_H_ROOT) or _text(told, c.TCA_KIND) != "tbf":
        return None
    options = attrs(told[c.TCA_OPTIONS])
    _, _, _, _, _, rate, limit, buffer, _ = c.TBF.unpack(options[c.TCA_TBF_PARMS])
    if c.TCA_TBF_RATE64 in options:
        (rate,) = c.U64.unpack(options[c.TCA_TBF_RATE64])
    return Bucket(rate_bytes_per_s=rate, limit_bytes=limit, buffer_ticks=buffer)


_NO_STATS = attr(c.IFLA_EXT_MASK, c.U32.pack(c.EXT_SKIP_STATS))


def _read_link(asking: netlink.Socket, request: Request) -> Link | None:
    found = asking.get(request)
    return None if found is None else parse_link(found.body)


def _devconf(conf: bytes, number: int) -> int:
    """A setting; the kernel lists all of them, from number 1, as an array."""
    start = (number - 1) * c.U32.size
    if start + c.U32.size > len(conf):
        return 0
    value: int = c.U32.unpack_from(conf, start)[0]
    return value


def _u32(told: Mapping[int, bytes], kind: int) -> int:
    value: int = c.U32.unpack(told[kind])[0] if kind in told else 0
    return value


def _text(told: Mapping[int, bytes], kind: int) -> str:
    return told.get(kind, b"").rstrip(b"\0").decode(errors="replace")


def _address(family: int, packed: bytes | None) -> c.Address | None:
    if not packed:
        return None
    if family == socket.AF_INET:
        return ipaddress.IPv4Address(packed)
    return ipaddress.IPv6Address(packed) if family == socket.AF_INET6 else None


def _network(family: int, packed: bytes | None, length: int) -> c.Network | None:
    """A network; without an address that of everything."""
    if family == socket.AF_INET:
        return ipaddress.IPv4Network((packed or bytes(4), length))
    return (
        ipaddress.IPv6Network((packed or bytes(16), length)) if family == socket.AF_INET6 else None
    )
