"""The datapath "ENI multi-IP, veth, policy route": a veth pair for each pod, rules to its ENI.

Everything is netlink, sent from one thread: more only wait for one another (spec/performance.md C).
What is sent is in `plan`, what is compared in `compare`; here is the order, and the way back.
"""

import concurrent.futures
import errno
import ipaddress
import os
import pathlib
from collections.abc import Sequence

import structlog

from core import errors
from host import rtnl, rtnl_read
from ipamd.cni import cni_error
from ipamd.datapath import compare, enis, model, node, observe, plan, wirer

log = structlog.get_logger()


class VethPolicyRoute:
    """Blocking, and for one thread only, whose network namespace is the node's.

    node_ip, node_ipv6: of the node. mtu: of ENIs.
    """

    def __init__(
        self,
        node_ip: ipaddress.IPv4Address,
        mtu: int = 1500,
        node_ipv6: ipaddress.IPv6Address | None = None,
    ) -> None:
        self._node_ip, self._node_ipv6 = node_ip, node_ipv6
        self._enis = enis.EniPreparer(node_ip, node_ipv6, mtu)
        self._wirer = wirer.Wirer()
        self._opened: node.Node | None = None

    def close(self) -> None:
        """Wait for deletions under way and free all descriptors."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def prepare_eni(self, eni: model.Eni) -> model.EniLink | None:
        """Make an ENI ready for pods, again if need be; None while the kernel does not have it.

        Raises Precondition for the node's primary interface, Internal.
        """
        return self._enis.prepare(self._node.asking, eni)

    def setup(self, wiring: model.Wiring) -> model.Wired:
        """Make a pod's interface; made already and unchanged, answer the same.

        A link left over under its name is replaced. On any failure nothing stays behind. Raises
        NetnsGone, EniGone, Precondition when the pod has another link of that name, Internal,
        Unavailable.
        """
        here = self._node
        if not enis.is_there(here.asking, wiring.eni):
            # Nothing of a pod's own touches it: all would be made, and lead nowhere.
            raise model.EniGone(wiring.eni)
        with here.pod(wiring.netns_path) as pod:
            there = rtnl_read.read_link(here.asking, wiring.host_ifname)
            if there is not None:
                known = self._as_made(wiring, pod)
                if known is not None:
                    return known
                self._replace(there)
            return self._wirer.wire(here, pod, wiring)

    def teardown(
        self,
        *,
        host_ifname: str,
        alias: str,
        addresses: Sequence[plan.Address],
        netns_path: pathlib.Path | None,
        ifname: str,
    ) -> "concurrent.futures.Future[None]":
        """Take rules and route away now, the link in the background; done when it is gone.

        Never a link with another alias, nor the rules of an address that such a link uses. Nothing
        there = done at once. netns_path, ifname: where to look for a link whose other end was
        renamed. Raises Internal; the future fails with Internal, Unavailable.
        """
        here = self._node
        link = rtnl_read.read_link(here.asking, host_ifname)
        if link is None and netns_path is not None and alias:
            link = self._renamed(alias, netns_path, ifname)
        ours = link if link is not None and link.alias == alias else None
        wanted = tuple(addresses)
        if link is not None and ours is None:
            log.warning("link of another attachment kept", ifname=host_ifname, alias=link.alias)
        if ours is None:
            wanted = self._unused(wanted)
        here.clear_rules(wanted)
        if ours is None:
            done: concurrent.futures.Future[None] = concurrent.futures.Future()
            done.set_result(None)
            return done
        here.try_all([rtnl.delete_route(address, ours.index) for address in wanted])
        return here.delete_link(ours.index)

    def check(self, wiring: model.Wiring) -> list[model.Difference]:
        """What is not as `setup` made it, on the node and in the pod; [] = all is."""
        differences = self._node_differences(wiring)
        try:
            with self._node.pod(wiring.netns_path) as pod:
                host_link = rtnl_read.read_link(self._node.asking, wiring.host_ifname)
                seen = observe.pod_end(pod.asking, wiring)
        except cni_error.NetnsGone:
            return [*differences, compare.no_netns(wiring)]
        return differences + compare.pod_end(wiring, seen, host_link)

    def repair_node(self, wiring: model.Wiring) -> list[model.Difference]:
        """Mend the node's half: ENI, link, route, rules, limit. What was wrong and is right now.

        A link that is gone, or another attachment's, cannot be mended from here.
        """
        before = self._node_differences(wiring)
        link = rtnl_read.read_link(self._node.asking, wiring.host_ifname)
        if not before or link is None or link.alias != wiring.alias:
            return []
        if any(difference.what.startswith("rule ") for difference in before):
            self._node.clear_rules(plan.addresses(wiring))
        again = plan.eni_half(wiring, self._node_ip, self._node_ipv6)
        again += plan.node_half(wiring, link.index)
        for ack in self._node.asking.exchange(again):
            if ack.error not in (0, errno.EEXIST):  # a rule that was right already
                log.warning("not mended", doing=ack.request.doing, error=os.strerror(ack.error))
        after = {difference.what for difference in self._node_differences(wiring)}
        return [difference for difference in before if difference.what not in after]

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
        except (cni_error.NetnsGone, errors.Precondition):
            return False
        return inside is not None and inside.peer_index == link.index

    def read_host_state(self) -> model.HostState:
        """Pods' links, our rules, host routes over the links."""
        return observe.host_state(self._node.asking)

    def remove_stale(
        self, *, rules: Sequence[model.HostRule], links: Sequence[model.HostLink]
    ) -> None:
        """Delete these rules and links, as they were read; what changed meanwhile stays."""
        here = self._node
        for rule in rules:
            here.delete_rule(rule.priority, rule.address, rule.table)
        for link in links:
            found = rtnl_read.read_link_at(here.asking, link.index)
            if found is not None and (found.ifname, found.alias) == (link.ifname, link.alias):
                here.delete_link_now(link.index)

    @property
    def _node(self) -> node.Node:
        """Opened at first use, by the thread that goes on using it."""
        if self._opened is None:
            self._opened = node.Node()
        return self._opened

    def _as_made(self, wiring: model.Wiring, pod: node.PodNetns) -> model.Wired | None:
        """What an earlier `setup` of the same attachment made, None unless all is in place."""
        asking = self._node.asking
        host = observe.host_end(asking, wiring)
        inside = observe.pod_end(pod.asking, wiring)
        if host.link is None or inside.link is None:
            return None
        different = compare.host_end(wiring, host, observe.rules(asking, wiring))
        different += compare.pod_end(wiring, inside, host.link)
        if different or compare.has_needless_bucket(wiring, host, inside):
            return None
        return model.Wired(
            host_mac=host.link.mac,
            pod_mac=inside.link.mac,
            host_index=host.link.index,
            pod_index=inside.link.index,
        )

    def _replace(self, there: rtnl_read.Link) -> None:
        if there.kind != "veth":
            raise errors.Precondition(f"{there.ifname} is taken by a link that is no veth")
        log.info("link left over is replaced", ifname=there.ifname, alias=there.alias)
        self._node.delete_link_now(there.index)

    def _node_differences(self, wiring: model.Wiring) -> list[model.Difference]:
        asking = self._node.asking
        own = (self._node_ip,) if wiring.ipv6 is None else (self._node_ip, self._node_ipv6)
        return [
            *compare.host_end(
                wiring, observe.host_end(asking, wiring), observe.rules(asking, wiring)
            ),
            *compare.eni(
                wiring,
                observe.eni(asking, wiring),
                [address for address in own if address is not None],
            ),
        ]

    def _renamed(self, alias: str, netns_path: pathlib.Path, ifname: str) -> rtnl_read.Link | None:
        """The node's end of the pod's interface, by its peer; None unless it has our mark."""
        try:
            with self._node.pod(netns_path) as pod:
                inside = rtnl_read.read_link(pod.asking, ifname)
        except (cni_error.NetnsGone, errors.Precondition):
            return None
        if inside is None or inside.kind != "veth" or not inside.peer_index:
            return None
        link = rtnl_read.read_link_at(self._node.asking, inside.peer_index)
        return link if link is not None and link.alias == alias else None

    def _unused(self, addresses: tuple[plan.Address, ...]) -> tuple[plan.Address, ...]:
        """Those of *addresses* that are not routed to any link: who has such a one uses it."""
        used = {
            route.network.network_address
            for address in addresses
            for route in rtnl_read.read_routes(self._node.asking, rtnl.family(address))
            if route.network.num_addresses == 1
        }
        return tuple(address for address in addresses if address not in used)
