"""Does what `plan` says: each cloud call is a task of its own, and its outcome goes into the pool.

A failure of what brings addresses stops the growth for a while, longer each time. One of what
gives something back does not: pods do not wait for that.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

import structlog

from core import clock, errors
from ipamd import counters, events, model
from ipamd.model import AddressState, EniState
from ipamd.pool import eni_maker, plan, pool_state

log = structlog.get_logger()

_BACKOFF_FIRST_S = 1.0
_BACKOFF_MAX_S = 60.0
_END_S = 1.0
"""For calls under way when the daemon ends."""


class Maker(Protocol):
    """Who calls the cloud for us; see `ipamd.pool.eni_maker.EniMaker`."""

    async def create(self, count: int) -> model.PoolEni: ...
    async def assign(self, eni: model.PoolEni, count: int) -> tuple[ipaddress.IPv4Address, ...]: ...
    async def unassign(
        self, eni: model.PoolEni, addresses: Sequence[ipaddress.IPv4Address]
    ) -> None: ...
    async def remove(self, eni_id: str) -> None: ...


class CloudWork:
    """Calls under way, and how the last ones went.

    changed: called after the cloud gave or took something, to store what there is. ended: called
    when a call ended, whatever its outcome. why: what keeps the pool from growing, "" = nothing.
    blocked_until_s: no growth before, on the monotonic clock. is_hopeless: the cloud has no more
    for us, so that waiting does not help.
    """

    def __init__(
        self,
        state: pool_state.PoolState,
        time: clock.Clock,
        tell: events.Events,
        *,
        counted: counters.Counters,
        changed: Callable[[], Awaitable[None]],
        ended: Callable[[], None],
    ) -> None:
        self.maker: Maker | None = None
        self.why = ""
        self.blocked_until_s = 0.0
        self.is_hopeless = False
        self._state = state
        self._clock = time
        self._tell = tell
        self._counted = counted
        self._changed = changed
        self._ended = ended
        self._creating: dict[asyncio.Task[None], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._backoff_s = 0.0

    @property
    def creating(self) -> tuple[int, ...]:
        """How many addresses each interface that is being made will have."""
        return tuple(self._creating.values())

    def start(self, actions: Sequence[plan.Action]) -> None:
        """Begin with all of *actions*. Returns at once."""
        for action in actions:
            if isinstance(action, plan.CreateEni):
                task = self._task(self._create(action.count), "create eni")
                self._creating[task] = action.count
            elif isinstance(action, plan.Assign):
                eni = self._state.enis[action.eni_id]
                eni.busy, eni.assigning = True, action.count
                self._task(self._assign(eni, action.count), f"assign {eni.eni_id}")
            elif isinstance(action, plan.Unassign):
                eni = self._state.enis[action.eni_id]
                eni.busy = True
                for ipv4 in action.addresses:
                    eni.addresses[ipv4].state = AddressState.RELEASING
                work = self._unassign(eni, action.addresses)
                self._task(work, f"unassign {eni.eni_id}", grows=False)
            else:
                eni = self._state.enis[action.eni_id]
                eni.busy, eni.state = True, EniState.DELETING
                self._task(self._delete(eni), f"delete {eni.eni_id}", grows=False)

    async def end(self) -> None:
        """Let cloud calls end: a cancelled one would leave its effect unknown."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_END_S)
        for task in set(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    @property
    def _cloud(self) -> Maker:
        assert self.maker is not None, "a maker comes first"  # noqa: S101
        return self.maker

    async def _create(self, count: int) -> None:
        try:
            eni = await self._cloud.create(count)
        except errors.Error:
            self._counted.asked("", count, succeeded=False)
            raise
        self._counted.asked(eni.mac, len(eni.addresses), succeeded=True)
        log.info("interface added", eni_id=eni.eni_id, addresses=_listed(eni.addresses))
        self._state.add_eni(eni)

    async def _assign(self, eni: model.PoolEni, count: int) -> None:
        try:
            assigned = await self._cloud.assign(eni, count)
        except errors.Error as e:
            eni.full = isinstance(e, eni_maker.InterfaceFull)
            self._counted.asked(eni.mac, count, succeeded=False)
            raise
        finally:
            eni.busy, eni.assigning = False, 0
        self._counted.asked(eni.mac, len(assigned), succeeded=True)
        log.info("addresses added", eni_id=eni.eni_id, addresses=_listed(assigned))
        if eni.eni_id in self._state.enis:
            now_s = self._clock.now().timestamp()
            self._state.add_addresses(eni.eni_id, assigned, now_s)

    async def _unassign(
        self, eni: model.PoolEni, addresses: Sequence[ipaddress.IPv4Address]
    ) -> None:
        """On failure they stay `releasing`: whether the cloud has them shows the metadata.

        What is stored lacks them first, so that a start after a kill does not take them for ours
        because the metadata service still lists them.
        """
        try:
            await self._changed()
            await self._cloud.unassign(eni, addresses)
        finally:
            eni.busy = False
        for ipv4 in addresses:
            eni.addresses.pop(ipv4, None)
        self._counted.gave_back(len(addresses))
        log.info("addresses given back", eni_id=eni.eni_id, addresses=_listed(addresses))

    async def _delete(self, eni: model.PoolEni) -> None:
        try:
            await self._cloud.remove(eni.eni_id)
        except BaseException:
            # Whether it is still there shows the next comparison with the metadata.
            eni.state = EniState.DRAINING
            raise
        finally:
            eni.busy = False
        self._state.remove_eni(eni.eni_id)
        self._counted.gave_back(len(eni.addresses))
        log.info("interface removed", eni_id=eni.eni_id)

    def _task(self, work: Awaitable[None], name: str, *, grows: bool = True) -> asyncio.Task[None]:
        guarded = self._guard(work) if grows else self._guard_shrinking(work)
        task = asyncio.create_task(guarded, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)
        return task

    async def _guard(self, work: Awaitable[None]) -> None:
        """Run one cloud action; a failure blocks growth for a while, longer each time."""
        try:
            await work
        except (eni_maker.VSwitchDry, eni_maker.InterfaceFull) as e:
            # Told by the cloud for the first time: another vSwitch or interface may do: no pause.
            self.why = str(e)
        except errors.Error as e:
            self._block(e)
        except Exception as e:
            # A fault of ours, or an answer that makes no sense: what was asked for may be there
            # all the same, so it is not asked for again at once.
            log.exception("pool task broke")
            self._block(errors.Internal(f"{type(e).__name__}; see ipamd's log"))
        else:
            self._backoff_s, self.why, self.is_hopeless = 0.0, "", False
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
        self.blocked_until_s = self._clock.monotonic_s() + self._backoff_s
        self.why = str(error)
        self.is_hopeless = error.kind is errors.Kind.EXHAUSTED
        log.warning("pool cannot change", error=str(error), retry_s=self._backoff_s)
        self._tell.node(events.Reason.ALLOC_IP_FAILED, str(error))

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._creating.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("pool task failed", task=task.get_name(), error=repr(task.exception()))
        self._ended()


def _listed(addresses: Iterable[ipaddress.IPv4Address]) -> str:
    """For the log: who asks which node had an address looks for the address."""
    return " ".join(map(str, addresses))
