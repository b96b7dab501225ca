"""One poll loop for everybody who waits."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud import wait
from core import call, errors
from tests.fakes import virtual_clock

FIRST_S, INTERVAL_S = 0.25, 2.0


class Cloud:
    """States by id; notes what it was asked and when."""

    def __init__(self, clock: virtual_clock.VirtualClock) -> None:
        self._clock = clock
        self.states: dict[str, str] = {}
        self.calls: list[list[str]] = []
        self.calls_at_s: list[float] = []
        self.failures: list[Exception] = []
        self.remaining_s: list[float] = []

    async def describe(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.calls.append(list(keys))
        self.calls_at_s.append(self._clock.now_s)
        self.remaining_s.append(call.remaining_s(1000.0))
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        return {key: self.states[key] for key in keys if key in self.states}


@pytest.fixture
def clock() -> virtual_clock.VirtualClock:
    return virtual_clock.VirtualClock()


@pytest.fixture
def cloud(clock: virtual_clock.VirtualClock) -> Cloud:
    return Cloud(clock)


@pytest.fixture
def waiter(cloud: Cloud, clock: virtual_clock.VirtualClock) -> wait.StatusWaiter[str]:
    return wait.StatusWaiter("disks", cloud.describe, clock, first_s=FIRST_S, interval_s=INTERVAL_S)


def is_ready(state: str | None) -> bool:
    return state == "ready"


async def test_the_first_look_is_at_once(
    waiter: wait.StatusWaiter[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    cloud.states["d-1"] = "ready"

    assert await waiter.wait("d-1", is_ready, what="it") == "ready"
    assert cloud.calls_at_s == [0.0]


async def test_waiting_for_the_end_of_something_gives_none(
    waiter: wait.StatusWaiter[str],
) -> None:
    assert await waiter.wait("d-1", lambda state: state is None, what="it to be gone") is None


async def test_a_change_is_seen_and_polling_stops_when_nobody_waits(
    waiter: wait.StatusWaiter[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    cloud.states["d-1"] = "busy"
    waiting = asyncio.create_task(waiter.wait("d-1", is_ready, what="it"))
    await clock.advance(5)
    cloud.states["d-1"] = "ready"
    await clock.advance(INTERVAL_S)
    calls = len(cloud.calls)
    await clock.advance(60)

    assert await waiting == "ready"
    assert len(cloud.calls) == calls


async def test_all_who_wait_share_the_calls_of_at_most_100_ids(
    waiter: wait.StatusWaiter[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    cloud.states = {f"d-{n}": "busy" for n in range(150)}
    tasks = [
        asyncio.create_task(waiter.wait(f"d-{n}", is_ready, what="it"))
        for n in range(150)
        for _ in range(2)
    ]
    await virtual_clock.settle()
    first_round = [len(c) for c in cloud.calls]
    cloud.states = dict.fromkeys(cloud.states, "ready")
    await clock.advance(INTERVAL_S)

    assert first_round == [100, 50]
    assert await asyncio.gather(*tasks) == ["ready"] * 300
    assert len(cloud.calls) == 4


async def test_many_who_come_one_by_one_cost_few_calls(
    waiter: wait.StatusWaiter[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    async def caller(number: int) -> None:
        await clock.sleep(number * 0.05)
        await waiter.wait(f"d-{number}", is_ready, what="it")

    cloud.states = {f"d-{n}": "busy" for n in range(90)}
    tasks = [asyncio.create_task(caller(n)) for n in range(90)]
    await clock.advance(10)
    calls = len(cloud.calls)
    cloud.states = dict.fromkeys(cloud.states, "ready")
    await clock.advance(INTERVAL_S)
    await asyncio.gather(*tasks)

    assert calls <= 10 / FIRST_S


@pytest.mark.parametrize(
    "failure", [errors.Unavailable("throttled"), errors.DeadlineExceeded("slow"), errors.Busy("x")]
)
async def test_a_failed_poll_is_tried_again(
    failure: errors.Error,
    waiter: wait.StatusWaiter[str],
    cloud: Cloud,
    clock: virtual_clock.VirtualClock,
) -> None:
    cloud.failures = [failure]
    cloud.states["d-1"] = "ready"
    waiting = asyncio.create_task(waiter.wait("d-1", is_ready, what="it"))
    await clock.advance(INTERVAL_S)

    assert await waiting == "ready"


@pytest.mark.parametrize("failure", [errors.Denied("no permission"), ZeroDivisionError()])
async def test_a_failure_that_will_not_pass_ends_the_wait(
    failure: Exception, waiter: wait.StatusWaiter[str], cloud: Cloud
) -> None:
    cloud.failures = [failure]

    with pytest.raises(type(failure)):
        await waiter.wait("d-1", is_ready, what="it")


async def test_polling_goes_on_for_others_after_a_failure_and_after_a_raising_condition(
    waiter: wait.StatusWaiter[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    def explode(_: str | None) -> bool:
        raise errors.NotFound("it is gone")

    cloud.states = {"d-1": "busy", "d-2": "busy"}
    exploding = asyncio.create_task(waiter.wait("d-1", explode, what="it"))
    waiting = asyncio.create_task(waiter.wait("d-2", is_ready, what="it"))
    await virtual_clock.settle()
    cloud.states["d-2"] = "ready"
    await clock.advance(INTERVAL_S)

    with pytest.raises(errors.NotFound):
        await exploding
    assert await waiting == "ready"


async def test_the_deadline_names_what_was_waited_for_and_what_was_seen(
    waiter: wait.StatusWaiter[str], cloud: Cloud
) -> None:
    cloud.states["d-1"] = "Attaching"
    call.enter(call.Call(call_id="c", method="M", deadline_s=time.monotonic() + 0.15))

    with pytest.raises(errors.DeadlineExceeded, match=r"disk d-1 to be attached .*Attaching"):
        await waiter.wait("d-1", is_ready, what="disk d-1 to be attached to i-1")


async def test_the_poll_loop_outlives_the_deadline_of_the_call_that_started_it(
    waiter: wait.StatusWaiter[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    async def hurried() -> None:
        call.enter(call.Call(call_id="c", method="M", deadline_s=time.monotonic() + 0.01))
        with contextlib.suppress(errors.DeadlineExceeded):
            await waiter.wait("d-1", is_ready, what="it")

    cloud.states = {"d-1": "busy", "d-2": "busy"}
    first = asyncio.create_task(hurried())
    second = asyncio.create_task(waiter.wait("d-2", is_ready, what="it"))
    await clock.advance(INTERVAL_S)
    cloud.states["d-2"] = "ready"
    await clock.advance(2 * INTERVAL_S)

    await first
    assert await second == "ready"
    assert set(cloud.remaining_s) == {1000.0}


async def test_a_cancelled_caller_is_not_polled_for(
    waiter: wait.StatusWaiter[str], cloud: Cloud, clock: virtual_clock.VirtualClock
) -> None:
    cloud.states = {"d-1": "busy", "d-2": "busy"}
    leaving = asyncio.create_task(waiter.wait("d-1", is_ready, what="it"))
    staying = asyncio.create_task(waiter.wait("d-2", is_ready, what="it"))
    await virtual_clock.settle()
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    await clock.advance(INTERVAL_S)
    cloud.states["d-2"] = "ready"
    await clock.advance(INTERVAL_S)

    assert await staying == "ready"
    assert cloud.calls[-1] == ["d-2"]


async def test_close_cancels_who_waits(waiter: wait.StatusWaiter[str], cloud: Cloud) -> None:
    cloud.states["d-1"] = "busy"
    waiting = asyncio.create_task(waiter.wait("d-1", is_ready, what="it"))
    await virtual_clock.settle()
    waiter.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 30)), min_size=1, max_size=40))
def test_every_change_is_seen_within_one_interval(changes: list[tuple[float, float]]) -> None:
    async def scenario() -> None:
        clock = virtual_clock.VirtualClock()
        cloud = Cloud(clock)
        waiter = wait.StatusWaiter(
            "disks", cloud.describe, clock, first_s=FIRST_S, interval_s=INTERVAL_S
        )
        late_s: list[float] = []

        async def change(key: str, at_s: float) -> None:
            await clock.sleep(at_s)
            cloud.states[key] = "ready"

        async def caller(key: str, start_s: float, change_s: float) -> None:
            await clock.sleep(start_s)
            await waiter.wait(key, is_ready, what="it")
            late_s.append(clock.now_s - max(start_s, change_s))

        tasks = []
        for number, (start_s, change_s) in enumerate(changes):
            key = f"d-{number}"
            tasks.append(asyncio.create_task(change(key, change_s)))
            tasks.append(asyncio.create_task(caller(key, start_s, change_s)))
        await clock.advance(40)

        await asyncio.gather(*tasks)
        assert len(late_s) == len(changes)
        assert max(late_s) <= INTERVAL_S + 1e-9

    asyncio.run(scenario())
