"""Kubelet's directory seen at two paths: each mount is in the table twice, and has one user."""

import contextlib
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from csi.node import network_mounts
from host import looks, mountinfo, mounts
from tests.support import slow_fuse
from tests.support.doubled import doubled

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]
ENOUGH_S = 60


@pytest.fixture(params=["by another path", "bound to itself"])
def kubelet(tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> Iterator[pathlib.Path]:
    """The second is how a directory is made shared whose parent is not."""
    path = tmp_path / "kubelet"
    with doubled(path, onto_itself=request.param == "bound to itself"):
        yield path


@pytest.fixture
def umount_log(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Arguments of every umount(8)."""
    log, program = tmp_path / "log", tmp_path / "bin/umount"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >>{log}\nexec {shutil.which("umount")} "$@"\n')
    program.chmod(0o755)
    log.touch()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return log


def mounted(path: pathlib.Path) -> mountinfo.Mount:
    path.mkdir(parents=True)
    mounts.mount("volume", path, fs_type="tmpfs")
    return mountinfo.mounts_at(path)[-1]


def test_what_one_pod_has_is_in_the_table_twice_and_has_no_other_user(
    kubelet: pathlib.Path,
) -> None:
    there = mounted(kubelet / "pods/one/mount")
    alone = mountinfo.others_of(there)
    two = kubelet / "pods/two"
    two.mkdir()
    mounts.bind(there.mount_point, two, read_only=False)
    beside = mountinfo.others_of(there)

    assert len(mountinfo.mounts_of(there.device)) == 4
    assert alone == []
    assert [row.mount_point.rpartition("/pods/")[2] for row in beside] == ["two", "two"]


def test_a_copy_that_does_not_go_with_a_mount_is_another_user(
    kubelet: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    there = mounted(kubelet / "pods/one/mount")
    apart = tmp_path / "apart"
    apart.mkdir()
    mounts.mount(kubelet, apart, fs_type="none", options=["rbind"])
    with contextlib.ExitStack() as undo:
        undo.callback(subprocess.run, ["umount", "--recursive", apart], check=True)
        subprocess.run(["mount", "--make-rslave", apart], check=True)
        follows = mountinfo.others_of(there)
        subprocess.run(["mount", "--make-rprivate", apart], check=True)
        stays = mountinfo.others_of(there)
        mounts.unmount(there.mount_point)
        left = mountinfo.mounts_of(there.device)

    assert follows == []
    assert [row.mount_point for row in stays] == [f"{apart}/pods/one/mount"]
    assert left == stays, "the kernel took away what was counted as copies, and no more"


def test_a_file_system_that_hangs_is_forced_where_it_has_no_other_user(
    kubelet: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    nobody = tmp_path / "no.sock"
    (kubelet / "pods").mkdir()
    fuse = slow_fuse.SlowFuse(kubelet / "pods/mount")
    try:
        os.statvfs(fuse.path)  # what is silent then has been asked by the command
        fuse.answers.clear()
        waits = subprocess.Popen(["stat", "--file-system", fuse.path], stderr=subprocess.PIPE)
        assert fuse.silent.wait(ENOUGH_S)

        network_mounts.NetworkMounts(nobody, nobody, looks.Looks()).discard(fuse.path)
        _, said = waits.communicate(timeout=ENOUGH_S)
    finally:
        fuse.close()

    assert waits.returncode == 1, said
    assert not mounts.is_mount_point(fuse.path)


def test_what_another_pod_has_too_is_not_forced(
    kubelet: pathlib.Path, tmp_path: pathlib.Path, umount_log: pathlib.Path
) -> None:
    nobody = tmp_path / "no.sock"
    there = mounted(kubelet / "pods/one/mount")
    two = kubelet / "pods/two"
    two.mkdir()
    mounts.bind(there.mount_point, two, read_only=False)

    network_mounts.NetworkMounts(nobody, nobody, looks.Looks()).discard(two)

    assert "-l" in umount_log.read_text()
    assert "-f" not in umount_log.read_text()
    assert mounts.is_mount_point(there.mount_point)


def test_the_last_unmount_which_writes_back_is_not_done_in_our_process(
    kubelet: pathlib.Path, umount_log: pathlib.Path
) -> None:
    there = mounted(kubelet / "plugins/globalmount")
    target = kubelet / "mount"
    target.mkdir()
    mounts.bind(there.mount_point, target, read_only=False)

    mounts.unmount(target)
    by_call = umount_log.read_text()
    mounts.unmount(there.mount_point)

    assert by_call == "", "a bind waits for nothing"
    assert there.mount_point in umount_log.read_text()
    assert mountinfo.mounts_of(there.device) == []
