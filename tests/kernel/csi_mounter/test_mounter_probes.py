"""Asking FUSE clients of which one hangs, so that even SIGKILL ends nobody who waits for it."""

import asyncio
import os
import pathlib
import select

import pytest

from csi.mounter import probes
from host import look_process
from tests.support import slow_fuse

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]
ENOUGH_S = 60.0


async def test_a_client_that_hangs_holds_up_no_other_and_leaves_no_process(
    tmp_path: pathlib.Path,
) -> None:
    pids: list[int] = []

    def start() -> look_process.LookProcess:
        made = look_process.LookProcess()
        pids.append(os.pidfd_open(made.pid))
        return made

    hanging, well = slow_fuse.SlowFuse(tmp_path / "a"), slow_fuse.SlowFuse(tmp_path / "b")
    probing = probes.Probes(start)
    try:
        before = await probing.answers(hanging.path, timeout_s=ENOUGH_S)
        hanging.answers.clear()
        silent = asyncio.create_task(probing.is_dead(hanging.path, timeout_s=1.0))
        await asyncio.to_thread(hanging.silent.wait, ENOUGH_S)
        meanwhile = [await probing.answers(well.path, timeout_s=ENOUGH_S) for _ in range(10)]
        assert not await silent
    finally:
        probing.close()
        hanging.close()
        well.close()

    assert before
    assert all(meanwhile)
    assert len(pids) == 2
    assert hanging.opened == well.opened == 0, "the storage behind a client is not asked"
    for pidfd in pids:  # it can be read when the process has ended
        assert select.select([pidfd], [], [], ENOUGH_S)[0]
        os.close(pidfd)


async def test_a_client_that_is_gone_is_dead(tmp_path: pathlib.Path) -> None:
    gone = slow_fuse.SlowFuse(tmp_path / "a")
    probing = probes.Probes()
    try:
        assert await probing.answers(gone.path, timeout_s=ENOUGH_S)
        gone.leave()
        assert await probing.is_dead(gone.path, timeout_s=ENOUGH_S)
        assert not await probing.answers(gone.path, timeout_s=ENOUGH_S)
    finally:
        probing.close()
        gone.close()
