"""Reads what the kernel holds for a pod, for `compare`."""

import socket

from host import netlink, rtnl_read
from ipamd.datapath import model, seen


def host_end(asking: netlink.Socket, wiring: model.Wiring) -> seen.Seen:
    """The node's end of the pod's interface."""
    return seen.read(asking, rtnl_read.read_link(asking, wiring.host_ifname), _families(wiring))


def pod_end(asking: netlink.Socket, wiring: model.Wiring) -> seen.Seen:
    """The pod's end, with a socket of the pod's namespace."""
    link = rtnl_read.read_link(asking, wiring.ifname)
    return seen.read(asking, link, _families(wiring), neighbours=True)


def eni(asking: netlink.Socket, wiring: model.Wiring) -> seen.Seen:
    """The ENI, with the routes of its table."""
    link = rtnl_read.read_link_at(asking, wiring.eni.index)
    return seen.read(asking, link, _families(wiring), table=wiring.eni.table)


def rules(asking: netlink.Socket, wiring: model.Wiring) -> list[rtnl_read.Rule]:
    """The rules of the pod's families."""
    return [rule for family in _families(wiring) for rule in rtnl_read.read_rules(asking, family)]


def _families(wiring: model.Wiring) -> tuple[int, ...]:
    if wiring.ipv6 is None:
        return (socket.AF_INET,)
    return (socket.AF_INET, socket.AF_INET6)
