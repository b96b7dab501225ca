"""Many single look-ups, few API calls.

Ids asked for within a moment of one another go out in one Describe call of at most 100 ids. The
moment grows from nothing to a second as calls get more frequent. Source: spec/csi-driver.md 2.11.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from core import clock

T = TypeVar("T")

BATCH_MAX = 100
BURST = 8.0
REFILL_PER_S = 1.0
MAX_DELAY_S = 1.0

Describe = Callable[[Sequence[str]], Awaitable[Mapping[str, T]]]


class DescribeBatcher(Generic[T]):
    """Collects ids for *describe*, which returns what exists by id."""

    def __init__(self, name: str, describe: Describe[T], time: clock.Clock) -> None:
        self._name = name
        self._describe = describe
        self._clock = time
        self._waiting: dict[str, list[asyncio.Future[T | None]]] = {}
        self._timer: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._tokens = BURST
        self._refilled_s = time.monotonic_s()

    async def read(self, key: str) -> T | None:
        """What *key* is now, None when it does not exist. Raises what the Describe call raises."""
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if len(self._waiting) >= BATCH_MAX:
            self._fire()
        elif self._timer is None:
            self._timer = asyncio.create_task(self._fire_later(), name=f"batch {self._name}")
        return await future

    async def _fire_later(self) -> None:
        delay_s = self._next_delay_s()
        if delay_s > 0:
            await self._clock.sleep(delay_s)
        self._timer = None
        self._fire()

    def _fire(self) -> None:
        """Send what waits now, in a call of its own; others may collect meanwhile."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        task = asyncio.create_task(self._call(waiting), name=f"describe {self._name}")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _call(self, waiting: dict[str, list[asyncio.Future[T | None]]]) -> None:
        try:
            found = await self._describe(list(waiting))
        except Exception as e:  # noqa: BLE001  # whatever it is, each waiter gets it
            for futures in waiting.values():
                for future in futures:
                    if not future.done():
                        future.set_exception(e)
            return
        for key, futures in waiting.items():
            for future in futures:
                if not future.done():
                    future.set_result(found.get(key))

    def _next_delay_s(self) -> float:
        """Half as long for every token left: a lone caller waits 4 ms, a crowd a second."""
        now_s = self._clock.monotonic_s()
        self._tokens = min(BURST, self._tokens + (now_s - self._refilled_s) * REFILL_PER_S)
        self._refilled_s = now_s
        delay_s: float = MAX_DELAY_S * 0.5**self._tokens
        self._tokens = max(0.0, self._tokens - 1.0)
        return delay_s
