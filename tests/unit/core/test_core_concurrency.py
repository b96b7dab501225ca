import asyncio
import threading

import pytest

from core import errors, executor, keyed_lock


def test_a_held_key_is_busy_at_once_and_free_afterwards():
    locks = keyed_lock.KeyedLock()

    with locks.hold("d-1"), pytest.raises(errors.Busy, match="d-1"), locks.hold("d-2", "d-1"):
        pass

    with locks.hold("d-1", "d-2"):
        pass


async def test_a_cancelled_caller_keeps_its_locks_until_its_blocking_call_has_ended():
    pool, locks = executor.BoundedExecutor("test", 1), keyed_lock.KeyedLock()
    running, release = threading.Event(), threading.Event()

    def block():
        running.set()
        release.wait(10)

    async def work():
        with locks.hold("d-1"):
            await pool.run(block)

    task = asyncio.create_task(work())
    await asyncio.to_thread(running.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    with pytest.raises(errors.Busy), locks.hold("d-1"):
        pass
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    with locks.hold("d-1"):
        pass
    pool.close()


async def test_run_within_gives_up_on_a_call_that_hangs():
    pool, release = executor.BoundedExecutor("statfs", 1), threading.Event()

    with pytest.raises(errors.DeadlineExceeded, match="statfs"):
        await pool.run_within(0.01, release.wait, 10)

    release.set()
    pool.close()


async def test_a_cancelled_caller_takes_back_a_call_that_waits_for_a_thread():
    pool, release, ran = executor.BoundedExecutor("test", 1), threading.Event(), []
    first = asyncio.create_task(pool.run(release.wait, 10))
    second = asyncio.create_task(pool.run(ran.append, 1))
    await asyncio.sleep(0.05)

    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(second, 1)
    release.set()
    await first
    await pool.run(lambda: None)

    assert ran == []
    pool.close()


def threads_of(name: str) -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith(name)]


async def test_pools_of_keys_that_are_done_with_leave_no_threads():
    pools, release = executor.ExecutorPerKey("per-key", 4), threading.Event()
    busy = asyncio.create_task(pools.of("busy").run(release.wait, 10))
    await asyncio.sleep(0)

    for n in range(200):
        assert await pools.of(f"server-{n}").run(lambda: n) == n  # noqa: B023  # called at once
    kept = executor._KEPT
    async with asyncio.timeout(10):
        while len(threads_of("per-key")) > kept:  # a closed pool's thread ends in its own time
            await asyncio.sleep(0.01)
    still = [name for name in threads_of("per-key") if "busy" in name]
    release.set()

    assert await busy, "a pool that works is not closed"
    assert still
    assert await pools.of("server-199").run(lambda: "again") == "again"
    assert await pools.of("server-0").run(lambda: "anew") == "anew"
    pools.close()


async def test_a_pool_is_idle_when_its_calls_have_ended():
    pool, release = executor.BoundedExecutor("test", 1), threading.Event()
    first = asyncio.create_task(pool.run(release.wait, 10))
    second = asyncio.create_task(pool.run(lambda: None))
    await asyncio.sleep(0.05)
    worked = pool.idle
    second.cancel()
    release.set()
    await asyncio.gather(first, second, return_exceptions=True)

    assert not worked
    assert pool.idle
    pool.close()
