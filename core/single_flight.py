"""One run for everybody who asks for the same at the same time."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Shares a run by key. One event loop only. name: for task names."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: dict[str, asyncio.Task[T]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Result of *work*, or of the run of *key* that has begun already.

        It ends in its own time, also when everybody who asked has given up: so its length must be
        bounded.
        """
        running = self._running.get(key)
        if running is None or running.done():
            # A context of its own: it outlives the call that began it, and its deadline.
            running = asyncio.create_task(
                _await(work), name=f"{self._name} {key}", context=contextvars.Context()
            )
            self._running[key] = running
            running.add_done_callback(lambda ended: self._ended(key, ended))
        return await asyncio.shield(running)

    async def join(self, key: str) -> None:
        """Return when nothing runs for *key*. How it ended is told to those who asked for it."""
        running = self._running.get(key)
        if running is not None:
            await asyncio.wait([running])

    def close(self) -> None:
        """Stop what runs."""
        for running in list(self._running.values()):
            running.cancel()

    def _ended(self, key: str, run: asyncio.Task[T]) -> None:
        if self._running.get(key) is run:
            del self._running[key]
        if not run.cancelled():
            run.exception()  # seen here: those who asked may have given up


async def _await(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
