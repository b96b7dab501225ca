"""Has upkeep, groups and collections done from time to time, as long as the driver lives."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from core import clock, executor
from csi.lvm import collector, settings
from csi.lvm.stores import new_groups, upkeep

log = structlog.get_logger()

_MAKE_AGAIN_S = 60.0
"""Longer than the kernel keeps what was written to a disk to itself (30 s, dirty_expire_centisecs),
so that whoever is emptying one is seen. Source: Documentation/admin-guide/sysctl/vm.rst."""


class Watch:
    """Looks every watch_s seconds, collects every collect_s; makes groups that could not be made.

    One event loop.

    pool: of its work, closed with it.
    """

    def __init__(
        self,
        *,
        config: settings.LocalSettings,
        work: upkeep.Upkeep,
        making: new_groups.NewGroups,
        collecting: collector.Collector,
        time: clock.Clock,
        pool: executor.BoundedExecutor,
    ) -> None:
        self._config = config
        self._work = work
        self._making = making
        self._time = time
        self._collector = collecting
        self._pool = pool
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; again changes nothing."""
        if self._tasks:
            return
        for name, interval_s, call in (
            ("watch", self._config.watch_s, self._look),
            ("groups", _MAKE_AGAIN_S, self._make_again),
            ("collect", self._config.collect_s, self._collector.collect),
        ):
            if interval_s:
                loop = self._again_and_again(interval_s, call)
                self._tasks.append(asyncio.create_task(loop, name=f"lvm {name}"))

    async def close(self) -> None:
        """End; a look that runs ends in its own time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.close()

    async def _look(self) -> None:
        await self._pool.run(self._work.look)

    async def _make_again(self) -> None:
        await self._pool.run(self._making.make_again)

    async def _again_and_again(
        self, interval_s: float, call: Callable[[], Awaitable[None]]
    ) -> None:
        while True:
            try:
                await call()
            except Exception:
                log.exception("upkeep failed; it is tried again", retry_s=interval_s)
            await self._time.sleep(interval_s)
