"""What must not end the daemon: files that cannot be written for a while, parts that break."""

import asyncio
import json

import pytest

from core import clock, errors, metrics
from ipamd import readiness
from ipamd._pb import ipamd_pb2
from ipamd.api import pages
from ipamd.cni import conflist, pending_dels
from ipamd.pool import pool_state
from tests.fakes import virtual_clock
from tests.unit.ipamd.test_attachments_pods import Rig
from tests.unit.ipamd.test_pool import Told


class FakePool:
    state = pool_state.PoolState(cool_down_s=0.0)


async def test_a_configuration_that_cannot_be_written_is_written_once_it_can(tmp_path):
    cni_dir, told = tmp_path / "net.d", Told()
    cni_dir.write_text("in the way")

    class Clock(virtual_clock.VirtualClock):
        async def sleep(self, seconds):
            if cni_dir.is_file() and len(told.messages) == 3:
                cni_dir.unlink()
                cni_dir.mkdir()

    done = await conflist.offer(b"{}", cni_dir, is_wanted=lambda: True, time=Clock(), tell=told)

    assert done
    assert (cni_dir / conflist.FILE_NAME).read_bytes() == b"{}"
    assert "the node runs no pods" in told.messages[0]


async def test_a_daemon_that_stops_gives_the_configuration_up(tmp_path):
    done = await conflist.offer(
        b"{}", tmp_path, is_wanted=lambda: False, time=virtual_clock.VirtualClock(), tell=Told()
    )

    assert not done
    assert list(tmp_path.iterdir()) == []


async def test_a_configuration_that_somebody_removes_is_written_again_and_a_changed_one_left(
    tmp_path,
):
    time, told, ends = virtual_clock.VirtualClock(), Told(), []
    file = tmp_path / conflist.FILE_NAME
    conflist.write(b"{}", tmp_path)
    keeping = asyncio.create_task(
        conflist.keep(
            b"{}", tmp_path, is_wanted=lambda: not ends, time=time, tell=told, period_s=60.0
        )
    )

    file.write_bytes(b'{"changed": 1}')
    await time.advance(120.0)
    assert file.read_bytes() == b'{"changed": 1}'
    assert told.messages == []

    file.unlink()
    await time.advance(60.0)
    assert file.read_bytes() == b"{}"
    assert told.messages == [f"{file} was removed by somebody else; it is written again"]

    ends.append("draining")
    file.unlink()
    await time.advance(60.0)
    await keeping
    assert not file.exists()


async def test_a_part_that_broke_fails_the_liveness_probe():
    ready = readiness.Readiness(FakePool())
    page = pages.Pages(metrics.Metrics(), "{}")
    page.show(FakePool(), None, ready)

    async def breaks():
        raise KeyError("eni-1")

    async def ends():
        return

    async def alive():
        return (await page.routes()["/healthz"]()).status

    for work, name in ((ends, "daemon"), (breaks, "pool")):
        assert await alive() == 200
        task = asyncio.create_task(work(), name=name)
        task.add_done_callback(ready.note_end)
        await asyncio.wait({task})
        await asyncio.sleep(0)

    assert await alive() == 500
    assert "pool" in ready.broken


async def test_a_pending_del_whose_file_cannot_be_put_aside_does_not_stop_the_others(tmp_path):
    (tmp_path / "a:eth0.del").write_bytes(b"\xff")
    (tmp_path / "a:eth0.unreadable").mkdir()
    good = ipamd_pb2.CniRequest(container_id="b", ifname="eth0")
    (tmp_path / "b:eth0.del").write_bytes(good.SerializeToString())
    done = []

    class Service:
        async def Del(self, request, context):
            done.append(request.container_id)
            return ipamd_pb2.CniReply()

    await pending_dels.PendingDels(tmp_path, Service(), clock.SystemClock()).replay()

    assert done == ["b"]
    assert not (tmp_path / "b:eth0.del").exists()


async def test_what_was_put_aside_of_pending_dels_is_removed_after_a_week(tmp_path):
    time = virtual_clock.VirtualClock()

    class Service:
        async def Del(self, request, context):
            return ipamd_pb2.CniReply(exit_status=1, stdout=b'{"code": 7}')

    pending = pending_dels.PendingDels(tmp_path, Service(), time)
    request = ipamd_pb2.CniRequest(container_id="a", ifname="eth0").SerializeToString()
    (tmp_path / "a:eth0.del").write_bytes(request)
    (tmp_path / "b:eth0.del").write_bytes(b"\xff")
    (tmp_path / ".17.tmp").write_bytes(request)
    (tmp_path / "notes").write_text("somebody's")

    def names():
        return {path.name for path in tmp_path.iterdir()}

    def pass_after(age_s):
        newest_s = max(path.stat().st_ctime for path in tmp_path.iterdir())
        time.now_s += newest_s + age_s - time.now().timestamp()

    pass_after(3599)
    await pending.replay()
    await pending.replay()
    assert names() == {"a:eth0.refused", "b:eth0.unreadable", ".17.tmp", "notes"}

    pass_after(3601)
    await pending.replay()
    assert names() == {"a:eth0.refused", "b:eth0.unreadable", "notes"}

    pass_after(7 * 86400 + 1)
    await pending.replay()
    assert names() == {"notes"}


async def test_a_place_of_pending_dels_that_is_no_directory_is_told_and_passed_over(tmp_path):
    place = tmp_path / "pending-del"
    place.write_text("")

    class Service:
        async def Del(self, request, context):
            pytest.fail(json.dumps(request))

    await pending_dels.PendingDels(place, Service(), clock.SystemClock()).replay()


async def test_a_full_disk_keeps_no_pod_from_ending():
    rig = Rig()
    lease = await rig.add("web", "c1")

    async def full(*_, **__):
        raise errors.Unavailable("database or disk is full")

    rig.worker.end_lease = full

    assert await rig.end("c1")
    assert rig.leases == {}
    assert rig.pool.state.find(lease.key) is None
