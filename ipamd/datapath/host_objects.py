"""What pods' interfaces leave on the node, whichever datapath made them: read, and removed.

Links are known by their names, rules by their priorities; both are Terway's.
"""

import pathlib
import socket
from collections.abc import Sequence

from core import errors
from host import rtnl_read
from ipamd.datapath import model, names, node, policy_rules


class HostObjects:
    """Of the namespace *here* is of."""

    def __init__(self, here: node.Node) -> None:
        self._node = here

    def close(self) -> None:
        """Wait for deletions under way and free all descriptors."""
        self._node.close()

    def read(self) -> model.HostState:
        """Links with a pod's name, the rules of our priorities, the routes over those links."""
        asking = self._node.asking
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
                if (told := policy_rules.of_a_pod(rule)) is not None
            ),
            routes=tuple(routes),
        )

    def remove(self, *, rules: Sequence[model.HostRule], links: Sequence[model.HostLink]) -> None:
        """Delete these rules and links, as they were read; what changed meanwhile stays."""
        here = self._node
        for rule in rules:
            policy_rules.delete(here, rule)
        for link in links:
            found = rtnl_read.read_link_at(here.asking, link.index)
            if found is not None and (found.ifname, found.alias) == (link.ifname, link.alias):
                here.delete_link_now(link.index)

    def is_end_of(self, host_ifname: str, netns_path: pathlib.Path | None, ifname: str) -> bool:
        """Whether *host_ifname* is the node's end of *ifname* in that namespace, or is gone."""
        link = rtnl_read.read_link(self._node.asking, host_ifname)
        if link is None:
            return True
        if netns_path is None:
            return False
        try:
            with self._node.pod(netns_path) as pod:
                inside = rtnl_read.read_link(pod.asking, ifname)
        except (model.NetnsGone, errors.Precondition):
            return False
        return inside is not None and inside.peer_index == link.index
