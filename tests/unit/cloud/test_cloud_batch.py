"""Many look-ups, few calls."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud import batch
from core import call, errors
from tests.fakes import virtual_clock

RATE = 4.0


class Cloud:
    """Knows every id but those that begin with "gone"; notes what it was asked."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.failures: list[Exception] = []
        self.hold: asyncio.Event | None = None
        self.remaining_s: list[float] = []

    async def describe(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.calls.append(list(keys))
        self.remaining_s.append(call.remaining_s(1000.0))
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
        return {key: f"state of {key}" for key in keys if not key.startswith("gone")}


@pytest.fixture
def clock() -> virtual_clock.VirtualClock:
    return virtual_clock.VirtualClock()


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def batcher(cloud: Cloud, clock: virtual_clock.VirtualClock) -> batch.DescribeBatcher[str]:
    return batch.DescribeBatcher("disks", cloud.describe, clock, calls_per_s=RATE)


async def test_look_ups_of_a_moment_share_one_call(
    batcher: batch.DescribeBatcher[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    reads = [asyncio.create_task(batcher.read(f"d-{n}")) for n in range(20)]
    await clock.advance(1)

    assert await asyncio.gather(*reads) == [f"state of d-{n}" for n in range(20)]
    assert cloud.calls == [[f"d-{n}" for n in range(20)]]


async def test_what_does_not_exist_is_none(
    batcher: batch.DescribeBatcher[str], clock: virtual_clock.VirtualClock
) -> None:
    read = asyncio.create_task(batcher.read("gone"))
    await clock.advance(1)

    assert await read is None


async def test_one_id_asked_twice_goes_out_once(
    batcher: batch.DescribeBatcher[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    reads = [asyncio.create_task(batcher.read("d-1")) for _ in range(3)]
    await clock.advance(1)

    assert await asyncio.gather(*reads) == ["state of d-1"] * 3
    assert cloud.calls == [["d-1"]]


async def test_a_full_batch_goes_at_once_and_the_rest_follows(
    batcher: batch.DescribeBatcher[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    reads = [asyncio.create_task(batcher.read(f"d-{n}")) for n in range(250)]
    await virtual_clock.settle()
    at_once = [len(c) for c in cloud.calls]
    await clock.advance(2)

    assert at_once[:2] == [100, 100]
    assert [len(c) for c in cloud.calls] == [100, 100, 50]
    assert len(await asyncio.gather(*reads)) == 250


async def test_others_collect_while_a_call_is_under_way(
    batcher: batch.DescribeBatcher[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    cloud.hold = asyncio.Event()
    first = asyncio.create_task(batcher.read("d-1"))
    await clock.advance(1)
    second = asyncio.create_task(batcher.read("d-2"))
    await clock.advance(1)
    calls_under_way = len(cloud.calls)
    cloud.hold.set()

    assert calls_under_way == 2
    assert await asyncio.gather(first, second) == ["state of d-1", "state of d-2"]


async def test_an_error_goes_to_all_of_its_batch_and_to_no_other(
    batcher: batch.DescribeBatcher[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    cloud.failures = [errors.Unavailable("lost")]
    reads = [asyncio.create_task(batcher.read(f"d-{n}")) for n in range(3)]
    await clock.advance(1)
    later = asyncio.create_task(batcher.read("d-9"))
    await clock.advance(1)

    results = await asyncio.gather(*reads, return_exceptions=True)
    assert [type(r) for r in results] == [errors.Unavailable] * 3
    assert await later == "state of d-9"


async def test_a_cancelled_caller_does_not_disturb_the_others(
    batcher: batch.DescribeBatcher[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    cloud.hold = asyncio.Event()
    leaving = asyncio.create_task(batcher.read("d-1"))
    staying = asyncio.create_task(batcher.read("d-1"))
    await clock.advance(1)
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    cloud.hold.set()

    assert await staying == "state of d-1"


async def test_the_first_callers_deadline_is_not_the_batchs(
    batcher: batch.DescribeBatcher[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    async def hurried() -> str | None:
        call.enter(call.Call(call_id="c", method="M", deadline_s=time.monotonic() + 0.01))
        return await batcher.read("d-1")

    read = asyncio.create_task(hurried())
    await clock.advance(1)
    await read

    assert cloud.remaining_s == [1000.0]


async def test_close_cancels_who_waits(
    batcher: batch.DescribeBatcher[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    cloud.hold = asyncio.Event()
    sent = asyncio.create_task(batcher.read("d-1"))
    await clock.advance(1)
    unsent = asyncio.create_task(batcher.read("d-2"))
    await asyncio.sleep(0)
    batcher.close()

    results = await asyncio.gather(sent, unsent, return_exceptions=True)
    assert [type(r) for r in results] == [asyncio.CancelledError] * 2


async def test_a_steady_stream_costs_few_calls_and_nobody_waits_long(
    batcher: batch.DescribeBatcher[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    waited_s: list[float] = []

    async def caller(number: int) -> None:
        await clock.sleep(number * 0.01)
        started_s = clock.now_s
        await batcher.read(f"d-{number}")
        waited_s.append(clock.now_s - started_s)

    tasks = [asyncio.create_task(caller(n)) for n in range(1000)]
    await clock.advance(12)
    await asyncio.gather(*tasks)

    assert len(cloud.calls) <= RATE * 10 + RATE + 1
    assert max(waited_s) <= 1.0


@settings(max_examples=60, deadline=None)
@given(
    arrivals=st.lists(st.tuples(st.floats(0, 20), st.integers(0, 300)), min_size=1, max_size=150)
)
def test_everybody_gets_the_state_of_what_they_asked_for(
    arrivals: list[tuple[float, int]],
) -> None:
    async def scenario() -> None:
        clock, cloud = virtual_clock.VirtualClock(), Cloud()
        batcher = batch.DescribeBatcher("disks", cloud.describe, clock, calls_per_s=RATE)

        async def caller(at_s: float, number: int) -> bool:
            await clock.sleep(at_s)
            return await batcher.read(f"d-{number}") == f"state of d-{number}"

        tasks = [asyncio.create_task(caller(*arrival)) for arrival in arrivals]
        await clock.advance(30)

        assert all(await asyncio.gather(*tasks))
        assert all(len(c) == len(set(c)) <= batch.BATCH_MAX for c in cloud.calls)

    asyncio.run(scenario())
