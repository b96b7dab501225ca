"""Makes an ENI of this node ready for pods. Source: spec/terway.md 4.0, 4.1 #11, #12."""

import dataclasses
import errno
import ipaddress
import socket
from collections.abc import Sequence

import structlog

from core import errors
from host import netlink, rtnl, rtnl_codes, rtnl_read
from ipamd.datapath import model, names, sysctl

log = structlog.get_logger()

_TABLE_BASE = 1000
_GONE = frozenset((errno.EADDRNOTAVAIL,))
"""Deleting an address deletes the others of its network."""
_MTU_REFUSED = frozenset((errno.EINVAL, errno.ERANGE))


def find(links: Sequence[rtnl_read.Link], mac: str) -> rtnl_read.Link | None:
    """The ENI with this MAC. A vlan or ipvlan on top of it has the same one, and is none.

    Hardware comes first; a veth stands for an ENI where there is no cloud.
    """
    found = [
        link
        for link in links
        if link.mac == mac.lower()
        and link.kind in ("", "veth")
        and not link.ifname.startswith(names.PREFIX)
    ]
    return min(found, key=lambda link: (link.kind, link.index), default=None)


def read_macs() -> frozenset[str]:
    """MACs of the links in this thread's network namespace, in lower case."""
    asking = netlink.Socket()
    try:
        return frozenset(link.mac for link in rtnl_read.read_links(asking))
    finally:
        asking.close()


def is_there(asking: netlink.Socket, eni: model.EniLink) -> bool:
    """Whether the kernel still has the ENI's link, also under another name.

    The name of an index costs a tenth of all that netlink tells of a link, and each ADD asks.
    """
    try:
        if socket.if_indextoname(eni.index) == eni.ifname:
            return True
    except OSError:
        return False
    link = rtnl_read.read_link_at(asking, eni.index)
    return link is not None and link.mac == eni.mac.lower()


def ready_ipv4(
    eni: model.EniLink, node_ip: ipaddress.IPv4Address, gateway: ipaddress.IPv4Address
) -> list[netlink.Request]:
    """Requests that make an ENI ready. Pure."""
    return [
        rtnl.set_up(eni.index, router=True),
        rtnl.put_address(eni.index, node_ip),
        rtnl.put_route(model.DEFAULT, eni.index, gateway=gateway, table=eni.table),
    ]


def ready_ipv6(
    eni: model.EniLink, node_ipv6: ipaddress.IPv6Address | None, gateway: ipaddress.IPv6Address
) -> list[netlink.Request]:
    """The same for IPv6: the gateway on the link, then everything by it. Pure."""
    own = [] if node_ipv6 is None else [rtnl.put_address(eni.index, node_ipv6)]
    return [
        *own,
        rtnl.put_route(ipaddress.IPv6Network(gateway), eni.index),
        rtnl.put_route(model.DEFAULT_V6, eni.index, gateway=gateway, table=eni.table),
    ]


