"""Asks FUSE clients whether they live, each every few seconds, without a command for each question.

Whoever asks a client that hangs hangs too, and cannot be killed. So a process asks
(`host.look_process`), one for all of them, and one question after the other. One that is not
answered promptly has that process for itself from then on, and the others are asked by a new one.
"""

import asyncio
import contextlib
import os
import pathlib
from collections.abc import Callable
from typing import Protocol

import structlog

from host import look_process

log = structlog.get_logger()

_PROMPT_S = 0.25
"""How long the others wait for one: some 1000 times what a client takes that is well."""


class Process(Protocol):
    """As `look_process.LookProcess`."""

    def send(self, question: str) -> None: ...

    def receive(self) -> str | None: ...

    def fileno(self) -> int: ...

    def end(self) -> None: ...

    def abandon(self) -> None: ...


class Probes:
    """Asks, for many tasks of one event loop. start: makes a process."""

    def __init__(self, start: Callable[[], Process] = look_process.LookProcess) -> None:
        self._start = start
        self._turn = asyncio.Lock()
        self._kept: Process | None = None

    async def answers(self, target: pathlib.Path, *, timeout_s: float) -> bool:
        """Whether the client at *target* tells its size within *timeout_s* seconds."""
        return await self._ask(target, timeout_s) == 0

    async def is_dead(self, target: pathlib.Path, *, timeout_s: float) -> bool:
        """Whether *target* has no client any more; one that is silent may have."""
        return await self._ask(target, timeout_s) not in (0, None)

    def close(self) -> None:
        """End the process that is kept; the next question starts another."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.end()

    async def _ask(self, target: pathlib.Path, timeout_s: float) -> int | None:
        """The error's number that the client's size gives, 0 = none; None = no answer in time."""
        question = f"size:{os.fspath(target)}"
        try:
            answer = await self._answer(question, timeout_s)
        except look_process.Ended as e:
            log.info("a process that asks clients is started anew", why=str(e))
            answer = await self._answer(question, timeout_s)
        if answer is None:
            return None
        kind, *numbers = answer.split()
        return 0 if kind == "usage" else int(numbers[0])

    async def _answer(self, question: str, timeout_s: float) -> str | None:
        """What a process says, None when it says nothing in time."""
        async with contextlib.AsyncExitStack() as turn:
            await turn.enter_async_context(self._turn)
            process, self._kept = self._kept or self._start(), None
            try:
                process.send(question)
                answer = _answer_of(process)
                if not await _is_there(answer, min(_PROMPT_S, timeout_s)):
                    await turn.aclose()  # the next one's, with another process
                    if not await _is_there(answer, timeout_s - _PROMPT_S):
                        _give_up(process)
                        return None
                told = answer.result()
            except BaseException:
                _give_up(process)
                raise
            self._keep(process)
            return told

    def _keep(self, process: Process) -> None:
        """Have *process* for the next question, if there is none for that."""
        if self._kept is None:
            self._kept = process
        else:
            process.end()


async def _is_there(answer: "asyncio.Future[str]", timeout_s: float) -> bool:
    await asyncio.wait({answer}, timeout=timeout_s)
    return answer.done()


def _answer_of(process: Process) -> "asyncio.Future[str]":
    """What *process* will have answered, or that it ended."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        try:
            told = process.receive()
        except look_process.Ended as e:
            loop.remove_reader(process)
            answer.set_exception(e)
            return
        if told is not None:
            loop.remove_reader(process)
            answer.set_result(told)

    loop.add_reader(process, read)
    return answer


def _give_up(process: Process) -> None:
    """Kill *process*, which may hang in the kernel for as long as the client does."""
    asyncio.get_running_loop().remove_reader(process)
    process.abandon()
