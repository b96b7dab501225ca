"""The slow rounds: compare with metadata and kernel, mend, and clean up after what went away.

Never in the way of an ADD: it holds no lock but that of the one attachment it works on, and skips
those that are busy. Source of what to mend: spec/terway.md 4.13, 5.10.
"""

import asyncio
import dataclasses
import pathlib
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from core import clock, errors
from host import netns
from ipamd import (
    attachments,
    drift,
    eni_maker,
    events,
    kube_pods,
    leftovers,
    model,
    node_worker,
    pending_dels,
    pool,
    recovery,
)
from ipamd.datapath import model as datapath_model
from ipamd.model import AddressState, EniState

log = structlog.get_logger()

_SWEEP_EVERY = 10
_SETTLED_S = 30.0
"""A lease younger than this may still be in the making by its ADD."""

_PODS_TOLD = 10
_LINKS_EVERY_S = 5.0
_LINKS_S = 60.0
"""After the start, links that are not there are looked for this often and for so long."""


@dataclasses.dataclass(slots=True)
class Counts:
    """What was done since the start, for metrics; orphaned_enis: how many there are now."""

    repaired: int = 0
    collected: int = 0
    stale_rules: int = 0
    stale_links: int = 0
    swept_enis: int = 0
    orphaned_enis: int = 0


