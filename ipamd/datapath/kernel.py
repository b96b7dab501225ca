"""This node's kernel, as ipamd works with it: what all datapaths share, and the datapath itself."""

import dataclasses
import ipaddress

from ipamd.datapath import host_objects, interface, node
from ipamd.datapath.veth_policy_route import veth_policy_route


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """For one thread only, whose network namespace is the node's."""

    host: host_objects.HostObjects
    datapath: interface.Datapath


def open_kernel(
    node_ip: ipaddress.IPv4Address,
    *,
    mtu: int,
    node_ipv6: ipaddress.IPv6Address | None = None,
) -> Kernel:
    """Open the sockets. node_ip, node_ipv6: of the node. mtu: of ENIs."""
    here = node.Node()
    return Kernel(
        host=host_objects.HostObjects(here),
        datapath=veth_policy_route.VethPolicyRoute(here, node_ip, mtu=mtu, node_ipv6=node_ipv6),
    )
