"""Waiting until resources reach a state: one poll loop for everybody who waits.

Source: spec/csi-driver.md 2.11.
"""

import asyncio
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


@dataclasses.dataclass(slots=True, eq=False)
class _Waiter(Generic[T]):
    key: str
    done: Done[T]
    future: asyncio.Future[T | None]


class StatusWaiter(Generic[T]):
    """Polls *describe* for all ids somebody waits for, at most 100 a call, every *interval_s*."""

    def __init__(
        self, name: str, describe: Describe[T], time: clock.Clock, *, interval_s: float
    ) -> None:
        self._name = name
        self._describe = describe
        self._clock = time
        self._interval_s = interval_s
        self._waiters: set[_Waiter[T]] = set()
        self._loop: asyncio.Task[None] | None = None

    async def wait(self, key: str, done: Done[T], *, what: str) -> T | None:
        """State of *key* once *done* accepts it; looks at once, then with everybody else.

        what: for the message, e.g. "disk d-1 to be attached to i-1".
        Raises DeadlineExceeded naming *what* when the call's time is up.
        """
        call.doing(f"waiting for {what}")
        waiter = _Waiter(key, done, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._poll(), name=f"wait {self._name}")
        limit_s = call.remaining_s(_NO_LIMIT_S)
        try:
            async with asyncio.timeout(limit_s):
                return await waiter.future
        except TimeoutError as e:
            raise errors.DeadlineExceeded(f"time is up while waiting for {what}; retry") from e
        finally:
            self._waiters.discard(waiter)

    async def _poll(self) -> None:
        """Poll as long as somebody waits. A failed poll is tried again: waiters have deadlines."""
        while self._waiters:
            keys = list(dict.fromkeys(w.key for w in self._waiters))
            for start in range(0, len(keys), _BATCH_MAX):
                await self._look(keys[start : start + _BATCH_MAX])
            if self._waiters:
                await self._clock.sleep(self._interval_s)

    async def _look(self, keys: list[str]) -> None:
        try:
            found = await self._describe(keys)
        except (errors.Unavailable, errors.DeadlineExceeded) as e:
            log.warning("poll failed; trying again", kind=self._name, error=str(e))
            return
        except errors.Error as e:
            if e.kind in (errors.Kind.UNAVAILABLE, errors.Kind.DEADLINE, errors.Kind.BUSY):
                log.warning("poll failed; trying again", kind=self._name, error=str(e))
                return
            self._settle(keys, error=e)
            return
        self._settle(keys, found=found)

    def _settle(
        self,
        keys: Sequence[str],
        *,
        found: Mapping[str, T] | None = None,
        error: Exception | None = None,
    ) -> None:
        for waiter in [w for w in self._waiters if w.key in keys]:
            if waiter.future.done():
                continue
            if error is not None:
                waiter.future.set_exception(error)
                self._waiters.discard(waiter)
                continue
            state = (found or {}).get(waiter.key)
            if waiter.done(state):
                waiter.future.set_result(state)
                self._waiters.discard(waiter)
