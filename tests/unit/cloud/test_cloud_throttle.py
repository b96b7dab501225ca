"""Backing off together, probing alone."""

import asyncio
import contextlib
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud import errors as cloud_errors
from cloud import throttle
from core import call
from tests.fakes import virtual_clock

MANY = 100


def throttled(retry_after_s: float | None = None) -> cloud_errors.Throttled:
    error = cloud_errors.Throttled(
        action="AttachDisk", code="Throttling.User", status=400, message="slow down"
    )
    error.retry_after_s = retry_after_s
    return error


def refused() -> cloud_errors.CloudError:
    return cloud_errors.make(action="A", code="IncorrectDiskStatus", status=403, message="busy")


def no_answer() -> cloud_errors.CloudError:
    return cloud_errors.CloudUnavailable(action="A", code="NoAnswer", status=0, message="lost")


class Cloud:
    """Throttles while `busy`; notes when it was called."""

    def __init__(self, clock: virtual_clock.VirtualClock) -> None:
        self._clock = clock
        self.busy = True
        self.calls_at_s: list[float] = []
        self.running = 0
        self.most_running = 0

    async def attempt(self) -> str:
        self.calls_at_s.append(self._clock.now_s)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        if self.busy:
            raise throttled()
        return "done"


@pytest.fixture
def clock() -> virtual_clock.VirtualClock:
    return virtual_clock.VirtualClock()


@pytest.fixture
def gate(clock: virtual_clock.VirtualClock) -> throttle.Gate:
    return throttle.Throttle(clock, max_calls=MANY).gate("ecs:AttachDisk")


async def test_a_call_passes_an_open_gate_at_once(
    gate: throttle.Gate, clock: virtual_clock.VirtualClock
) -> None:
    cloud = Cloud(clock)
    cloud.busy = False

    assert await gate.run(cloud.attempt) == "done"
    assert clock.slept == []


async def test_the_back_off_doubles_from_one_second_to_ten(
    gate: throttle.Gate, clock: virtual_clock.VirtualClock
) -> None:
    cloud = Cloud(clock)
    running = asyncio.create_task(gate.run(cloud.attempt))

    await clock.advance(40)
    cloud.busy = False
    await clock.advance(10)

    assert await running == "done"
    assert cloud.calls_at_s == [0, 1, 3, 7, 15, 25, 35, 45]


async def test_exactly_one_of_many_probes_and_its_success_releases_all(
    gate: throttle.Gate, clock: virtual_clock.VirtualClock
) -> None:
    cloud = Cloud(clock)
    first = asyncio.create_task(gate.run(cloud.attempt))
    await virtual_clock.settle()
    others = [asyncio.create_task(gate.run(cloud.attempt)) for _ in range(20)]

    await clock.advance(3.5)
    probes = len(cloud.calls_at_s)
    cloud.busy = False
    await clock.advance(4)

    assert probes == 3
    assert await asyncio.gather(first, *others) == ["done"] * 21
    assert cloud.calls_at_s[3:] == [7.0] * 21


async def test_calls_that_were_under_way_when_the_gate_closed_do_not_double_the_back_off(
    gate: throttle.Gate, clock: virtual_clock.VirtualClock
) -> None:
    cloud = Cloud(clock)
    tasks = [asyncio.create_task(gate.run(cloud.attempt)) for _ in range(10)]

    await virtual_clock.settle()
    cloud.busy = False
    await clock.advance(1.0)

    assert await asyncio.gather(*tasks) == ["done"] * 10
    assert clock.now_s == 1.0


async def test_a_queue_for_slots_does_not_run_on_into_a_closed_gate(
    clock: virtual_clock.VirtualClock,
) -> None:
    gate = throttle.Throttle(clock, max_calls=2).gate("ecs:AttachDisk")
    cloud = Cloud(clock)
    tasks = [asyncio.create_task(gate.run(cloud.attempt)) for _ in range(50)]

    await virtual_clock.settle()
    calls_before_the_back_off = len(cloud.calls_at_s)
    cloud.busy = False
    await clock.advance(1.0)

    assert calls_before_the_back_off == 2
    assert await asyncio.gather(*tasks) == ["done"] * 50
    assert cloud.most_running <= 2


async def test_a_cancelled_caller_in_the_queue_never_calls(
    clock: virtual_clock.VirtualClock,
) -> None:
    gate = throttle.Throttle(clock, max_calls=1).gate("ecs:AttachDisk")
    hold = asyncio.Event()
    called: list[str] = []

    async def slow() -> None:
        called.append("slow")
        await hold.wait()

    async def late() -> None:
        called.append("late")

    first = asyncio.create_task(gate.run(slow))
    second = asyncio.create_task(gate.run(late))
    await virtual_clock.settle()
    second.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await second
    hold.set()
    await first

    assert called == ["slow"]


