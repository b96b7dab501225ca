"""The warm pool: gives out addresses at once while there are any, and keeps them coming.

One loop compares what is with what the targets want and starts cloud calls, each a task of its own.
The way of an ADD that finds a warm address touches no lock, no cloud and no other service.
"""

import asyncio
import collections
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

import structlog

from core import call, clock, errors
from ipamd import counters, eni_maker, events, limits, model, plan, pool_state, reclaim
from ipamd.model import AddressState, EniState

log = structlog.get_logger()

_COALESCE_S = 0.02
"""ADDs that come within this time share a cloud call. A burst extends it, up to the next figure."""
_COALESCE_MAX_S = 0.2
_BACKOFF_FIRST_S = 1.0
_BACKOFF_MAX_S = 60.0
_LEAST_S = 0.01
_SETTLE_S = 0.05
"""After a change nobody waits for, others are let happen before the pool is looked at."""
_ADD_WAIT_S = 100.0
_CREATES_AT_ONCE = 3


class Maker(Protocol):
    """Who calls the cloud for us; see `ipamd.eni_maker.EniMaker`."""

    async def create(self, count: int) -> model.PoolEni: ...
    async def assign(self, eni: model.PoolEni, count: int) -> tuple[ipaddress.IPv4Address, ...]: ...
    async def unassign(
        self, eni: model.PoolEni, addresses: Sequence[ipaddress.IPv4Address]
    ) -> None: ...
    async def remove(self, eni_id: str) -> None: ...


class Dry(Protocol):
    """Which vSwitches have nothing left; see `ipamd.vswitches.VSwitches`."""

    def dry(self) -> frozenset[str]: ...
    def retry_s(self) -> float | None: ...


