import asyncio

import pytest

from core import single_flight


async def test_those_who_ask_at_once_share_one_run_and_its_outcome() -> None:
    flight: single_flight.SingleFlight[int] = single_flight.SingleFlight("test")
    runs, may_end = [], asyncio.Event()

    async def work() -> int:
        runs.append(1)
        await may_end.wait()
        return len(runs)

    asked = [asyncio.create_task(flight.run("a", work)) for _ in range(3)]
    await asyncio.sleep(0)
    may_end.set()

    assert await asyncio.gather(*asked) == [1, 1, 1]
    assert await flight.run("a", work) == 2, "the next one runs anew"


async def test_other_keys_run_by_themselves_and_a_failure_is_everybodys() -> None:
    flight: single_flight.SingleFlight[str] = single_flight.SingleFlight("test")

    async def fail() -> str:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def work() -> str:
        return "well"

    failing = [asyncio.create_task(flight.run("a", fail)) for _ in range(2)]
    assert await flight.run("b", work) == "well"
    for each in failing:
        with pytest.raises(ValueError, match="no"):
            await each
    assert await flight.run("a", work) == "well"


async def test_who_gives_up_ends_nobody_elses_run() -> None:
    flight: single_flight.SingleFlight[str] = single_flight.SingleFlight("test")
    may_end = asyncio.Event()

    async def work() -> str:
        await may_end.wait()
        return "done"

    first = asyncio.create_task(flight.run("a", work))
    second = asyncio.create_task(flight.run("a", work))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    may_end.set()

    assert await second == "done"
    assert first.cancelled()


async def test_who_comes_after_the_end_gets_a_run_of_his_own() -> None:
    flight: single_flight.SingleFlight[int] = single_flight.SingleFlight("test")
    runs: list[int] = []

    async def work() -> int:
        runs.append(1)
        return len(runs)

    first = asyncio.create_task(flight.run("a", work))
    while not runs:
        await asyncio.sleep(0)
    (running,) = flight._running.values()
    while not running.done():
        await asyncio.sleep(0)

    assert await flight.run("a", work) == 2
    assert await first == 1


async def test_who_joins_waits_for_the_end_and_is_told_no_error() -> None:
    flight: single_flight.SingleFlight[None] = single_flight.SingleFlight("test")
    go_on = asyncio.Event()

    async def fail() -> None:
        await go_on.wait()
        raise ValueError

    asked = asyncio.create_task(flight.run("a", fail))
    await asyncio.sleep(0)
    joined = asyncio.create_task(flight.join("a"))
    await asyncio.sleep(0)
    assert not joined.done()
    go_on.set()

    await joined
    with pytest.raises(ValueError):
        await asked
    await flight.join("a")


async def test_close_ends_what_runs() -> None:
    flight: single_flight.SingleFlight[None] = single_flight.SingleFlight("test")
    asked = asyncio.create_task(flight.run("a", lambda: asyncio.sleep(60)))
    await asyncio.sleep(0)

    flight.close()

    with pytest.raises(asyncio.CancelledError):
        await asked
