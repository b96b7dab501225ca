"""Time as a constructor argument, so that tests can own it."""

import asyncio
import datetime
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for the cloud, monotonic time for waits, and a sleep on the same scale."""

    def now(self) -> datetime.datetime:
        """Current time, UTC, with time zone."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a scale that never goes back."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Suspend the caller for *delay_s* seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime.datetime:
        """Current time, UTC, with time zone."""
        return datetime.datetime.now(datetime.UTC)

    def monotonic_s(self) -> float:
        """Seconds on a scale that never goes back."""
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        """Suspend the caller for *delay_s* seconds."""
        await asyncio.sleep(delay_s)
