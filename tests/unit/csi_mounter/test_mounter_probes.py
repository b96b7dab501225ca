"""Asking clients by a process that is kept, with processes that only the test knows."""

import asyncio
import errno
import os
import pathlib
from collections.abc import AsyncIterator, Iterator

import pytest

from csi.mounter import probes
from host import look_process

ENOUGH_S = 60.0


class Process:
    """Answers at once, but for clients that hang, until the test answers for those."""

    def __init__(self, started: list["Process"]) -> None:
        self.asked: list[str] = []
        self.ended = self.abandoned = False
        self._tells, self._answers = os.pipe()
        self._closed: set[int] = set()
        started.append(self)

    def send(self, question: str) -> None:
        self.asked.append(question)
        if self.ended:
            raise look_process.Ended("it had ended")
        if "dead" in question:
            self.answer(f"error {errno.ENOTCONN}\n")
        elif "hangs" not in question:
            self.answer("usage 1 1 1 1 1 1\n")

    def answer(self, text: str) -> None:
        os.write(self._answers, text.encode())

    def stop(self) -> None:
        """End without an answer."""
        os.close(self._answers)
        self._closed.add(self._answers)

    def receive(self) -> str | None:
        told = os.read(self._tells, 4096)
        if not told:
            raise look_process.Ended("it ended")
        return told.decode()

    def fileno(self) -> int:
        return self._tells

    def end(self) -> None:
        self.ended = True

    def abandon(self) -> None:
        self.abandoned = True

    def close(self) -> None:
        for each in {self._tells, self._answers} - self._closed:
            os.close(each)


@pytest.fixture
def started() -> Iterator[list[Process]]:
    made: list[Process] = []
    yield made
    for each in made:
        each.close()


@pytest.fixture
async def probing(started: list[Process]) -> AsyncIterator[probes.Probes]:
    made = probes.Probes(lambda: Process(started))
    yield made
    made.close()
    assert all(each.ended or each.abandoned for each in started)


def target(name: str) -> pathlib.Path:
    return pathlib.Path("/run", name)


async def asked(started: list[Process], name: str) -> Process:
    """The process that was asked for *name*."""
    async with asyncio.timeout(ENOUGH_S):
        while True:
            for each in started:
                if f"size:/run/{name}" in each.asked:
                    return each
            await asyncio.sleep(0)


async def test_one_process_asks_one_client_after_the_other(
    probing: probes.Probes, started: list[Process]
) -> None:
    told = await asyncio.gather(
        *(probing.answers(target(name), timeout_s=ENOUGH_S) for name in ("a", "dead", "b"))
    )
    dead = [await probing.is_dead(target(name), timeout_s=ENOUGH_S) for name in ("a", "dead")]

    assert told == [True, False, True]
    assert dead == [False, True]
    (only,) = started
    assert only.asked[:3] == ["size:/run/a", "size:/run/dead", "size:/run/b"]


async def test_a_client_that_hangs_has_a_process_for_itself_and_the_others_have_another(
    probing: probes.Probes, started: list[Process]
) -> None:
    silent = asyncio.create_task(probing.answers(target("hangs"), timeout_s=ENOUGH_S))
    hanging = await asked(started, "hangs")
    told = await asyncio.gather(
        *(probing.answers(target(str(n)), timeout_s=ENOUGH_S) for n in range(20))
    )
    is_waited_for = not silent.done()
    hanging.answer("usage 1 1 1 1 1 1\n")

    assert all(told)
    assert is_waited_for
    assert await silent
    assert len(started) == 2
    assert len(started[1].asked) == 20
    assert hanging.ended, "one is kept"


async def test_a_client_that_is_silent_too_long_is_neither_well_nor_known_to_be_dead(
    probing: probes.Probes, started: list[Process]
) -> None:
    assert not await probing.answers(target("hangs"), timeout_s=0.01)
    assert not await probing.is_dead(target("hangs"), timeout_s=2 * probes._PROMPT_S)
    assert await probing.answers(target("a"), timeout_s=ENOUGH_S)

    assert [each.abandoned for each in started] == [True, True, False]


async def test_a_process_that_ended_is_replaced(
    probing: probes.Probes, started: list[Process]
) -> None:
    await probing.answers(target("a"), timeout_s=ENOUGH_S)
    started[0].ended = True
    while_idle = await probing.answers(target("b"), timeout_s=ENOUGH_S)
    asking = asyncio.create_task(probing.is_dead(target("hangs"), timeout_s=ENOUGH_S))
    while "size:/run/hangs" not in started[1].asked:
        await asyncio.sleep(0)
    started[1].stop()
    while len(started) < 3 or not started[2].asked:
        await asyncio.sleep(0)
    started[2].answer(f"error {errno.ENOTCONN}\n")

    assert while_idle
    assert await asking
    assert [each.abandoned for each in started] == [True, True, False]


@pytest.mark.parametrize("is_alone", [False, True], ids=["at once", "when others went on"])
async def test_who_asks_no_more_leaves_no_process(
    probing: probes.Probes, started: list[Process], is_alone: bool
) -> None:
    asking = asyncio.create_task(probing.answers(target("hangs"), timeout_s=ENOUGH_S))
    await asked(started, "hangs")
    if is_alone:
        await probing.answers(target("a"), timeout_s=ENOUGH_S)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert started[0].abandoned
    assert await probing.answers(target("b"), timeout_s=ENOUGH_S)


async def test_the_process_that_is_kept_ends_when_nobody_is_left_to_be_asked(
    started: list[Process],
) -> None:
    probing = probes.Probes(lambda: Process(started))
    probing.close()
    await probing.answers(target("a"), timeout_s=ENOUGH_S)
    probing.close()
    kept = started[0].ended
    await probing.answers(target("a"), timeout_s=ENOUGH_S)
    probing.close()

    assert kept
    assert [each.ended for each in started] == [True, True]


async def test_the_real_process_tells_what_is_there(tmp_path: pathlib.Path) -> None:
    probing = probes.Probes()
    try:
        for _ in range(2):
            assert await probing.answers(tmp_path, timeout_s=ENOUGH_S)
            assert await probing.is_dead(tmp_path / "none", timeout_s=ENOUGH_S)
    finally:
        probing.close()
