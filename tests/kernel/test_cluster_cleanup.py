"""What `down` of a cluster does about loop devices that somebody keeps."""

import os
import pathlib
import subprocess

import pytest

from tests.support.cluster import cleanup, layout

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices"),
]


def test_a_loop_device_of_a_node_that_is_kept_open_is_told_and_goes_when_it_is_closed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "_DETACHED_S", 0.2)
    where = layout.Layout(state_dir=tmp_path / "cluster")
    file = where.home(layout.NODES[0]) / "local/volume.img"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(1 << 20))
    argv = ["losetup", "--find", "--show", str(file)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    kept = os.open(done.stdout.strip(), os.O_RDONLY)
    try:
        with pytest.raises(TimeoutError, match="loop devices of node-local volumes"):
            cleanup.clean(where)
        assert file.exists()
    finally:
        os.close(kept)
    monkeypatch.undo()
    cleanup.clean(where)
    assert not where.state_dir.exists()
