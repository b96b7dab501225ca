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
