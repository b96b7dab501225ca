"""Two requests at once get no more room of a directory than it has."""

import os
import pathlib
import threading

import pytest

from core import errors
from core import settings as core_settings
from csi.lvm import model, params, settings
from csi.lvm.stores import loop_files, records

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for notes on files"),
]
MIB = 1 << 20


def wish(name: str) -> model.VolumeWish:
    return model.VolumeWish(
        name=name,
        volume_id=name,
        required_bytes=600 * MIB,
        limit_bytes=0,
        parameters=params.Parameters(volume_type=params.VolumeType.LOOP_DEVICE),
    )


def test_two_files_at_once_keep_to_the_budget(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {
        "LOCAL_SPARSE_TEMPLATE_FILEDIR": str(tmp_path),
        "LOCAL_SPARSE_TOTAL_AVAILABLE_GI": "1",
    }
    config = settings.read(core_settings.Reader(told))
    # As when one process serves the older name too.
    files, others = loop_files.LoopFiles(config), loop_files.LoopFiles(config)
    refused: list[errors.Exhausted] = []

    def create_second() -> None:
        try:
            others.create(wish("pvc-2"))
        except errors.Exhausted as e:
            refused.append(e)

    second = threading.Thread(target=create_second)
    write = records.write

    def write_slowly(path: pathlib.Path, record: records.Record) -> None:
        """The first file is not there yet while the second request comes."""
        if path.name.startswith("pvc-1"):
            second.start()
            second.join(timeout=0.5)
        write(path, record)

    monkeypatch.setattr(records, "write", write_slowly)

    files.create(wish("pvc-1"))
    second.join()

    assert [volume.volume_id for volume in files.listed()] == ["pvc-1"]
    assert len(refused) == 1
