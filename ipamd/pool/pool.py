"""The warm pool: gives out addresses at once while there are any, and keeps them coming.

One loop compares what is with what the targets want, and has `cloud_work` do what is missing.
The way of an ADD that finds a warm address touches no lock, no cloud and no other service.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Protocol

from core import call, clock
from ipamd import counters, events, model
from ipamd.model import AddressState
from ipamd.pool import cloud_work, limits, plan, pool_state, reclaim, waiting

_COALESCE_S = 0.02
"""ADDs that come within this time share a cloud call. A burst extends it, up to the next figure."""
_COALESCE_MAX_S = 0.2
_LEAST_S = 0.01
_SETTLE_S = 0.05
"""After a change nobody waits for, others are let happen before the pool is looked at."""
_ADD_WAIT_S = 100.0
_CREATES_AT_ONCE = 3
_LINKS_WAIT_S = 30.0
"""After a start, nothing is made in place of interfaces whose links the kernel may still get."""


class Dry(Protocol):
    """Which vSwitches have nothing left; see `ipamd.pool.vswitches.VSwitches`."""

    def dry(self) -> frozenset[str]: ...
    def retry_s(self) -> float | None: ...


class Pool:
    """Serves `allocate` and `release`; `run` keeps the targets.

    Made empty, so that the services can be there from the start; `configure` comes before `run`.
    pack: grow the fullest interface first. sync_period_s: how often the pool may shrink.
    changed: called after the cloud gave or took something, to store what there is.
    """

    def __init__(
        self,
        state: pool_state.PoolState,
        time: clock.Clock,
        tell: events.Events,
        *,
        pack: bool,
        sync_period_s: float,
        changed: Callable[[], Awaitable[None]],
        counted: counters.Counters,
        reclaim: "reclaim.Reclaim | None" = None,
    ) -> None:
        self.state = state
        self.targets = limits.NOTHING
        self._dry: Dry | None = None
        self._clock = time
        self._pack = pack
        self._sync_period_s = sync_period_s
        self._counted = counted
        self._reclaim = reclaim
        self._wake = asyncio.Event()
        self._primed = asyncio.Event()
        self._waiting = waiting.Waiting(self.release)
        self._work = cloud_work.CloudWork(
            state, time, tell, counted=counted, changed=changed, ended=self._wake.set
        )
        self._shrink_at_s = time.monotonic_s() + sync_period_s
        self._links_until_s = 0.0

    def configure(self, targets: limits.Targets, maker: cloud_work.Maker, dry: Dry) -> None:
        """Say what to aim at and who calls the cloud; links may come late from now on."""
        self.targets, self._work.maker, self._dry = targets, maker, dry
        self._links_until_s = self._clock.monotonic_s() + _LINKS_WAIT_S

    @property
    def vswitches(self) -> Dry:
        """What is known of dry vSwitches."""
        assert self._dry is not None, "configure() comes first"  # noqa: S101
        return self._dry

    @property
    def waiting(self) -> int:
        """ADDs that wait for an address."""
        return len(self._waiting)

    @property
    def growth_blocked(self) -> str:
        """Why the pool cannot grow now, "" when it can."""
        return self._work.why

    def take_kept(
        self, holder: model.Holder | None, key: model.AttachmentKey
    ) -> tuple[model.PoolEni, model.Address, model.Kept] | None:
        """Lease to *key* the address that is kept for *holder*, None when none is."""
        found = self.state.take_kept(holder, key, self._now_s()) if holder is not None else None
        if found is not None:
            self._note_use()
        return found

    async def allocate(self, key: model.AttachmentKey) -> tuple[model.PoolEni, model.Address]:
        """Lease an address to *key*, the same again if it has one.

        Waits while one is on its way or cooling. Raises NoAddress, DeadlineExceeded.
        """
        deadline_s = self._clock.monotonic_s() + call.remaining_s(_ADD_WAIT_S)
        while True:
            # Who waits already goes first.
            if not self._waiting or self.state.find(key) is not None:
                found = self.state.allocate(key, self._now_s())
                if found is not None:
                    self._note_use()
                    return found
            self._wake.set()
            await self._waiting.wait(
                key, deadline_s - self._clock.monotonic_s(), self._what_is_missing
            )
            found = self.state.find(key)
            if found is not None:
                self._note_use()
                return found

    def release(
        self, key: model.AttachmentKey, kept: model.Kept | None = None
    ) -> ipaddress.IPv4Address | None:
        """Let the address of *key* cool down, or keep it; None when it has none."""
        released = self.state.release(key, self._now_s(), kept)
        if self._reclaim is not None:
            self._reclaim.used(self._clock.monotonic_s())
        self._wake.set()
        return released

    def lose_link(self, key: model.AttachmentKey) -> None:
        """The kernel lacks the interface of *key*: no address of it until it is there again."""
        found = self.state.find(key)
        if found is not None:
            found[0].link = None
            self._wake.set()

    def wake(self) -> None:
        """Look at the pool again: something changed it from outside."""
        self._wake.set()

    async def wait_primed(self) -> None:
        """Return once the pool holds what its targets want, or cannot and has an address.

        At once where pods have addresses already: this node was ready before, and a node that is
        not for minutes, because the cloud gives nothing now, loses all its pods.
        """
        await self._primed.wait()

    async def run(self) -> None:
        """Keep the targets until cancelled."""
        try:
            while True:
                self._wake.clear()
                self._turn()
                await self._sleep()
        finally:
            await self._work.end()

    def _turn(self) -> None:
        """One look: warm up, serve who waits, start what the plan says."""
        now_s = self._clock.monotonic_s()
        self.state.warm_up(self._now_s())
        self._waiting.serve(lambda key: self.state.allocate(key, self._now_s()) is not None)
        if now_s >= self._work.blocked_until_s:
            self._work.start(self._growth())
        if now_s >= self._shrink_at_s:
            self._shrink_at_s = now_s + self._sync_period_s
            self._work.start(
                plan.plan_shrink(
                    list(self.state.enis.values()),
                    self._demand(),
                    self.targets,
                    now_s=self._now_s(),
                    extra=self._reclaim.due(now_s) if self._reclaim else 0,
                )
            )
        self._refuse_hopeless()
        self._note_primed()

    def _note_use(self) -> None:
        """An ADD got its address: the pool may be short of free ones now."""
        self._counted.leased()
        if self._reclaim is not None:
            self._reclaim.used(self._clock.monotonic_s())
        self._wake.set()

    def _growth(self) -> list[plan.Action]:
        actions = plan.plan_growth(
            list(self.state.enis.values()),
            self._demand(),
            self.targets,
            pack=self._pack,
            dry_vswitch_ids=self.vswitches.dry(),
            links_expected=self._links_expected(),
        )
        room = _CREATES_AT_ONCE - len(self._work.creating)
        creates = [a for a in actions if isinstance(a, plan.CreateEni)][:room]
        return [*(a for a in actions if not isinstance(a, plan.CreateEni)), *creates]

    def _links_expected(self) -> bool:
        """Whether an interface has no link yet, as it may be after a boot."""
        is_soon = self._clock.monotonic_s() < self._links_until_s
        return is_soon and any(plan.lacks_link(eni) for eni in self.state.enis.values())

    def _demand(self) -> plan.Demand:
        return plan.Demand(waiting=len(self._waiting), creating=self._work.creating)

    def _what_is_missing(self) -> str:
        return self._work.why or "the pool is growing"

    def _refuse_hopeless(self) -> None:
        """Fail who waits when no address is on its way."""
        coming = self._work.creating or any(eni.busy for eni in self.state.enis.values())
        coming = coming or self._links_expected()
        if not self._waiting or coming or self.state.count(AddressState.COOLING):
            return
        blocked = self._clock.monotonic_s() < self._work.blocked_until_s
        if blocked and not self._work.is_hopeless:
            return
        total = self.state.total()
        why = self._work.why or (
            f"all {total} of {self.targets.capacity} addresses of this node are in use"
        )
        reserved = self.state.count(AddressState.RESERVED)
        if reserved:
            why += f", {reserved} of them kept for pods of StatefulSets that may come back"
        self._waiting.refuse(why)

    async def _sleep(self) -> None:
        """Until something happens, or the next thing is due. A burst is let arrive first."""
        try:
            async with asyncio.timeout(max(_LEAST_S, self._due_s())):
                await self._wake.wait()
        except TimeoutError:
            return
        if self._waiting:
            await self._let_arrive()
        else:
            await self._clock.sleep(_SETTLE_S)

    def _due_s(self) -> float:
        """Seconds until the pool is to be looked at though nothing happened."""
        now_s = self._clock.monotonic_s()
        due = [self._shrink_at_s - now_s]
        warm_s = self.state.next_warm_s(self._now_s())
        if warm_s is not None:
            due.append(warm_s)
        if self._work.blocked_until_s > now_s:
            due.append(self._work.blocked_until_s - now_s)
        dry_s = self.vswitches.retry_s()
        if dry_s is not None:
            due.append(dry_s)
        if self._links_expected():
            due.append(self._links_until_s - now_s)
        return min(due)

    async def _let_arrive(self) -> None:
        waited_s, seen = 0.0, -1
        while waited_s < _COALESCE_MAX_S and len(self._waiting) > seen:
            seen = len(self._waiting)
            await self._clock.sleep(_COALESCE_S)
            waited_s += _COALESCE_S

    def _note_primed(self) -> None:
        free = self.state.free()
        enis = self.state.enis.values()
        total = self.state.total()
        reached = free >= self.targets.min_free and total >= self.targets.minimum_total
        in_service = bool(self.state.count(AddressState.LEASED))
        # An interface without a link takes its place, and may never bring what is short.
        cannot = bool(self._work.why) or any(eni.link is None for eni in enis)
        if reached or in_service or (free and cannot) or total >= self.targets.capacity:
            self._primed.set()

    def _now_s(self) -> float:
        return self._clock.now().timestamp()
