import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from core import errors, shared_reads

SOON_S = 10.0


class Hanging:
    """A thing whose reads end when the test lets them. begun: how many there were."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.begun = 0

    def read(self, answer: str = "read") -> str:
        self.begun += 1
        assert self.release.wait(SOON_S)
        return answer


@pytest.fixture
def dead() -> Hanging:
    return Hanging()


@pytest.fixture
async def reads(dead: Hanging) -> AsyncIterator[shared_reads.SharedReads]:
    reads = shared_reads.SharedReads("test", 3)
    yield reads
    dead.release.set()
    reads.close()


async def hang(reads: shared_reads.SharedReads, key: str, dead: Hanging) -> None:
    with pytest.raises(errors.DeadlineExceeded, match=f"{key} did not answer within 0.01 s"):
        await reads.read(key, 0.01, dead.read)


async def test_one_thing_that_hangs_takes_one_thread_however_often_it_is_asked(reads, dead):
    for _ in range(20):
        await hang(reads, "d-1", dead)

    assert dead.begun == 1
    assert await reads.read("d-2", SOON_S, str, 2) == "2"


async def test_things_that_hang_beyond_the_bound_are_refused_at_once(reads, dead):
    for number in range(3):
        await hang(reads, f"d-{number}", dead)

    with pytest.raises(errors.Unavailable, match="3 reads do not end"):
        await reads.read("d-9", SOON_S, str)


async def test_who_asks_the_same_while_it_is_read_gets_the_same_answer(reads, dead):
    asks = [asyncio.create_task(reads.read("d-1", SOON_S, dead.read)) for _ in range(5)]
    await asyncio.sleep(0)
    dead.release.set()

    assert await asyncio.gather(*asks) == ["read"] * 5
    assert dead.begun == 1


async def test_another_question_about_the_same_thing_waits_for_its_turn(reads, dead):
    first = asyncio.create_task(reads.read("d-1", SOON_S, dead.read, "a"))
    second = asyncio.create_task(reads.read("d-1", SOON_S, dead.read, "b"))
    await asyncio.sleep(0)
    dead.release.set()

    assert await asyncio.gather(first, second) == ["a", "b"]


async def test_a_thing_that_answers_again_is_read_again(reads, dead):
    await hang(reads, "d-1", dead)
    dead.release.set()

    assert await reads.read("d-1", SOON_S, dead.read) == "read"
    assert await reads.read("d-1", SOON_S, dead.read) == "read"
    assert dead.begun in {2, 3}  # the second may have met the first, which was ending


async def test_one_caller_that_is_cancelled_does_not_take_the_answer_from_another(reads, dead):
    leaves = asyncio.create_task(reads.read("d-1", SOON_S, dead.read))
    stays = asyncio.create_task(reads.read("d-1", SOON_S, dead.read))
    await asyncio.sleep(0)
    leaves.cancel()
    dead.release.set()

    assert await stays == "read"


async def test_an_error_reaches_everybody_who_asked(reads):
    def broken() -> None:
        raise errors.NotFound("no such volume")

    asks = [asyncio.create_task(reads.read("d-1", SOON_S, broken)) for _ in range(2)]

    told = await asyncio.gather(*asks, return_exceptions=True)
    assert [str(each) for each in told] == ["no such volume"] * 2
