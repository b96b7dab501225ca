"""Which requests make a pod's interface, on the node and in the pod. Pure.

Source: spec/terway.md 4.1 and Appendix A.1, from which the state after ADD must not differ.
"""

import dataclasses
import ipaddress

from host import rtnl
from host.netlink import Request
from ipamd.datapath import enis, model, policy_rules, tbf

LINK_LOCAL = ipaddress.IPv4Address("169.254.1.1")
"""The pod's next hop. Nobody has it: a permanent neighbour answers for it with the node's end."""
LINK_LOCAL_V6 = ipaddress.IPv6Address("fe80::1")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Both ends of a pair."""

    host: rtnl.End
    pod: rtnl.End


def addresses(wiring: model.Wiring) -> tuple[model.Address, ...]:
    """The pod's addresses."""
    return (wiring.ipv4,) if wiring.ipv6 is None else (wiring.ipv4, wiring.ipv6)


def pod_addresses(wiring: model.Wiring) -> tuple[model.PodAddress, ...]:
    """The pod's addresses as it has them."""
    return tuple(
        model.PodAddress(interface=ipaddress.ip_interface(address), gateway=_next_hop(address))
        for address in addresses(wiring)
    )


def pod_routes(wiring: model.Wiring) -> tuple[model.PodRoute, ...]:
    """The pod's routes as it has them."""
    routes = []
    if wiring.default_route:
        routes.append(model.PodRoute(network=model.DEFAULT, gateway=LINK_LOCAL))
        if wiring.ipv6 is not None:
            routes.append(model.PodRoute(network=model.DEFAULT_V6, gateway=LINK_LOCAL_V6))
    further = (
        model.PodRoute(network=network, gateway=wiring.gateway) for network in wiring.extra_routes
    )
    return (*routes, *further)


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
    requests += node_routes(wiring, index)
    return requests + policy_rules.additions(addresses(wiring), table=wiring.eni.table)


def node_routes(wiring: model.Wiring, index: int) -> list[Request]:
    """How the node reaches the pod."""
    requests = [rtnl.put_address(index, LINK_LOCAL)] if wiring.extra_routes else []
    return requests + [
        rtnl.put_route(ipaddress.ip_network(address), index) for address in addresses(wiring)
    ]


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
    if wiring.extra_routes:
        # The node does not answer for the gateway's address (there is no proxy_arp), so a permanent
        # neighbour does, as for the link-local next hop.
        requests.append(rtnl.put_route(ipaddress.IPv4Network(LINK_LOCAL), index))
        requests.append(rtnl.put_neighbour(index, wiring.gateway, mac))
    return requests + [
        rtnl.put_route(route.network, index, gateway=route.gateway) for route in pod_routes(wiring)
    ]


def eni_half(
    wiring: model.Wiring, node_ip: ipaddress.IPv4Address, node_ipv6: ipaddress.IPv6Address | None
) -> list[Request]:
    """What pods need of the ENI, again."""
    requests = enis.ready_ipv4(wiring.eni, node_ip, wiring.gateway)
    if wiring.ipv6_gateway is not None:
        requests += enis.ready_ipv6(wiring.eni, node_ipv6, wiring.ipv6_gateway)
    return requests


def _next_hop(address: model.Address) -> model.Address:
    return LINK_LOCAL if address.version == 4 else LINK_LOCAL_V6
