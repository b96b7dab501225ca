"""Waiting until resources reach a state: one poll loop for everybody who waits.

Source: spec/csi-driver.md 2.11.
"""

import asyncio
import contextvars
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

import structlog

from core import call, clock, errors

log = structlog.get_logger()

T = TypeVar("T")

Done = Callable[[T | None], bool]
Describe = Callable[[Sequence[str]], Awaitable[Mapping[str, T]]]

_BATCH_MAX = 100
_NO_LIMIT_S = 600.0
_GROWTH = 1.5
_CROWD = 8
_EARLY_S = 0.1
"""We stop this much before the call's own end, so that our message, which is better, gets out."""
_RETRY = (errors.Kind.UNAVAILABLE, errors.Kind.DEADLINE, errors.Kind.BUSY)


@dataclasses.dataclass(slots=True, eq=False)
class _Waiter(Generic[T]):
    """One caller. seen: what the last look found, for its message."""

    key: str
    done: Done[T]
    future: asyncio.Future[T | None]
    seen: str = "no answer of the cloud yet"


class StatusWaiter(Generic[T]):
    """Polls *describe* for all ids somebody waits for, at most 100 a call.

    The interval starts at *first_s* for a new waiter and grows to *interval_s*: a quick change is
    seen quickly, a slow one does not cost many calls. show: a state in a word or two, for messages.
    """

    def __init__(
        self,
        name: str,
        describe: Describe[T],
        time: clock.Clock,
        *,
        first_s: float,
        interval_s: float,
        show: Callable[[T], str] = str,
    ) -> None:
        self._name = name
        self._describe = describe
        self._clock = time
        self._first_s = first_s
        self._interval_s = interval_s
        self._next_s = first_s
        self._show = show
        self._waiters: set[_Waiter[T]] = set()
        self._loop: asyncio.Task[None] | None = None

    async def wait(self, key: str, done: Done[T], *, what: str) -> T | None:
        """State of *key* once *done* accepts it.

        The first one who waits has a look at once; who joins a running loop has one when its pause
        ends. Raises DeadlineExceeded naming *what* (e.g. "disk d-1 to be attached to i-1")
        and what was seen last; what *done* or *describe* raises, but for passing failures.
        """
        call.doing(f"waiting for {what}")
        waiter = _Waiter(key, done, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        self._next_s = self._first_s
        if self._loop is None or self._loop.done():
            # A context of its own: the loop outlives the call that starts it, and its deadline.
            self._loop = asyncio.create_task(
                self._poll(), name=f"wait {self._name}", context=contextvars.Context()
            )
        try:
            async with asyncio.timeout(max(0.0, call.remaining_s(_NO_LIMIT_S) - _EARLY_S)):
                return await waiter.future
        except TimeoutError as e:
            raise errors.DeadlineExceeded(
                f"time is up while waiting for {what} (last seen: {waiter.seen}); "
                "retry, the operation resumes"
            ) from e
        finally:
            self._waiters.discard(waiter)

    def close(self) -> None:
        """Stop polling; whoever still waits is cancelled."""
        for waiter in self._waiters:
            waiter.future.cancel()
        if self._loop is not None:
            self._loop.cancel()

    async def _poll(self) -> None:
        """Poll as long as somebody waits. A failed poll is tried again: waiters have deadlines."""
        while self._waiters:
            keys = list(dict.fromkeys(w.key for w in self._waiters))
            for start in range(0, len(keys), _BATCH_MAX):
                await self._look(keys[start : start + _BATCH_MAX])
            if self._waiters:
                await self._clock.sleep(self._delay_s())

    def _delay_s(self) -> float:
        """Pause before the next poll; flat when many wait, since then somebody is always new."""
        if len(self._waiters) > _CROWD:
            return self._interval_s / 2
        delay_s = self._next_s
        self._next_s = min(self._interval_s, delay_s * _GROWTH)
        return delay_s

    async def _look(self, keys: list[str]) -> None:
        try:
            found = await self._describe(keys)
        except errors.Error as e:
            if e.kind in _RETRY:
                log.warning("poll failed; trying again", kind=self._name, error=str(e))
                for waiter in self._of(keys):
                    waiter.seen = str(e)
                return
            self._fail(keys, e)
        except Exception as e:  # noqa: BLE001  # a fault of ours: whoever waits must learn of it
            self._fail(keys, e)
        else:
            self._settle(keys, found)

    def _of(self, keys: Sequence[str]) -> list[_Waiter[T]]:
        wanted = set(keys)
        return [w for w in self._waiters if w.key in wanted and not w.future.done()]

    def _fail(self, keys: Sequence[str], error: Exception) -> None:
        for waiter in self._of(keys):
            self._waiters.discard(waiter)
            waiter.future.set_exception(error)

    def _settle(self, keys: Sequence[str], found: Mapping[str, T]) -> None:
        for waiter in self._of(keys):
            state = found.get(waiter.key)
            waiter.seen = "not found" if state is None else self._show(state)
            try:
                done = waiter.done(state)
            except Exception as e:  # noqa: BLE001  # belongs to this waiter, not to the others
                self._waiters.discard(waiter)
                waiter.future.set_exception(e)
                continue
            if done:
                self._waiters.discard(waiter)
                waiter.future.set_result(state)
