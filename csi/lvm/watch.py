"""Has work done again and again, as long as the driver lives."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence

import structlog

from core import clock, executor

log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is done every *interval_s* seconds, at first when the watch starts; 0 = never."""

    name: str
    interval_s: float
    call: Callable[[], Awaitable[None]]


class Watch:
    """Does *jobs*. pools: of their work, closed with it. One event loop."""

    def __init__(
        self, jobs: Sequence[Job], time: clock.Clock, pools: Sequence[executor.BoundedExecutor]
    ) -> None:
        self._jobs = jobs
        self._time = time
        self._pools = pools
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; again changes nothing."""
        if self._tasks:
            return
        self._tasks = [
            asyncio.create_task(self._again_and_again(job), name=f"lvm {job.name}")
            for job in self._jobs
            if job.interval_s
        ]

    async def close(self) -> None:
        """End; what runs in a thread ends in its own time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pool in self._pools:
            pool.close()

    async def _again_and_again(self, job: Job) -> None:
        while True:
            try:
                await job.call()
            except Exception:
                log.exception("it is tried again", job=job.name, retry_s=job.interval_s)
            await self._time.sleep(job.interval_s)