async def test_a_refusal_by_the_cloud_opens_the_gate(
    gate: throttle.Gate, clock: virtual_clock.VirtualClock
) -> None:
    answers = iter([throttled(), refused()])

    async def attempt() -> None:
        raise next(answers)

    running = asyncio.create_task(gate.run(attempt))
    await clock.advance(1)
    with pytest.raises(cloud_errors.CloudConflict):
        await running
    cloud = Cloud(clock)
    cloud.busy = False

    assert await gate.run(cloud.attempt) == "done"


async def test_a_lost_answer_does_not_open_the_gate_for_all(
    gate: throttle.Gate, clock: virtual_clock.VirtualClock
) -> None:
    answers = iter([throttled(), no_answer()])

    async def attempt() -> None:
        raise next(answers)

    running = asyncio.create_task(gate.run(attempt))
    await clock.advance(1)
    with pytest.raises(cloud_errors.CloudUnavailable):
        await running
    cloud = Cloud(clock)
    others = [asyncio.create_task(gate.run(cloud.attempt)) for _ in range(5)]
    await virtual_clock.settle()

    assert len(cloud.calls_at_s) == 1
    cloud.busy = False
    await clock.advance(30)
    await asyncio.gather(*others)


async def test_a_cancelled_probe_lets_another_probe(
    gate: throttle.Gate, clock: virtual_clock.VirtualClock
) -> None:
    answers = iter([throttled()])

    async def attempt() -> None:
        for answer in answers:
            raise answer
        await asyncio.Event().wait()

    probe = asyncio.create_task(gate.run(attempt))
    await clock.advance(1)
    cloud = Cloud(clock)
    cloud.busy = False
    other = asyncio.create_task(gate.run(cloud.attempt))
    await virtual_clock.settle()
    probe.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await probe
    await virtual_clock.settle()

    assert await other == "done"


async def test_what_the_api_asks_for_is_honoured(
    gate: throttle.Gate, clock: virtual_clock.VirtualClock
) -> None:
    answers = iter([throttled(retry_after_s=30.0)])
    called_at_s: list[float] = []

    async def attempt() -> str:
        called_at_s.append(clock.now_s)
        for answer in answers:
            raise answer
        return "done"

    running = asyncio.create_task(gate.run(attempt))
    await clock.advance(30)

    assert await running == "done"
    assert called_at_s == [0, 30]


async def test_a_caller_without_enough_time_is_told_at_once(
    gate: throttle.Gate, clock: virtual_clock.VirtualClock
) -> None:
    cloud = Cloud(clock)
    call.enter(call.Call(call_id="c", method="M", deadline_s=time.monotonic() + 0.5))

    with pytest.raises(cloud_errors.Throttled, match="slow down"):
        await gate.run(cloud.attempt)
    with pytest.raises(cloud_errors.Throttled, match="the time is up"):
        await gate.run(cloud.attempt)

    assert cloud.calls_at_s == [0]


async def test_actions_have_gates_of_their_own(clock: virtual_clock.VirtualClock) -> None:
    gates = throttle.Throttle(clock, max_calls=MANY)
    busy, idle = Cloud(clock), Cloud(clock)
    idle.busy = False
    waiting = asyncio.create_task(gates.gate("ecs:AttachDisk").run(busy.attempt))
    await virtual_clock.settle()

    assert await gates.gate("ecs:DeleteDisk").run(idle.attempt) == "done"
    assert gates.gate("ecs:AttachDisk") is gates.gate("ecs:AttachDisk")
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting


@settings(max_examples=60, deadline=None)
@given(
    busy_until_s=st.floats(0.5, 60),
    starts_s=st.lists(st.floats(0, 60), min_size=1, max_size=12),
)
def test_whenever_callers_come_all_get_through_and_probes_stay_apart(
    busy_until_s: float, starts_s: list[float]
) -> None:
    async def scenario() -> None:
        clock = virtual_clock.VirtualClock()
        gate = throttle.Throttle(clock, max_calls=8).gate("ecs:X")
        calls_at_s: list[float] = []

        async def attempt() -> None:
            calls_at_s.append(clock.now_s)
            if clock.now_s < busy_until_s:
                raise throttled()

        async def caller(start_s: float) -> None:
            await clock.sleep(start_s)
            await gate.run(attempt)

        tasks = [asyncio.create_task(caller(s)) for s in starts_s]
        await clock.advance(60 + busy_until_s + 2 * throttle.MAX_S)

        assert all(task.done() and task.exception() is None for task in tasks)
        refused_at_s = sorted({t for t in calls_at_s if t < busy_until_s})
        for one, next_one in itertools.pairwise(refused_at_s):
            assert next_one - one >= throttle.FIRST_S - 1e-9

    asyncio.run(scenario())
