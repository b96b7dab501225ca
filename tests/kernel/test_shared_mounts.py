"""Giving up one of several mounts of a file system, whose others somebody waits for.

A file system in memory stands for a server's; what forcing does to NFS is in tests/lab.
"""

import os
import pathlib
import shutil
from collections.abc import Iterator

import pytest

from csi.node import network_mounts
from host import looks, mounts

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]


@pytest.fixture
def umount_log(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Arguments of every umount(8)."""
    log, program = tmp_path / "log", tmp_path / "bin/umount"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >>{log}\nexec {shutil.which("umount")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return log


@pytest.fixture
def both(tmp_path: pathlib.Path) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """Two paths of one file system, each with a directory of its own."""
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        path.mkdir()
    mounts.mount("tmpfs", one, fs_type="tmpfs")
    mounts.bind(one, two, read_only=False)
    yield one, two
    for path in (two, one):
        mounts.ensure_unmounted(path)


def test_what_others_have_mounted_too_is_never_forced(
    both: tuple[pathlib.Path, pathlib.Path], umount_log: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    dead, alive = both
    nobody = tmp_path / "no.sock"

    network_mounts.NetworkMounts(nobody, nobody, looks.Looks()).discard(dead)
    first = umount_log.read_text().split()
    network_mounts.NetworkMounts(nobody, nobody, looks.Looks()).discard(alive)
    second = umount_log.read_text().split()[len(first) :]

    assert not mounts.is_mount_point(dead)
    assert not mounts.is_mount_point(alive)
    assert "-l" in first
    assert "-f" not in first
    assert "-f" in second, "the last one is forced, so that nothing waits for its server"
