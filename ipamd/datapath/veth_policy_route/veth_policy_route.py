"""The datapath "ENI multi-IP, veth, policy route": a veth pair for each pod, rules to its ENI.

Everything is netlink, sent from one thread: more only wait for one another (spec/performance.md C).
What is sent is in `plan`, what is compared in `compare`; here is the order, and the way back.
"""

import concurrent.futures
import errno
import ipaddress
import os

import structlog

from core import errors
from host import rtnl, rtnl_read
from ipamd.datapath import enis, model, node, policy_rules
from ipamd.datapath.veth_policy_route import compare, observe, plan, wirer

log = structlog.get_logger()


class VethPolicyRoute:
    """As `ipamd.datapath.interface.Datapath` tells.

    here: the node; closed by whoever opened it. node_ip, node_ipv6: of the node. mtu: of ENIs.
    """

    def __init__(
        self,
        here: node.Node,
        node_ip: ipaddress.IPv4Address,
        *,
        mtu: int,
        node_ipv6: ipaddress.IPv6Address | None,
    ) -> None:
        self._node = here
        self._node_ip, self._node_ipv6 = node_ip, node_ipv6
        self._enis = enis.EniPreparer(node_ip, node_ipv6, mtu)
        self._wirer = wirer.Wirer()

    def prepare_eni(self, eni: model.Eni) -> model.EniLink | None:
        """As `Datapath.prepare_eni`."""
        return self._enis.prepare(self._node.asking, eni)

    def wire(self, wiring: model.Wiring) -> model.Wired:
        """As `Datapath.wire`."""
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

    def unwire(self, unwiring: model.Unwiring) -> "concurrent.futures.Future[None]":
        """Take rules and route away now, the link in the background; done when it is gone.

        Never a link with another alias, nor the rules of an address that such a link uses. A link
        whose node's end was renamed is looked for by its other end.
        """
        here = self._node
        link = rtnl_read.read_link(here.asking, unwiring.host_ifname)
        if link is None and unwiring.alias:
            link = self._renamed(unwiring)
        ours = link if link is not None and link.alias == unwiring.alias else None
        wanted = unwiring.addresses
        if link is not None and ours is None:
            kept = unwiring.host_ifname
            log.warning("link of another attachment kept", ifname=kept, alias=link.alias)
        if ours is None:
            wanted = self._unused(wanted)
        policy_rules.clear(here, wanted)
        if ours is None:
            done: concurrent.futures.Future[None] = concurrent.futures.Future()
            done.set_result(None)
            return done
        here.try_all([rtnl.delete_route(address, ours.index) for address in wanted])
        return here.delete_link(ours.index)

    def check(self, wiring: model.Wiring) -> list[model.Difference]:
        """As `Datapath.check`."""
        differences = self._node_differences(wiring)
        try:
            with self._node.pod(wiring.netns_path) as pod:
                host_link = rtnl_read.read_link(self._node.asking, wiring.host_ifname)
                seen = observe.pod_end(pod.asking, wiring)
        except model.NetnsGone:
            return [*differences, compare.no_netns(wiring)]
        return differences + compare.pod_end(wiring, seen, host_link)

    def repair_node(self, wiring: model.Wiring) -> list[model.Difference]:
        """As `Datapath.repair_node`: ENI, link, route, rules, limit.

        A link that is gone, or another attachment's, cannot be mended from here.
        """
        before = self._node_differences(wiring)
        link = rtnl_read.read_link(self._node.asking, wiring.host_ifname)
        if not before or link is None or link.alias != wiring.alias:
            return []
        if any(difference.what.startswith("rule ") for difference in before):
            policy_rules.clear(self._node, plan.addresses(wiring))
        again = plan.eni_half(wiring, self._node_ip, self._node_ipv6)
        again += plan.node_half(wiring, link.index)
        for ack in self._node.asking.exchange(again):
            if ack.error not in (0, errno.EEXIST):  # a rule that was right already
                log.warning("not mended", doing=ack.request.doing, error=os.strerror(ack.error))
        after = {difference.what for difference in self._node_differences(wiring)}
        return [difference for difference in before if difference.what not in after]

    def _as_made(self, wiring: model.Wiring, pod: node.PodNetns) -> model.Wired | None:
        """What an earlier `wire` of the same attachment made, None unless all is in place."""
        asking = self._node.asking
        host = observe.host_end(asking, wiring)
        inside = observe.pod_end(pod.asking, wiring)
        if host.link is None or inside.link is None:
            return None
        different = compare.host_end(wiring, host, observe.rules(asking, wiring))
        different += compare.pod_end(wiring, inside, host.link)
        if different or compare.has_needless_bucket(wiring, host, inside):
            return None
        return wirer.made(wiring, host=_link(host.link), pod=_link(inside.link))

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

    def _renamed(self, unwiring: model.Unwiring) -> rtnl_read.Link | None:
        """The node's end of the pod's interface, by its peer; None unless it has our mark."""
        if unwiring.netns_path is None:
            return None
        try:
            with self._node.pod(unwiring.netns_path) as pod:
                inside = rtnl_read.read_link(pod.asking, unwiring.ifname)
        except (model.NetnsGone, errors.Precondition):
            return None
        if inside is None or inside.kind != "veth" or not inside.peer_index:
            return None
        link = rtnl_read.read_link_at(self._node.asking, inside.peer_index)
        return link if link is not None and link.alias == unwiring.alias else None

    def _unused(self, addresses: tuple[model.Address, ...]) -> tuple[model.Address, ...]:
        """Those of *addresses* that are not routed to any link: who has such a one uses it."""
        used = {
            route.network.network_address
            for address in addresses
            for route in rtnl_read.read_routes(self._node.asking, rtnl.family(address))
            if route.network.num_addresses == 1
        }
        return tuple(address for address in addresses if address not in used)


def _link(link: rtnl_read.Link) -> model.MadeLink:
    return model.MadeLink(ifname=link.ifname, index=link.index, mac=link.mac)
