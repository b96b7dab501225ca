"""Makes a pod's interface in three datagrams, and takes it back when any part fails."""

import contextlib
import errno
import itertools
import secrets

import structlog

from core import errors
from host import netlink, rtnl, rtnl_read
from ipamd.datapath import model, node, policy_rules, sysctl
from ipamd.datapath.veth_policy_route import plan

log = structlog.get_logger()

_FIRST_INDEX = 1 << 20
_INDEX_SPAN = 1 << 28
"""Indexes of links are chosen here, far above the kernel's own, so that none must be looked up."""
_INDEX_TRIES = 8
_TAKEN = (errno.EEXIST, errno.EBUSY)


class Wirer:
    """Remembers only which index comes next."""

    def __init__(self) -> None:
        self._indexes = itertools.count(_FIRST_INDEX + 2 * secrets.randbelow(_INDEX_SPAN), 2)

    def wire(self, here: node.Node, pod: node.PodNetns, wiring: model.Wiring) -> model.Wired:
        """Make both ends and all that belongs to them, or nothing.

        Raises Precondition when the pod has a link of that name, Refused, NoAnswer.
        """
        if rtnl_read.read_link(pod.asking, wiring.ifname) is not None:
            raise errors.Precondition(
                f"{wiring.netns_path} has a link {wiring.ifname}, which is not ours"
            )
        policy_rules.clear(here, plan.addresses(wiring))
        with contextlib.ExitStack() as undo:
            ends = self._make_pair(here, pod, wiring, undo)
            if wiring.ipv6 is not None:
                sysctl.ensure_host_end_v6(wiring.host_ifname)
                pod.run(lambda: sysctl.ensure_pod_v6(wiring.ifname))
            netlink.require(here.asking.exchange(plan.node_half(wiring, ends.host.index)))
            netlink.require(pod.asking.exchange(plan.pod_half(wiring, ends)))
            undo.pop_all()
        return made(wiring, host=_link(ends.host), pod=_link(ends.pod))

    def _make_pair(
        self,
        here: node.Node,
        pod: node.PodNetns,
        wiring: model.Wiring,
        undo: contextlib.ExitStack,
    ) -> plan.Ends:
        """Both ends; with an index that is taken, again with the next."""
        tries = 0
        while True:
            tries += 1
            ends = self._choose_ends(wiring)
            with contextlib.ExitStack() as attempt:
                # Before the request: without an answer it may have been done all the same.
                attempt.callback(_undo, here, wiring, ends)
                (ack,) = here.asking.exchange([plan.pair(wiring, ends, pod.fd)])
                if not ack.error:
                    undo.push(attempt.pop_all())
                    return ends
            if ack.error not in _TAKEN or tries == _INDEX_TRIES:
                raise netlink.Refused(ack)

    def _choose_ends(self, wiring: model.Wiring) -> plan.Ends:
        index = next(self._indexes)
        return plan.Ends(
            host=rtnl.End(ifname=wiring.host_ifname, index=index, mac=_random_mac()),
            pod=rtnl.End(ifname=wiring.ifname, index=index + 1, mac=_random_mac()),
        )


def made(wiring: model.Wiring, *, host: model.MadeLink, pod: model.MadeLink) -> model.Wired:
    """What `Wirer.wire` makes for *wiring*, with these ends."""
    return model.Wired(
        host=host, pod=pod, addresses=plan.pod_addresses(wiring), routes=plan.pod_routes(wiring)
    )


def _link(end: rtnl.End) -> model.MadeLink:
    return model.MadeLink(ifname=end.ifname, index=end.index, mac=end.mac)


def _undo(here: node.Node, wiring: model.Wiring, ends: plan.Ends) -> None:
    """Rules, then the link, with which the rest goes; the failure that led here is what is told."""
    try:
        policy_rules.clear(here, plan.addresses(wiring))
        here.delete_own(ends.host.ifname, ends.host.index)
    except errors.Error:
        log.exception("interface half made was not taken back", ifname=wiring.host_ifname)


def _random_mac() -> str:
    """A MAC that is locally administered and of one device."""
    first, *rest = secrets.token_bytes(6)
    return bytes([first & 0xFC | 0x02, *rest]).hex(":")
