"""Start, wait for a signal, stop in reverse order."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()


async def run_until_signal(start: Callable[[contextlib.AsyncExitStack], Awaitable[None]]) -> None:
    """Run *start*, which pushes its stop actions on the stack, then wait for SIGTERM or SIGINT.

    Stop actions run last in, first out. A second signal while stopping ends the process at once.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, number)
    async with contextlib.AsyncExitStack() as stack:
        await start(stack)
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


def _on_signal(stop: asyncio.Event, number: int) -> None:
    log.info("signal received", signal=signal.Signals(number).name)
    if stop.is_set():
        raise SystemExit(128 + number)
    stop.set()
