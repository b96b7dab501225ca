"""Many single look-ups, few API calls.

Ids go out in Describe calls of at most 100 ids. A lone look-up goes at once. When look-ups come
faster than *calls_per_s*, they collect until the next call is due, so the rate of calls stays flat
however many volumes there are. The reference delays by 0.5^tokens seconds instead, up to a second
for every one of a series of lone calls (spec/csi-driver.md 2.11).
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from core import clock

T = TypeVar("T")

BATCH_MAX = 100

Waiting = dict[str, list[asyncio.Future[T | None]]]
Describe = Callable[[Sequence[str]], Awaitable[Mapping[str, T]]]


class DescribeBatcher(Generic[T]):
    """Collects ids for *describe*, which returns what exists by id.

    calls_per_s: sustained rate; as many may also go in one burst.
    """

    def __init__(
        self, name: str, describe: Describe[T], time: clock.Clock, *, calls_per_s: float
    ) -> None:
        self._name = name
        self._describe = describe
        self._clock = time
        self._waiting: Waiting[T] = {}
        self._timer: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._rate = calls_per_s
        self._tokens = calls_per_s
        self._refilled_s = time.monotonic_s()

    async def read(self, key: str) -> T | None:
        """What *key* is now, None when it does not exist. Raises what the Describe call raises."""
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if len(self._waiting) >= BATCH_MAX:
            self._fire()
        elif self._timer is None:
            self._timer = self._task(self._fire_later(), f"batch {self._name}")
        return await future

    def close(self) -> None:
        """Send nothing more; whoever still waits is cancelled."""
        for task in (*self._calls, *([self._timer] if self._timer else [])):
            task.cancel()
        waiting, self._waiting = self._waiting, {}
        for futures in waiting.values():
            for future in futures:
                future.cancel()

    @staticmethod
    def _task(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task in a context of its own: the first caller's deadline is not everybody's."""
        return asyncio.create_task(work, name=name, context=contextvars.Context())

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
        asked, self._waiting = self._waiting, {}
        waiting = {key: fs for key, fs in asked.items() if not all(f.done() for f in fs)}
        if not waiting:
            return
        task = self._task(self._call(waiting), f"describe {self._name}")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _call(self, waiting: Waiting[T]) -> None:
        try:
            found = await self._describe(list(waiting))
        except asyncio.CancelledError:
            for _, future in _pending(waiting):
                future.cancel()
            raise
        except Exception as e:  # noqa: BLE001  # whatever it is, each waiter gets it
            for _, future in _pending(waiting):
                future.set_exception(e)
        else:
            for key, future in _pending(waiting):
                future.set_result(found.get(key))

    def _next_delay_s(self) -> float:
        """Seconds until the next call may go: none while there are tokens, then one a token."""
        now_s = self._clock.monotonic_s()
        refilled = self._tokens + (now_s - self._refilled_s) * self._rate
        self._tokens = min(self._rate, refilled) - 1.0
        self._refilled_s = now_s
        return max(0.0, -self._tokens / self._rate)


def _pending(waiting: Waiting[T]) -> Iterator[tuple[str, asyncio.Future[T | None]]]:
    """Every caller that still waits, with its key."""
    for key, futures in waiting.items():
        for future in futures:
            if not future.done():
                yield key, future
