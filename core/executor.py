"""Blocking calls off the event loop: named, bounded thread pools."""

import asyncio
import concurrent.futures
import contextvars
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from core import errors

P = ParamSpec("P")
T = TypeVar("T")

_KEY_MAX = 40
"""Characters of a key in the names of threads."""
_KEPT = 32
"""Pools for keys. Each has at least one thread as long as it is there."""


class BoundedExecutor:
    """A thread pool for one class of blocking calls, so that a hung one cannot starve the others.

    name: shows in thread names and error messages.
    max_workers: threads; further calls queue.
    """

    def __init__(self, name: str, max_workers: int) -> None:
        self._name = name
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers, thread_name_prefix=name)
        self._unfinished: set[concurrent.futures.Future[Any]] = set()

    @property
    def idle(self) -> bool:
        """Whether no call runs or waits."""
        return not self._unfinished

    async def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Result of *call*, run in a pool thread with the caller's context variables.

        A thread cannot be stopped. So a cancelled caller stays here, keeping its locks, until the
        call has ended, and is cancelled then: nobody else can start on the same volume meanwhile.
        A call that still waits for a thread is taken back at once.
        """
        context = contextvars.copy_context()
        work = functools.partial(call, *args, **kwargs)
        in_thread = self._submitted(functools.partial(context.run, work))
        future = asyncio.wrap_future(in_thread)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not in_thread.cancel():
                await _wait_ended(future)
            raise

    async def run_within(
        self, timeout_s: float, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `run`, but gives up waiting after *timeout_s* seconds with DeadlineExceeded.

        For calls that change nothing and may hang, such as statfs on a lost server.
        """
        future = self.submit(functools.partial(call, *args, **kwargs))
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as e:
            raise errors.DeadlineExceeded(f"{self._name}: no answer within {timeout_s:g} s") from e

    def submit(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Start *call*; who no longer waits for the future leaves its thread to itself."""
        context = contextvars.copy_context()
        return asyncio.wrap_future(self._submitted(functools.partial(context.run, call)))

    def close(self) -> None:
        """Refuse new calls; running ones end in their own time."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submitted(self, work: Callable[[], T]) -> "concurrent.futures.Future[T]":
        in_thread = self._pool.submit(work)
        self._unfinished.add(in_thread)
        in_thread.add_done_callback(self._unfinished.discard)
        return in_thread


class ExecutorPerKey:
    """Pools made when they are needed, one for each key, such as a server that may hang.

    name, max_workers: of each pool, as for BoundedExecutor; a pool's name ends in its key.
    There may be a key for each volume that ever was: when there are many, those that are idle go.
    """

    def __init__(self, name: str, max_workers: int) -> None:
        self._name = name
        self._max_workers = max_workers
        self._pools: dict[str, BoundedExecutor] = {}

    def of(self, key: str) -> BoundedExecutor:
        """The pool of *key*, to be used before anything is waited for: later it may be closed."""
        pool = self._pools.pop(key, None)
        if pool is None:
            self._close_idle()
            pool = BoundedExecutor(f"{self._name}-{key[:_KEY_MAX]}", self._max_workers)
        self._pools[key] = pool  # the one that was used last is the last
        return pool

    def _close_idle(self) -> None:
        """Make room for one more pool, if one of those there has nothing to do."""
        for key in [key for key, pool in self._pools.items() if pool.idle]:
            if len(self._pools) < _KEPT:
                return
            self._pools.pop(key).close()

    def close(self) -> None:
        """Refuse new calls; running ones end in their own time."""
        for pool in self._pools.values():
            pool.close()


async def _wait_ended(future: asyncio.Future[T]) -> None:
    """Return once *future* is done, whatever its outcome and however often we are cancelled."""
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()  # seen here: the cancelled caller will never ask
