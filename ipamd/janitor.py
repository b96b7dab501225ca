"""The slow rounds: compare with metadata and kernel, mend, and clean up after what went away.

Never in the way of an ADD: it holds no lock but that of the one attachment it works on, and skips
those that are busy. Source of what to mend: spec/terway.md 4.13, 5.10.
"""

import asyncio
import pathlib
from collections.abc import Awaitable, Callable

import structlog

from core import clock, errors
from host import netns
from ipamd import counters, eni_upkeep, events, model, node_worker
from ipamd.attachments import attachments, leases, upkeep
from ipamd.cni import pending_dels
from ipamd.kube import kube_pods
from ipamd.pool import drift, leftovers, pool
from ipamd.recovery import recovery

log = structlog.get_logger()

_SWEEP_EVERY = 10
_SETTLED_S = 30.0
"""A lease younger than this may still be in the making by its ADD."""

_LINKS_EVERY_S = 5.0
_LINKS_S = 60.0
"""After the start, links that are not there are looked for this often and for so long."""


class Janitor:
    """period_s: between two rounds."""

    def __init__(
        self,
        *,
        addresses: pool.Pool,
        held: leases.Leases,
        served: attachments.Attachments,
        lease_upkeep: upkeep.Upkeep,
        interface_upkeep: eni_upkeep.EniUpkeep,
        left_behind: leftovers.Leftovers,
        worker: node_worker.NodeWorker,
        time: clock.Clock,
        tell: events.Events,
        period_s: float,
        pending: pending_dels.PendingDels,
        pods: kube_pods.Pods | None = None,
    ) -> None:
        self._pods = pods or kube_pods.NoPods()
        self._pool = addresses
        self._leases = held
        self._served = served
        self._upkeep = lease_upkeep
        self._enis = interface_upkeep
        self._leftovers = left_behind
        self._worker = worker
        self._clock = time
        self._tell = tell
        self._period_s = period_s
        self._pending = pending
        self._netns_gone: dict[model.AttachmentKey, int] = {}
        self.counts = counters.Cleanups()

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
            ("prepare interfaces", self._enis.prepare),
            ("compare with metadata", self._enis.compare),
            ("collect leases", self.collect_leases),
            ("follow addresses", self._upkeep.follow),
            ("learn annotations", self._upkeep.learn),
            ("show addresses", self._upkeep.show_addresses),
            ("repair", self.repair),
            ("remove stale objects", self.remove_stale),
        ]
        if sweep:
            self._enis.look_anew()
            steps.append(("know our interfaces", self._enis.know_ours))
            steps.append(("sweep interfaces", self._sweep))
        for name, step in steps:
            await self._do(name, step)
        self._pool.wake()

    async def collect_leases(self) -> None:
        """End leases whose namespace and interface are both gone: no DEL came, or none will."""
        host = await self._worker.read_host_state()
        links = {(link.ifname, link.alias) for link in host.links}
        ifnames = {link.ifname for link in host.links}
        # Not rules: those stay when a link goes, so they say nothing about use.
        used = {route.address for route in host.routes}
        now_s = self._clock.now().timestamp()
        gone: dict[model.AttachmentKey, int] = {}
        for lease in list(self._leases.values()):
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
        for lease in list(self._leases.values()):
            if lease.owner is not model.Owner.DAEMON or _is_young(lease, now_s):
                continue
            if lease.key not in self._leases:
                continue  # ended meanwhile
            await self._repair(lease)
            await asyncio.sleep(0)

    async def remove_stale(self) -> None:
        """Remove rules and links that belong to no lease."""
        held = {ipv4 for _, a in self._pool.state.addresses() for ipv4 in [a.ipv4] if a.key is None}
        host = await self._worker.read_host_state()
        # Leases are read after the kernel: one that came meanwhile explains what was seen.
        stale = recovery.find_stale(host, list(self._leases.values()), frozenset(held))
        links = tuple(link for link in stale.links if not self._leases.is_busy(link.alias))
        still_free = {a.ipv4 for _, a in self._pool.state.addresses() if a.key is None}
        rules = tuple(rule for rule in stale.rules if rule.address in still_free)
        if not rules and not links:
            return
        log.warning("removing stale objects", rules=len(rules), links=[k.ifname for k in links])
        self.counts.stale_rules += len(rules)
        self.counts.stale_links += len(links)
        await self._worker.remove_stale(rules=rules, links=links)

    async def _sweep(self) -> None:
        self.counts.swept_enis += await self._leftovers.sweep()
        self.counts.orphaned_enis = len(self._leftovers.orphans)

    async def _await_links(self, until_s: float) -> None:
        """Look often for links that the kernel has later than us, as it may after a boot."""
        while self._enis.lack_links():
            if self._clock.monotonic_s() + _LINKS_EVERY_S > until_s:
                return
            await self._clock.sleep(_LINKS_EVERY_S)
            await self._do("prepare interfaces", self._enis.prepare)
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
            mended = await self._upkeep.repair(lease.key)
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
