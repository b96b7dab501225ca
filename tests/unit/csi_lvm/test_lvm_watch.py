"""Work that is done again and again, on a clock that the test moves."""

from core import errors, executor
from csi.lvm import watch
from tests.fakes import virtual_clock


async def test_jobs_are_done_each_in_its_time_and_one_that_fails_is_tried_again() -> None:
    time = virtual_clock.VirtualClock()
    done: list[str] = []

    async def often() -> None:
        done.append("often")
        raise errors.Unavailable("a disk hangs")

    async def seldom() -> None:
        done.append("seldom")

    watching = watch.Watch(
        [
            watch.Job(name="often", interval_s=10.0, call=often),
            watch.Job(name="seldom", interval_s=60.0, call=seldom),
            watch.Job(name="never", interval_s=0.0, call=seldom),
        ],
        time,
        [executor.BoundedExecutor("test", 1)],
    )

    watching.start()
    watching.start()
    await time.advance(25.0)
    assert [done.count("often"), done.count("seldom")] == [3, 1]
    await time.advance(35.0)
    assert [done.count("often"), done.count("seldom")] == [7, 2]
    await watching.close()
    await time.advance(100.0)
    assert len(done) == 9
