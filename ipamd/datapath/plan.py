"""Which requests make a pod's interface, on the node and in the pod. Pure.

Source: spec/terway.md 4.1 and Appendix A.1, from which the state after ADD must not differ.
"""

import dataclasses
import ipaddress

from host import rtnl, rtnl_codes
from host.netlink import Request
from ipamd.datapath import model, tbf

PRIORITY_TO_POD = 512
PRIORITY_FROM_POD = 2048
LINK_LOCAL = ipaddress.IPv4Address("169.254.1.1")
"""The pod's next hop. Nobody has it: a permanent neighbour answers for it with the node's end."""
LINK_LOCAL_V6 = ipaddress.IPv6Address("fe80::1")
DEFAULT = ipaddress.IPv4Network("0.0.0.0/0")
DEFAULT_V6 = ipaddress.IPv6Network("::/0")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Both ends of a pair."""

    host: rtnl.End
    pod: rtnl.End


def addresses(wiring: model.Wiring) -> tuple[Address, ...]:
    """The pod's addresses."""
    return (wiring.ipv4,) if wiring.ipv6 is None else (wiring.ipv4, wiring.ipv6)


def ingress(wiring: model.Wiring) -> rtnl.Tbf | None:
    """The bucket on the node's end, which limits what the pod receives."""
    told = wiring.bandwidth
    return tbf.bucket(told.ingress_bytes_per_s, told.ingress_burst_bytes, wiring.mtu)


def egress(wiring: model.Wiring) -> rtnl.Tbf | None:
    """The bucket on the pod's end, which limits what the pod sends."""
    told = wiring.bandwidth
    return tbf.bucket(told.egress_bytes_per_s, told.egress_burst_bytes, wiring.mtu)


def pair(wiring: model.Wiring, ends: Ends, netns_fd: int) -> Request:
    """Makes both ends. Alone in its datagram: what follows must not reach somebody else's link."""
    return rtnl.make_veth(ends.host, ends.pod, mtu=wiring.mtu, netns_fd=netns_fd)


def node_half(wiring: model.Wiring, index: int) -> list[Request]:
    """The node's half; *index* is its end. The queue first: on a link that is up it costs more."""
    bucket = ingress(wiring)
    requests = [] if bucket is None else [rtnl.put_tbf(index, bucket)]
    requests.append(rtnl.set_up(index, mtu=wiring.mtu, alias=wiring.alias, router=True))
    return requests + node_routes(wiring, index) + rules(wiring)


def node_routes(wiring: model.Wiring, index: int) -> list[Request]:
    """How the node reaches the pod."""
    requests = [rtnl.put_address(index, LINK_LOCAL)] if wiring.extra_routes else []
    return requests + [
        rtnl.put_route(ipaddress.ip_network(address), index) for address in addresses(wiring)
    ]


def rules(wiring: model.Wiring) -> list[Request]:
    """To the pod by the main table, from the pod by its ENI's."""
    requests = []
    for address in addresses(wiring):
        requests.append(
            rtnl.add_rule_to(address, priority=PRIORITY_TO_POD, table=rtnl_codes.RT_TABLE_MAIN)
        )
        requests.append(
            rtnl.add_rule_from(address, priority=PRIORITY_FROM_POD, table=wiring.eni.table)
        )
    return requests


def rules_removal(removed: tuple[Address, ...], *, table: int = 0) -> list[Request]:
    """Deletes one rule each to and from every address. table: only those from it to that table."""
    requests = []
    for address in removed:
        to_table = rtnl_codes.RT_TABLE_MAIN if table else 0
        requests.append(rtnl.delete_rule_to(address, priority=PRIORITY_TO_POD, table=to_table))
        requests.append(rtnl.delete_rule_from(address, priority=PRIORITY_FROM_POD, table=table))
    return requests


def pod_half(wiring: model.Wiring, ends: Ends) -> list[Request]:
    """The pod's half, for a socket in its namespace."""
    index, mac = ends.pod.index, ends.host.mac
    bucket = egress(wiring)
    requests = [] if bucket is None else [rtnl.put_tbf(index, bucket)]
    requests.append(rtnl.set_up(index))
    requests += [rtnl.put_address(index, address) for address in addresses(wiring)]
    requests.append(rtnl.put_neighbour(index, LINK_LOCAL, mac))
    if wiring.ipv6 is not None:
        requests.append(rtnl.put_neighbour(index, LINK_LOCAL_V6, mac))
    if wiring.default_route:
        requests.append(rtnl.put_route(DEFAULT, index, gateway=LINK_LOCAL))
        if wiring.ipv6 is not None:
            requests.append(rtnl.put_route(DEFAULT_V6, index, gateway=LINK_LOCAL_V6))
    return requests + _extra(wiring, index, mac)


def eni_half(
    wiring: model.Wiring, node_ip: ipaddress.IPv4Address, node_ipv6: ipaddress.IPv6Address | None
) -> list[Request]:
    """What pods need of the ENI, again."""
    eni = wiring.eni
    requests = [
        rtnl.set_up(eni.index, router=True),
        rtnl.put_address(eni.index, node_ip),
        rtnl.put_route(DEFAULT, eni.index, gateway=wiring.gateway, table=eni.table),
    ]
    if wiring.ipv6_gateway is not None:
        if node_ipv6 is not None:
            requests.append(rtnl.put_address(eni.index, node_ipv6))
        requests += eni_routes_v6(eni, wiring.ipv6_gateway)
    return requests


def eni_routes_v6(eni: model.EniLink, gateway: ipaddress.IPv6Address) -> list[Request]:
    """The gateway on the link, then everything by it: spec/terway.md 4.1 #12."""
    return [
        rtnl.put_route(ipaddress.IPv6Network(gateway), eni.index),
        rtnl.put_route(DEFAULT_V6, eni.index, gateway=gateway, table=eni.table),
    ]


def _extra(wiring: model.Wiring, index: int, mac: str) -> list[Request]:
    """Further routes by the vSwitch's gateway.

    The node does not answer for the gateway's address (there is no proxy_arp), so a permanent
    neighbour does, as for the link-local next hop.
    """
    if not wiring.extra_routes:
        return []
    return [
        rtnl.put_route(ipaddress.IPv4Network(LINK_LOCAL), index),
        rtnl.put_neighbour(index, wiring.gateway, mac),
        *(
            rtnl.put_route(network, index, gateway=wiring.gateway)
            for network in wiring.extra_routes
        ),
    ]