class Janitor:
    """period_s: between two rounds.

    managed: interfaces that pods may use, by id: whether they are ours to give back. Asked when a
    new one appears.
    """

    def __init__(
        self,
        *,
        addresses: pool.Pool,
        served: attachments.Attachments,
        worker: node_worker.NodeWorker,
        maker: eni_maker.EniMaker,
        left_behind: leftovers.Leftovers,
        time: clock.Clock,
        tell: events.Events,
        managed: Callable[[], Awaitable[Mapping[str, bool]]],
        changed: Callable[[], Awaitable[None]],
        period_s: float,
        pending: pending_dels.PendingDels,
        pods: kube_pods.Pods | None = None,
    ) -> None:
        self._pods = pods or kube_pods.NoPods()
        self._pool = addresses
        self._served = served
        self._worker = worker
        self._maker = maker
        self._leftovers = left_behind
        self._clock = time
        self._tell = tell
        self._managed = managed
        self._changed = changed
        self._period_s = period_s
        self._pending = pending
        self._compare = drift.Compare()
        self._netns_gone: dict[model.AttachmentKey, int] = {}
        self._foreign: set[str] = set()
        self._told_mtu: set[tuple[str, int]] = set()
        self.counts = Counts()

    async def run(self) -> None:
        """Rounds until cancelled."""
        number = 0
        first_s = self._clock.monotonic_s() + self._period_s
        await self._await_links(min(first_s, self._clock.monotonic_s() + _LINKS_S))
        await self._clock.sleep(max(0.0, first_s - self._clock.monotonic_s()))
        while True:
            await self.round(sweep=number % _SWEEP_EVERY == 0)
            await self._clock.sleep(self._period_s)
            number += 1

    async def round(self, *, sweep: bool = False) -> None:
        """One round. A step that fails is told and does not stop the others."""
        steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("do pending DELs", self._pending.replay),
            ("prepare interfaces", self.prepare_interfaces),
            ("compare with metadata", self.compare_metadata),
            ("collect leases", self.collect_leases),
            ("follow addresses", self._served.follow),
            ("learn annotations", self._served.learn),
            ("show addresses", self._served.show_addresses),
            ("repair", self.repair),
            ("remove stale objects", self.remove_stale),
        ]
        if sweep:
            self._foreign.clear()  # the cloud may have told of one of ours too late
            steps.append(("know our interfaces", self.know_ours))
            steps.append(("sweep interfaces", self.sweep))
        for name, step in steps:
            await self._do(name, step)
        self._pool.wake()

    async def prepare_interfaces(self) -> None:
        """Let every interface be as pods need it; one plugged in again has another link."""
        for eni in list(self._pool.state.enis.values()):
            if not eni.busy and eni.state is not EniState.DELETING:
                await self._prepare(eni)

    async def compare_metadata(self) -> None:
        """Bring the pool to what the metadata service lists."""
        primary = await self._worker.read_primary_mac()
        listed = set(await self._worker.read_macs()) - {primary}
        known = {eni.mac for eni in self._pool.state.enis.values()}
        for eni in list(self._pool.state.enis.values()):
            if eni.busy:
                continue
            if eni.mac in listed:
                await self._compare_eni(eni)
            else:
                await self._miss(eni)
        for mac in listed - known - self._foreign:
            await self._appeared(mac)
        await self._changed()

    async def collect_leases(self) -> None:
        """End leases whose namespace and interface are both gone: no DEL came, or none will."""
        host = await self._worker.read_host_state()
        links = {(link.ifname, link.alias) for link in host.links}
        ifnames = {link.ifname for link in host.links}
        # Not rules: those stay when a link goes, so they say nothing about use.
        used = {route.address for route in host.routes}
        now_s = self._clock.now().timestamp()
        gone: dict[model.AttachmentKey, int] = {}
        for lease in list(self._served.leases.values()):
            if _is_young(lease, now_s) or (lease.host_ifname, lease.alias) in links:
                continue
            if lease.owner is model.Owner.CALLER:
                # Whoever made its interface ends it; what says that nobody will is that both
                # the kernel and the API server have nothing of the pod.
                if lease.host_ifname in ifnames or lease.ipv4 in used:
                    continue
                if not await self._pods.is_gone(lease.pod):
                    continue
            elif lease.netns and netns.exists(pathlib.Path(lease.netns)):
                continue
            gone[lease.key] = self._netns_gone.get(lease.key, 0) + 1
            if gone[lease.key] >= drift.SURE:
                await self._collect(lease)
        self._netns_gone = gone

    async def repair(self) -> None:
        """Mend the node's half of every interface."""
        now_s = self._clock.now().timestamp()
        for lease in list(self._served.leases.values()):
            if lease.owner is not model.Owner.DAEMON or _is_young(lease, now_s):
                continue
            if lease.key not in self._served.leases:
                continue  # ended meanwhile
            await self._repair(lease)
            await asyncio.sleep(0)

    async def remove_stale(self) -> None:
        """Remove rules and links that belong to no lease."""
        held = {ipv4 for _, a in self._pool.state.addresses() for ipv4 in [a.ipv4] if a.key is None}
        host = await self._worker.read_host_state()
        # Leases are read after the kernel: one that came meanwhile explains what was seen.
        stale = recovery.find_stale(host, list(self._served.leases.values()), frozenset(held))
        links = tuple(link for link in stale.links if not self._served.is_busy(link.alias))
        still_free = {a.ipv4 for _, a in self._pool.state.addresses() if a.key is None}
        rules = tuple(rule for rule in stale.rules if rule.address in still_free)
        if not rules and not links:
            return
        log.warning("removing stale objects", rules=len(rules), links=[k.ifname for k in links])
        self.counts.stale_rules += len(rules)
        self.counts.stale_links += len(links)
        await self._worker.remove_stale(rules=rules, links=links)

    async def know_ours(self) -> None:
        """Ask whose those are that a start without the cloud could not give back for fear."""
        if all(eni.ours for eni in self._pool.state.enis.values()):
            return
        managed = await self._managed()
        for eni in self._pool.state.enis.values():
            eni.ours = eni.ours or managed.get(eni.eni_id, False)

    async def sweep(self) -> None:
        """Delete interfaces that were left behind, attached nowhere."""
        self.counts.swept_enis += await self._leftovers.sweep()
        self.counts.orphaned_enis = len(self._leftovers.orphans)

    async def _await_links(self, until_s: float) -> None:
        """Look often for links that the kernel has later than us, as it may after a boot."""
        while any(
            eni.state is EniState.IN_USE and eni.link is None
            for eni in self._pool.state.enis.values()
        ):
            if self._clock.monotonic_s() + _LINKS_EVERY_S > until_s:
                return
            await self._clock.sleep(_LINKS_EVERY_S)
            await self._do("prepare interfaces", self.prepare_interfaces)
            self._pool.wake()

    @staticmethod
    async def _do(name: str, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except errors.Error as e:
            log.warning("janitor step failed", step=name, error=str(e))
        except Exception:
            # A round that ends for good would be worse than one that fails each minute.
            log.exception("janitor step broke", step=name)

    async def _compare_eni(self, eni: model.PoolEni) -> None:
        addresses = await self._worker.read_addresses(eni.mac)
        if eni.busy or not addresses:
            return
        eni.unseen = 0
        found = self._compare.addresses(eni, addresses, self._clock.now().timestamp())
        self._pool.state.take_over(eni)
        eni.full = False
        for note in found.notes:
            log.info("pool follows the cloud", what=note)
        for address in found.taken:
            text = (
                f"{address.ipv4} is no longer on {eni.eni_id}: delete the pod, and find out who "
                "took the address away"
            )
            self._tell_without_network([address], text)
        if eni.link is None or eni.state is EniState.DRAINING:
            is_ready = await self._prepare(eni)
            if is_ready and eni.state is EniState.DRAINING:
                eni.state = EniState.IN_USE

    async def _prepare(self, eni: model.PoolEni) -> bool:
        """Whether the kernel has the interface, and it is as pods need it."""
        try:
            link = await self._worker.prepare_eni(eni.mac, eni.gateway)
        except errors.Error as e:
            text = f"pods cannot use interface {eni.eni_id}: {e}"
            self._tell.node(events.Reason.RESOURCE_INVALID, text)
            return False
        if link != eni.link and not eni.busy:
            if link is None:
                text = f"interface {eni.eni_id} ({eni.mac}) is not on this node any more"
                self._tell.node(events.Reason.RESOURCE_INVALID, text)
            else:
                log.warning("interface has another link", eni_id=eni.eni_id, ifname=link.ifname)
            eni.link = link
        if link is not None and link.kept_mtu:
            self._tell_mtu(eni.eni_id, link)
        return link is not None

    def _tell_mtu(self, eni_id: str, link: datapath_model.EniLink) -> None:
        """Once for each interface: nothing changes by itself."""
        if (eni_id, link.index) not in self._told_mtu:
            self._told_mtu.add((eni_id, link.index))
            text = f"interface {eni_id} refuses --mtu and keeps its MTU of {link.kept_mtu}"
            self._tell.node(events.Reason.RESOURCE_INVALID, text)

    async def _miss(self, eni: model.PoolEni) -> None:
        """An interface that is not listed; believed when the kernel lacks it too."""
        eni.unseen += 1
        if eni.unseen < drift.SURE or eni.state is EniState.DELETING:
            return
        try:
            if await self._worker.prepare_eni(eni.mac, eni.gateway) is not None:
                return
        except errors.Error as e:
            # It is there, or that is not known: the others are compared all the same.
            log.warning("interface is not listed", eni_id=eni.eni_id, error=str(e))
            return
        leased = [a for a in eni.addresses.values() if a.key is not None]
        if eni.state is not EniState.DRAINING:
            self._tell_without_network(
                leased,
                f"interface {eni.eni_id} was removed from this node by somebody else: attach it "
                "again, or delete the pod",
            )
        if not leased:
            self._pool.state.remove_eni(eni.eni_id)
            return
        eni.state, eni.link = EniState.DRAINING, None
        for address in list(eni.addresses.values()):
            if address.key is None:
                del eni.addresses[address.ipv4]
            else:
                address.state = AddressState.MISSING

    def _tell_without_network(self, taken: Sequence[model.Address], why: str) -> None:
        """Tell the Node, and each pod whose address is among *taken*."""
        leases = [self._served.leases[a.key] for a in taken if a.key in self._served.leases]
        whose = [str(lease.pod) or str(lease.key) for lease in leases]
        listed = ", ".join(whose[:_PODS_TOLD]) + (", …" if len(whose) > _PODS_TOLD else "")
        pods = f"; pods without network, {len(whose)}: {listed}" if whose else ""
        self._tell.node(events.Reason.RESOURCE_INVALID, f"{why}{pods}")
        for lease in leases:
            self._tell.pod(lease.pod, events.Reason.RESOURCE_INVALID, f"no network: {why}")

    async def _appeared(self, mac: str) -> None:
        """An interface we do not know: ours from a call whose answer was lost, or somebody's."""
        told = await self._worker.read_interface(mac)
        if told is None:
            return
        managed = await self._managed()
        if told.eni_id not in managed:
            self._foreign.add(mac)
            return
        if any(eni.eni_id == told.eni_id for eni in self._pool.state.enis.values()):
            return
        try:
            link = await self._worker.prepare_eni(mac, told.gateway)
        except errors.Error as e:
            log.warning("new interface cannot be used", eni_id=told.eni_id, error=str(e))
            return
        now_s = self._clock.now().timestamp()
        if link is None or self._maker.is_making(told.eni_id):
            return
        appeared = eni_maker.pool_eni(told, link, now_s)
        appeared.ours = managed[told.eni_id]
        self._pool.state.add_eni(appeared)
        for lease in self._served.leases.values():
            if lease.eni_id == told.eni_id:
                self._pool.state.restore(lease.key, lease.ipv4, lease.eni_id, now_s)
        log.info("interface taken up", eni_id=told.eni_id, addresses=len(told.ipv4))

    async def _collect(self, lease: model.Lease) -> None:
        try:
            await self._served.end(lease.key)
        except errors.Error as e:
            log.warning("lease cannot be collected", attachment=str(lease.key), error=str(e))
            return
        self.counts.collected += 1
        log.warning(
            "lease collected: its namespace is gone and no DEL came",
            attachment=str(lease.key),
            pod=str(lease.pod),
            ipv4=str(lease.ipv4),
        )

    async def _repair(self, lease: model.Lease) -> None:
        try:
            mended = await self._served.repair(lease.key)
        except errors.Error as e:
            log.debug("not repaired", attachment=str(lease.key), error=str(e))
            return
        if mended:
            self.counts.repaired += len(mended)
            told = "; ".join(f"{each.what} (found {each.found})" for each in mended)
            self._tell.pod(lease.pod, events.Reason.CONFIG_CHECK, f"repaired: {told}")


def _is_young(lease: model.Lease, now_s: float) -> bool:
    """Not one of a clock that was ahead: that would be young for as long as it was."""
    return 0 <= now_s - lease.created_at < _SETTLED_S
