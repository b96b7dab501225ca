"""Reads that may hang for ever, at most one thread for each thing read."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from core import errors, executor

P = ParamSpec("P")
T = TypeVar("T")


class SharedReads:
    """Runs reads in threads; a second read of the same thing waits for the first one's answer.

    So a thing that hangs, such as a dead disk, costs one thread however often it is asked for, and
    the others still answer. Only when *max_hanging* things hang at once are further ones refused.
    Threads are made when they are needed. One event loop only.
    """

    def __init__(self, name: str, max_hanging: int) -> None:
        self._name = name
        self._max_hanging = max_hanging
        self._pool = executor.BoundedExecutor(name, max_hanging)
        self._running: dict[str, tuple[Callable[[], Any], asyncio.Future[Any]]] = {}

    async def read(
        self, key: str, timeout_s: float, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Result of *call*, which only reads, about the thing *key*; perhaps of a call that runs.

        A different call about the same thing waits for its turn.
        Raises DeadlineExceeded after *timeout_s* seconds, Unavailable when too many things hang.
        """
        wanted = functools.partial(call, *args, **kwargs)
        try:
            async with asyncio.timeout(timeout_s):
                while key in self._running:
                    running, future = self._running[key]
                    if _same(running, wanted):
                        answer: T = await asyncio.shield(future)
                        return answer
                    await asyncio.wait({future})
                return await asyncio.shield(self._start(key, wanted))
        except TimeoutError as e:
            raise errors.DeadlineExceeded(
                f"{self._name}: {key} did not answer within {timeout_s:g} s"
            ) from e

    def close(self) -> None:
        """Refuse new reads; the threads of running ones end in their own time."""
        self._pool.close()

    def _start(self, key: str, wanted: Callable[[], T]) -> asyncio.Future[T]:
        if len(self._running) >= self._max_hanging:
            raise errors.Unavailable(
                f"{self._name}: {self._max_hanging} reads do not end; see which devices hang"
            )
        future = self._pool.submit(wanted)
        self._running[key] = (wanted, future)
        future.add_done_callback(functools.partial(self._ended, key))
        return future

    def _ended(self, key: str, future: asyncio.Future[Any]) -> None:
        self._running.pop(key, None)
        if not future.cancelled():
            future.exception()  # seen here: those who asked may have given up


def _same(a: Callable[[], Any], b: Callable[[], Any]) -> bool:
    """Whether two partials call the same with the same."""
    return (
        isinstance(a, functools.partial)
        and isinstance(b, functools.partial)
        and (a.func, a.args, a.keywords) == (b.func, b.args, b.keywords)
    )