class EniPreparer:
    """node_ip, node_ipv6: of the node, which every ENI carries as the source for its neighbours."""

    def __init__(
        self,
        node_ip: ipaddress.IPv4Address,
        node_ipv6: ipaddress.IPv6Address | None,
        mtu: int,
    ) -> None:
        self._node_ip = node_ip
        self._node_ipv6 = node_ipv6
        self._mtu = mtu
        self._kept_mtu: dict[int, int] = {}
        """By index of a link: its MTU, where its device refused ours."""

    def prepare(self, asking: netlink.Socket, eni: model.Eni) -> model.EniLink | None:
        """The ENI's link, ready; None while the kernel does not have it.

        Raises Precondition for the node's primary interface, whose address must stay.
        """
        links = rtnl_read.read_links(asking)
        link = find(links, eni.mac)
        if link is None:
            return None
        self._refuse_primary(asking, link)
        made = model.EniLink(
            mac=link.mac, ifname=link.ifname, index=link.index, table=_TABLE_BASE + link.index
        )
        self._ensure_routers(links)
        if not self._is_ready(asking, link, made, eni.gateway):
            self._ensure_mtu(asking, link)
            self._ensure_ipv4(asking, made, eni.gateway)
        if self._node_ipv6 is not None and eni.ipv6_gateway is not None:
            self._ensure_ipv6(asking, made, self._node_ipv6, eni.ipv6_gateway)
        kept = 0 if link.mtu == self._mtu else self._kept_mtu.get(link.index, 0)
        return dataclasses.replace(made, kept_mtu=kept)

    def _refuse_primary(self, asking: netlink.Socket, link: rtnl_read.Link) -> None:
        """On the primary the node's address has the prefix of its vSwitch."""
        own = [
            each.interface
            for each in rtnl_read.read_addresses(asking, link.index, socket.AF_INET)
            if each.interface.ip == self._node_ip
        ]
        if any(interface.network.prefixlen < interface.max_prefixlen for interface in own):
            raise errors.Precondition(
                f"{link.ifname} is the node's primary interface: pods cannot use it"
            )

    def _ensure_routers(self, links: Sequence[rtnl_read.Link]) -> None:
        """Settings of every link that is not a pod's; pods' get theirs when they are made.

        Looked at each time: `sysctl --system` of an update may set them back.
        """
        others = [link.ifname for link in links if not link.ifname.startswith(names.PREFIX)]
        for ifname in ("all", "default", *others):
            sysctl.ensure_router(ifname)
            if self._node_ipv6 is not None:
                sysctl.ensure_router_v6(ifname)

    def _is_ready(
        self,
        asking: netlink.Socket,
        link: rtnl_read.Link,
        made: model.EniLink,
        gateway: ipaddress.IPv4Address,
    ) -> bool:
        """Whether nothing is to be done for IPv4.

        A route put again makes the kernel forget those of connections, and this is looked at each
        minute.
        """
        has_mtu = link.mtu in (self._mtu, self._kept_mtu.get(link.index))
        if not (link.up and has_mtu and link.forwards and not link.filters):
            return False
        there = _global_addresses(asking, made, socket.AF_INET)
        routes = rtnl_read.read_routes(asking, socket.AF_INET, table=made.table, index=made.index)
        defaults = [route.gateway for route in routes if route.network == model.DEFAULT]
        return there == [ipaddress.ip_interface(self._node_ip)] and defaults == [gateway]

    def _ensure_mtu(self, asking: netlink.Socket, link: rtnl_read.Link) -> None:
        """A device that cannot have our MTU keeps its own: pods reach the VPC all the same."""
        before = self._kept_mtu.pop(link.index, None)
        if link.mtu == self._mtu:
            return
        acks = asking.exchange([rtnl.set_mtu(link.index, self._mtu)])
        netlink.require(acks, fine=_MTU_REFUSED)
        if acks[0].error:
            self._kept_mtu[link.index] = link.mtu
            if before != link.mtu:
                log.warning(
                    "interface refuses the MTU",
                    ifname=link.ifname,
                    wanted=self._mtu,
                    kept=link.mtu,
                )

    def _ensure_ipv4(
        self, asking: netlink.Socket, made: model.EniLink, gateway: ipaddress.IPv4Address
    ) -> None:
        """Addresses go first: what dhcp gave would make routes of its own."""
        requests = self._removals(asking, made, self._node_ip)
        netlink.require(asking.exchange(requests), fine=_GONE)
        netlink.require(asking.exchange(ready_ipv4(made, self._node_ip, gateway)))

    def _ensure_ipv6(
        self,
        asking: netlink.Socket,
        made: model.EniLink,
        node_ipv6: ipaddress.IPv6Address,
        gateway: ipaddress.IPv6Address,
    ) -> None:
        sysctl.ensure_no_advertisements(made.ifname)
        requests = self._removals(asking, made, node_ipv6)
        netlink.require(asking.exchange(requests), fine=_GONE)
        netlink.require(asking.exchange(ready_ipv6(made, node_ipv6, gateway)))

    @staticmethod
    def _removals(
        asking: netlink.Socket, made: model.EniLink, kept: model.Address
    ) -> list[netlink.Request]:
        """Only one global address of a family stays on an ENI."""
        family = socket.AF_INET if kept.version == 4 else socket.AF_INET6
        own = ipaddress.ip_interface(kept)
        wrong = [each for each in _global_addresses(asking, made, family) if each != own]
        for interface in wrong:
            log.info("address taken off the interface", ifname=made.ifname, address=str(interface))
        return [rtnl.delete_address(made.index, interface) for interface in wrong]


def _global_addresses(
    asking: netlink.Socket, made: model.EniLink, family: int
) -> list[rtnl_codes.Interface]:
    return [
        each.interface
        for each in rtnl_read.read_addresses(asking, made.index, family)
        if each.scope == rtnl_codes.SCOPE_UNIVERSE
    ]
