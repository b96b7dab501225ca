"""Modes in the background, loop devices that free themselves, and what is left of a killed process.

A directory in memory stands for the mounted volume; NFS itself is in tests/lab.
"""

import fcntl
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from core import errors
from csi.nas.node import modes
from csi.nas.node import settings as node_settings
from host import loop, loop_lease, mounts, run

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts and loop devices"),
]

MANY = 60_000
LIMIT_S = 30.0


@pytest.fixture
def work_dir(tmp_path):
    return tmp_path / "work"


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / "volume"
    path.mkdir()
    mounts.mount("tmpfs", path, fs_type="tmpfs", options=("mode=0700",))
    yield path
    mounts.ensure_unmounted(path)


@pytest.fixture
def changing(work_dir):
    made = modes.Modes(work_dir)
    yield made
    made.close()


def mode_of(path):
    return path.lstat().st_mode & 0o7777


def fill(path, count):
    for i in range(count):
        (path / str(i)).touch(mode=0o600)


def wait_until(told):
    until_s = time.monotonic() + LIMIT_S
    while not told():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_only_the_directory_when_not_recursive(changing, volume, work_dir):
    fill(volume, 1)

    changing.set(volume, 0o751, recursive=False)

    assert mode_of(volume) == 0o751
    assert mode_of(volume / "0") == 0o600
    assert not work_dir.exists()


def test_all_below_but_nothing_behind_a_link(changing, volume, work_dir, tmp_path):
    outside = tmp_path / "outside"
    (outside / "a").mkdir(parents=True)
    outside.chmod(0o700)
    (volume / "link").symlink_to(outside)
    (volume / "a/b").mkdir(parents=True)
    fill(volume / "a/b", 2)

    changing.set(volume, 0o755, recursive=True)

    assert {mode_of(p) for p in (volume, volume / "a", volume / "a/b/1")} == {0o755}
    assert mode_of(outside) == 0o700
    assert list(work_dir.iterdir()) == []


@pytest.fixture
def slow(monkeypatch):
    """A publish that waits for nothing."""
    monkeypatch.setattr(node_settings, "MODE_WAIT_S", 0.0)


@pytest.mark.usefixtures("slow")
def test_a_long_change_goes_on_in_the_background(changing, volume, work_dir):
    fill(volume, MANY)
    started_s = time.monotonic()

    changing.set(volume, 0o755, recursive=True)
    took_s = time.monotonic() - started_s
    noted = [json.loads(path.read_text()) for path in work_dir.iterdir()]
    wait_until(lambda: not list(work_dir.iterdir()))

    assert took_s < 1
    assert noted == [{"path": str(volume), "mode": 0o755, "recursive": True}]
    assert mode_of(volume / str(MANY - 1)) == 0o755


@pytest.mark.usefixtures("slow")
def test_an_unpublish_ends_it_so_that_the_volume_can_be_unmounted(changing, volume, work_dir):
    fill(volume, MANY)
    changing.set(volume, 0o755, recursive=True)

    changing.stop(volume)
    mounts.unmount(volume)

    assert list(work_dir.iterdir()) == []


@pytest.mark.usefixtures("slow")
def test_a_shutdown_cuts_it_off_and_the_next_process_goes_on(volume, work_dir):
    fill(volume, MANY)
    first = modes.Modes(work_dir)
    first.set(volume, 0o755, recursive=True)
    first.close()
    cut_off = len(list(work_dir.iterdir()))
    with pytest.raises(errors.Unavailable):
        first.set(volume, 0o755, recursive=True)

    second = modes.Modes(work_dir)
    second.resume()
    wait_until(lambda: not list(work_dir.iterdir()))
    second.close()

    assert cut_off == 1
    assert all(mode_of(path) == 0o755 for path in volume.iterdir())


@pytest.mark.parametrize("recursive", [False, True])
def test_killed_between_a_mount_and_its_mode_the_next_process_sets_it(volume, work_dir, recursive):
    fill(volume, 1)
    killed = modes.Modes(work_dir)
    killed.announce(volume, 0o751, recursive=recursive)

    started = modes.Modes(work_dir)
    started.resume()
    wait_until(lambda: not list(work_dir.iterdir()))
    started.close()

    assert mode_of(volume) == 0o751
    assert mode_of(volume / "0") == (0o751 if recursive else 0o600)


def test_a_note_of_an_earlier_version_is_of_a_recursive_change(volume, work_dir):
    fill(volume, 1)
    work_dir.mkdir()
    (work_dir / "mode-0.json").write_text(json.dumps({"path": str(volume), "mode": 0o751}))

    started = modes.Modes(work_dir)
    started.resume()
    wait_until(lambda: mode_of(volume / "0") == 0o751)
    started.close()


def test_notes_of_volumes_that_are_gone_and_broken_notes_are_removed(changing, work_dir):
    work_dir.mkdir()
    (work_dir / "mode-a.json").write_text(json.dumps({"path": "/nowhere", "mode": 1}))
    (work_dir / "mode-b.json").write_text("{")

    changing.resume()

    assert list(work_dir.iterdir()) == []


@pytest.fixture
def image(tmp_path):
    file = tmp_path / "image"
    with file.open("wb") as f:
        f.truncate(32 << 20)
    run.run(["mkfs.ext4", "-q", "-F", str(file)], timeout_s=60)
    return file


def test_a_loop_device_keeps_the_lock_of_its_file_until_its_last_unmount(image, volume):
    with (
        loop_lease.opened(image, read_only=False, lock=True) as fd,
        loop_lease.attached(fd, image, read_only=False) as device,
    ):
        mounts.mount(device, volume, fs_type="ext4")
    assert loop_lease.backing_file(str(device)) == image
    with pytest.raises(loop_lease.LockHeld), loop_lease.opened(image, read_only=True, lock=True):
        pass

    mounts.unmount(volume)

    wait_until(lambda: loop.find(image) is None)
    with loop_lease.opened(image, read_only=True, lock=True):
        pass


def test_a_loop_device_grows_with_its_file_and_can_be_for_readers(image, volume):
    with (
        loop_lease.opened(image, read_only=True, lock=False) as fd,
        loop_lease.attached(fd, image, read_only=True) as device,
    ):
        os.truncate(image, 48 << 20)
        loop_lease.grow(device)
        size = int(pathlib.Path(f"/sys/block/{device.name}/size").read_text()) * 512
        read_only = pathlib.Path(f"/sys/block/{device.name}/ro").read_text().strip()

    assert size == 48 << 20
    assert read_only == "1"
    assert loop.find(image) is None


def test_a_process_killed_between_attach_and_mount_leaves_no_loop_device(image):
    script = (
        "import sys, pathlib, time; from host import loop_lease as L\n"
        "p = pathlib.Path(sys.argv[1])\n"
        "with L.opened(p, read_only=False, lock=True) as fd, L.attached(fd, p, read_only=False):\n"
        "    print('attached', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(image)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "attached\n"
        attached = loop.find(image)
        process.kill()

    assert attached is not None
    wait_until(lambda: loop.find(image) is None)
    with image.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