class NoAddress(errors.Exhausted):
    """An ADD got no address. The message tells why and what to do."""


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
        self._maker: Maker | None = None
        self._dry: Dry | None = None
        self._clock = time
        self._tell = tell
        self._pack = pack
        self._sync_period_s = sync_period_s
        self._changed = changed
        self._counted = counted
        self._reclaim = reclaim
        self._waiters: collections.deque[tuple[model.AttachmentKey, asyncio.Future[None]]] = (
            collections.deque()
        )
        self._creating: dict[asyncio.Task[None], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._primed = asyncio.Event()
        self._shrink_at_s = time.monotonic_s() + sync_period_s
        self._blocked_until_s = 0.0
        self._backoff_s = 0.0
        self._why = ""
        self._hopeless = False

    def configure(self, targets: limits.Targets, maker: Maker, dry: Dry) -> None:
        """Say what to aim at and who calls the cloud."""
        self.targets, self._maker, self._dry = targets, maker, dry

    @property
    def cloud(self) -> Maker:
        """Who calls the cloud for us."""
        assert self._maker is not None, "configure() comes first"  # noqa: S101
        return self._maker

    @property
    def vswitches(self) -> Dry:
        """What is known of dry vSwitches."""
        assert self._dry is not None, "configure() comes first"  # noqa: S101
        return self._dry

    @property
    def waiting(self) -> int:
        """ADDs that wait for an address."""
        return len(self._waiters)

    @property
    def growth_blocked(self) -> str:
        """Why the pool cannot grow now, "" when it can."""
        return self._why

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
            if not self._waiters or self.state.find(key) is not None:
                found = self.state.allocate(key, self._now_s())
                if found is not None:
                    self._note_use()
                    return found
            await self._wait(key, deadline_s - self._clock.monotonic_s())
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
            await self._end_tasks()

    def _turn(self) -> None:
        """One look: warm up, serve who waits, start what the plan says."""
        now_s = self._clock.monotonic_s()
        self.state.warm_up(self._now_s())
        self._serve()
        if now_s >= self._blocked_until_s:
            self._start(self._growth())
        if now_s >= self._shrink_at_s:
            self._shrink_at_s = now_s + self._sync_period_s
            self._start(
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
        )
        room = _CREATES_AT_ONCE - len(self._creating)
        creates = [a for a in actions if isinstance(a, plan.CreateEni)][:room]
        return [*(a for a in actions if not isinstance(a, plan.CreateEni)), *creates]

    def _demand(self) -> plan.Demand:
        return plan.Demand(waiting=len(self._waiters), creating=tuple(self._creating.values()))

    def _serve(self) -> None:
        """Give warm addresses to who waits, first come first served."""
        # Who gave up is no demand any more, also behind others.
        if any(future.done() for _, future in self._waiters):
            still = [each for each in self._waiters if not each[1].done()]
            self._waiters.clear()
            self._waiters.extend(still)
        while self._waiters:
            key, future = self._waiters[0]
            if self.state.allocate(key, self._now_s()) is None:
                return
            self._waiters.popleft()
            future.set_result(None)

    def _refuse_hopeless(self) -> None:
        """Fail who waits when no address is on its way: the runtime asks again by itself."""
        coming = self._creating or any(eni.busy for eni in self.state.enis.values())
        if not self._waiters or coming or self.state.count(AddressState.COOLING):
            return
        if self._clock.monotonic_s() < self._blocked_until_s and not self._hopeless:
            return
        total = sum(len(eni.addresses) for eni in self.state.enis.values())
        why = self._why or (
            f"all {total} of {self.targets.capacity} addresses of this node are in use"
        )
        reserved = self.state.count(AddressState.RESERVED)
        if reserved:
            why += f", {reserved} of them kept for pods of StatefulSets that may come back"
        while self._waiters:
            _, future = self._waiters.popleft()
            if not future.done():
                future.set_exception(NoAddress(f"no address for this pod: {why}"))

    async def _wait(self, key: model.AttachmentKey, timeout_s: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((key, future))
        self._wake.set()
        call.doing("waiting for an address: " + (self._why or "the pool is growing"))
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                await future
        except TimeoutError as e:
            self._take_back(key, future)
            raise errors.DeadlineExceeded(
                f"time is up while waiting for an address: {self._why or 'the pool is growing'}"
            ) from e
        except BaseException:
            self._take_back(key, future)
            raise
        finally:
            future.cancel()

    def _take_back(self, key: model.AttachmentKey, future: "asyncio.Future[None]") -> None:
        """Release an address that was given in the moment its caller gave up."""
        if future.done() and not future.cancelled() and future.exception() is None:
            self.release(key)

    async def _sleep(self) -> None:
        """Until something happens, or the next thing is due. A burst is let arrive first."""
        now_s = self._clock.monotonic_s()
        due = [self._shrink_at_s - now_s]
        warm_s = self.state.next_warm_s(self._now_s())
        if warm_s is not None:
            due.append(warm_s)
        if self._blocked_until_s > now_s:
            due.append(self._blocked_until_s - now_s)
        dry_s = self.vswitches.retry_s()
        if dry_s is not None:
            due.append(dry_s)
        try:
            async with asyncio.timeout(max(_LEAST_S, min(due))):
                await self._wake.wait()
        except TimeoutError:
            return
        if self._waiters:
            await self._let_arrive()
        else:
            await self._clock.sleep(_SETTLE_S)

    async def _let_arrive(self) -> None:
        waited_s, seen = 0.0, -1
        while waited_s < _COALESCE_MAX_S and len(self._waiters) > seen:
            seen = len(self._waiters)
            await self._clock.sleep(_COALESCE_S)
            waited_s += _COALESCE_S

    def _start(self, actions: Sequence[plan.Action]) -> None:
        for action in actions:
            if isinstance(action, plan.CreateEni):
                task = self._task(self._create(action.count), "create eni")
                self._creating[task] = action.count
            elif isinstance(action, plan.Assign):
                eni = self.state.enis[action.eni_id]
                eni.busy, eni.assigning = True, action.count
                self._task(self._assign(eni, action.count), f"assign {eni.eni_id}")
            elif isinstance(action, plan.Unassign):
                eni = self.state.enis[action.eni_id]
                eni.busy = True
                for ipv4 in action.addresses:
                    eni.addresses[ipv4].state = AddressState.RELEASING
                work = self._unassign(eni, action.addresses)
                self._task(work, f"unassign {eni.eni_id}", grows=False)
            else:
                eni = self.state.enis[action.eni_id]
                eni.busy, eni.state = True, EniState.DELETING
                self._task(self._delete(eni), f"delete {eni.eni_id}", grows=False)

    async def _create(self, count: int) -> None:
        try:
            eni = await self.cloud.create(count)
        except errors.Error:
            self._counted.asked("", count, succeeded=False)
            raise
        self._counted.asked(eni.mac, len(eni.addresses), succeeded=True)
        log.info("interface added", eni_id=eni.eni_id, addresses=_listed(eni.addresses))
        self.state.add_eni(eni)

    async def _assign(self, eni: model.PoolEni, count: int) -> None:
        try:
            assigned = await self.cloud.assign(eni, count)
        except errors.Error as e:
            eni.full = isinstance(e, eni_maker.InterfaceFull)
            self._counted.asked(eni.mac, count, succeeded=False)
            raise
        finally:
            eni.busy, eni.assigning = False, 0
        self._counted.asked(eni.mac, len(assigned), succeeded=True)
        log.info("addresses added", eni_id=eni.eni_id, addresses=_listed(assigned))
        if eni.eni_id in self.state.enis:
            self.state.add_addresses(eni.eni_id, assigned, self._now_s())

    async def _unassign(
        self, eni: model.PoolEni, addresses: Sequence[ipaddress.IPv4Address]
    ) -> None:
        """On failure they stay `releasing`: whether the cloud has them shows the metadata.

        What is stored lacks them first, so that a start after a kill does not take them for ours
        because the metadata service still lists them.
        """
        try:
            await self._changed()
            await self.cloud.unassign(eni, addresses)
        finally:
            eni.busy = False
        for ipv4 in addresses:
            eni.addresses.pop(ipv4, None)
        self._counted.gave_back(len(addresses))
        log.info("addresses given back", eni_id=eni.eni_id, addresses=_listed(addresses))

    async def _delete(self, eni: model.PoolEni) -> None:
        try:
            await self.cloud.remove(eni.eni_id)
        except BaseException:
            # Whether it is still there shows the next comparison with the metadata.
            eni.state = EniState.DRAINING
            raise
        finally:
            eni.busy = False
        self.state.remove_eni(eni.eni_id)
        self._counted.gave_back(len(eni.addresses))
        log.info("interface removed", eni_id=eni.eni_id)

    def _task(self, work: Awaitable[None], name: str, *, grows: bool = True) -> asyncio.Task[None]:
        guarded = self._guard(work) if grows else self._guard_shrinking(work)
        task = asyncio.create_task(guarded, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def _guard(self, work: Awaitable[None]) -> None:
        """Run one cloud action; a failure blocks growth for a while, longer each time."""
        try:
            await work
        except (eni_maker.VSwitchDry, eni_maker.InterfaceFull) as e:
            # Told by the cloud for the first time: another vSwitch or interface may do: no pause.
            self._why = str(e)
        except errors.Error as e:
            self._block(e)
        except Exception as e:
            # A fault of ours, or an answer that makes no sense: what was asked for may be there
            # all the same, so it is not asked for again at once.
            log.exception("pool task broke")
            self._block(errors.Internal(f"{type(e).__name__}; see ipamd's log"))
        else:
            self._backoff_s, self._why, self._hopeless = 0.0, "", False
            await self._changed()

    async def _guard_shrinking(self, work: Awaitable[None]) -> None:
        """Run one cloud action that gives something back; pods do not wait for it if it fails."""
        try:
            await work
        except errors.Error as e:
            why = f"addresses cannot be given back: {e}"
            self._tell.node(events.Reason.RESOURCE_INVALID, why)
        else:
            await self._changed()

    def _block(self, error: errors.Error) -> None:
        self._backoff_s = min(max(self._backoff_s * 2, _BACKOFF_FIRST_S), _BACKOFF_MAX_S)
        self._blocked_until_s = self._clock.monotonic_s() + self._backoff_s
        self._why = str(error)
        self._hopeless = error.kind is errors.Kind.EXHAUSTED
        log.warning("pool cannot change", error=str(error), retry_s=self._backoff_s)
        self._tell.node(events.Reason.ALLOC_IP_FAILED, str(error))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._creating.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("pool task failed", task=task.get_name(), error=repr(task.exception()))
        self._wake.set()

    def _note_primed(self) -> None:
        free = self.state.free()
        enis = self.state.enis.values()
        total = sum(len(eni.addresses) for eni in enis)
        reached = free >= self.targets.min_free and total >= self.targets.minimum_total
        in_service = bool(self.state.count(AddressState.LEASED))
        # An interface without a link takes its place, and may never bring what is short.
        cannot = bool(self._why) or any(eni.link is None for eni in enis)
        if reached or in_service or (free and cannot) or total >= self.targets.capacity:
            self._primed.set()

    async def _end_tasks(self) -> None:
        """Let cloud calls end: a cancelled one would leave its effect unknown."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_BACKOFF_FIRST_S)
        for task in set(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def _now_s(self) -> float:
        return self._clock.now().timestamp()


def _listed(addresses: Iterable[ipaddress.IPv4Address]) -> str:
    """For the log: who asks which node had an address looks for the address."""
    return " ".join(map(str, addresses))
