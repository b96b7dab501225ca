"""A clock that only moves when a test moves it."""

import asyncio
import datetime
import heapq
import itertools

_TURNS = 40
"""Turns of the event loop that let everything run that can; chains of tasks need several."""


class VirtualClock:
    """`core.clock.Clock` for tests. slept: every delay that was asked for, in order."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime.datetime:
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(
            seconds=self.now_s
        )

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now_s + delay_s, next(self._order), woken))
        await woken

    async def advance(self, by_s: float) -> None:
        """Move on by *by_s* seconds, waking sleepers in their order."""
        end_s = self.now_s + by_s
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end_s:
            due_s, _, woken = heapq.heappop(self._sleepers)
            self.now_s = max(self.now_s, due_s)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self.now_s = end_s
        await settle()


async def settle() -> None:
    """Let everything run that can without time passing."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
