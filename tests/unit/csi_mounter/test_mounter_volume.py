"""Watching one volume, without a mount."""

import asyncio
import pathlib

import pytest

from core import metrics
from csi.mounter import credentials, fuse_mount, records, volume


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

    place = records.Place(tmp_path, tmp_path / "target")
    place.make()
    record = records.Record(
        volume_id="pv", source="bucket", target=tmp_path / "target", fs_type="s3fs", options=(),
        argv=("sleep", "100"), credential=credentials.Kind.NONE,
    )  # fmt: skip
    counter = metrics.Metrics().counter("restarts_total", "", ("cause",))
    watched = volume.Volume(record, place, volume.Limits(), environment={}, restarts=counter)
    watched._client = started = volume.client_process.start(record.argv, place.log, {})
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
