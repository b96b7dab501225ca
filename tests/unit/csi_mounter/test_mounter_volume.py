"""Watching one volume, without a mount."""

import asyncio
import pathlib
import threading
from typing import Any

import pytest

from core import metrics
from csi.mounter import credentials, fuse_mount, probes, records, volume


def volume_at(target: pathlib.Path, work_dir: pathlib.Path) -> volume.Volume:
    place = records.Place(work_dir, target)
    place.make()
    record = records.Record(
        volume_id="pv", source="bucket", target=target, fs_type="s3fs", options=(),
        argv=("sleep", "100"), credential=credentials.Kind.NONE,
    )  # fmt: skip
    counter = metrics.Metrics().counter("restarts_total", "", ("cause",))
    return volume.Volume(
        record,
        place,
        volume.Limits(),
        work_dir=work_dir,
        probing=probes.Probes(),
        environment={},
        restarts=counter,
    )


async def test_a_fault_while_it_watches_does_not_end_the_watch(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[pathlib.Path] = []
    again = asyncio.Event()

    def mounted(target: pathlib.Path) -> None:
        asked.append(target)
        if len(asked) == 1:
            raise OSError("the table cannot be read")
        again.set()

    watched = volume_at(tmp_path / "target", tmp_path)
    argv, log = watched.record.argv, watched.place.log
    watched._client = started = volume.client_process.start(argv, log, {})
    monkeypatch.setattr(volume, "_BACKOFF_MIN_S", 0.01)
    monkeypatch.setattr(fuse_mount, "mounted", mounted)
    try:
        watched._watch()
        async with asyncio.timeout(20):
            await again.wait()
        assert watched._watcher is not None
        assert not watched._watcher.done()
    finally:
        await watched._stop_watching()
        await started.end(grace_s=0)


async def test_a_target_whose_way_hangs_holds_up_no_other_volume_when_it_is_healed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As below a directory of a server that is gone."""
    target = tmp_path / "elsewhere" / "mount"
    hangs, others_went_on = threading.Event(), threading.Event()
    really = pathlib.Path.mkdir

    def mkdir(path: pathlib.Path, *mode: int, **options: Any) -> None:
        if path == target:
            hangs.set()
            assert others_went_on.wait(20)
        really(path, *mode, **options)

    async def bring_up() -> None:
        assert target.is_dir()

    ill = volume_at(target, tmp_path / "work")
    monkeypatch.setattr(pathlib.Path, "mkdir", mkdir)
    monkeypatch.setattr(ill, "_bring_up", bring_up)

    healed = asyncio.create_task(ill._is_healed())
    while not hangs.is_set() and not healed.done():
        await asyncio.sleep(0)
    others_went_on.set()

    assert await healed
