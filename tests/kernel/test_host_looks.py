"""Looks into FUSE mounts of which one hangs, so that even SIGKILL ends nobody who waits for it."""

import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from host import looks, mounts, nfs
from tests.support import rpc, slow_fuse

pytestmark = pytest.mark.kernel


@pytest.fixture
def two(tmp_path: pathlib.Path) -> Iterator[tuple[slow_fuse.SlowFuse, slow_fuse.SlowFuse]]:
    hanging, well = slow_fuse.SlowFuse(tmp_path / "a"), slow_fuse.SlowFuse(tmp_path / "b")
    try:
        yield hanging, well
    finally:
        hanging.close()
        well.close()


@pytest.fixture
def looking() -> Iterator[looks.Looks]:
    made = looks.Looks()
    yield made
    made.close()


def test_a_mount_that_hangs_keeps_one_process_and_holds_no_other_mount_up(
    two: tuple[slow_fuse.SlowFuse, slow_fuse.SlowFuse],
    looking: looks.Looks,
    tmp_path: pathlib.Path,
) -> None:
    hanging, well = two
    bound = tmp_path / "bound"
    bound.mkdir()
    mounts.bind(hanging.path, bound, read_only=False)
    before = looking.usage(hanging.path, timeout_s=60)

    hanging.answers.clear()
    with pytest.raises(nfs.SilentMount, match=r"within 0.5 s"):
        looking.usage(hanging.path, timeout_s=0.5)
    for path in (hanging.path, bound):
        with pytest.raises(nfs.SilentMount, match="an earlier question still hangs"):
            looking.usage(path, timeout_s=60)
    meanwhile = looking.usage(well.path, timeout_s=60)
    ((_, stuck),) = looking._stuck.items()

    hanging.answers.set()
    rpc.wait_until(stuck.is_gone, timeout_s=60)
    after = looking.usage(bound, timeout_s=60)
    mounts.detach(bound)

    total = slow_fuse.BLOCKS * slow_fuse.BLOCK_BYTES
    assert before == meanwhile == after
    assert before.total_bytes == total
    assert before.available_bytes == slow_fuse.FREE * slow_fuse.BLOCK_BYTES


def test_a_client_that_is_gone_is_told_as_broken(
    two: tuple[slow_fuse.SlowFuse, slow_fuse.SlowFuse],
    looking: looks.Looks,
    tmp_path: pathlib.Path,
) -> None:
    gone, _ = two
    control = tmp_path / "control"
    control.mkdir()
    minor = os.minor(gone.path.stat().st_dev)
    subprocess.run(["mount", "-t", "fusectl", "none", control], check=True)
    try:
        (control / str(minor) / "abort").write_text("1")
    finally:
        subprocess.run(["umount", control], check=True)

    with pytest.raises(nfs.BrokenMount, match="not connected"):
        looking.usage(gone.path, timeout_s=60)


def test_a_file_system_that_shut_down_is_told_as_broken(
    tmp_path: pathlib.Path, looking: looks.Looks
) -> None:
    image, target = tmp_path / "image", tmp_path / "mount"
    target.mkdir()
    with image.open("wb") as file:
        file.truncate(320 << 20)
    subprocess.run(["mkfs.xfs", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, target], check=True)
    try:
        looking.usage(target, timeout_s=60)
        subprocess.run(["xfs_io", "-x", "-c", "shutdown", target], check=True)
        with pytest.raises(nfs.BrokenMount, match="Input/output error"):
            looking.usage(target, timeout_s=60)
    finally:
        subprocess.run(["umount", target], check=True)
