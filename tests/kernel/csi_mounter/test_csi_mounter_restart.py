"""What csi-mounter finds when it starts: clients, mounts and records of one that was killed."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from host import mountinfo
from tests.sim.conftest import KEY_ID, SECRET, Sim
from tests.sim.oss_harness import bucket
from tests.support import mounter, rpc

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root"),
]


def forget(node: mounter.MounterProcess) -> None:
    """Kill the mounter and lose its records."""
    node.stop(signal.SIGKILL)
    for record in (node.work_dir / ".mounter").glob("*/record.json"):
        record.unlink()


def test_a_client_that_still_writes_is_let_finish_by_the_next_mounter(
    cloud: Sim, node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount()
    pid = node.volume(target)["pid"]
    record = next((node.work_dir / ".mounter").glob("*/record.json"))
    script = f"f = open({str(target / 'late')!r}, 'w'); f.write('x' * 1000); input(); f.close()"
    writer = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, cwd="/")
    try:
        rpc.wait_until((target / "late").exists, timeout_s=10)
        # As after a kill between the unmount and the end of the client.
        node.stop(signal.SIGKILL)
        record.write_text(record.read_text().replace('"wanted": true', '"wanted": false'))
        subprocess.run(["umount", "-l", str(target)], check=True)
        node.start()
        assert not mounter.is_gone(pid)
        writer.communicate(b"\n", timeout=20)
    finally:
        writer.kill()
        writer.wait()

    assert writer.returncode == 0
    assert bucket(cloud).get_object("late").read() == b"x" * 1000
    rpc.wait_until(lambda: mounter.is_gone(pid), timeout_s=30)
    rpc.wait_until(lambda: node.ask("status")["volumes"] == [], timeout_s=10)


def test_a_dead_mount_without_a_record_is_removed(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount()
    pid = node.volume(target)["pid"]
    forget(node)
    os.kill(pid, signal.SIGKILL)
    rpc.wait_until(lambda: mounter.is_gone(pid), timeout_s=10)
    assert mountinfo.mounts_at(target)

    node.start()

    assert mountinfo.mounts_at(target) == []


def test_a_living_mount_without_a_record_is_replaced_when_its_volume_is_wanted_again(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount()
    pid = node.volume(target)["pid"]
    forget(node)
    bound = node.work_dir.parent / "pod"
    bound.mkdir()
    subprocess.run(["mount", "--bind", str(target), str(bound)], check=True)

    node.start()
    assert mount() == target

    (target / "a").write_text("x")
    assert (bound / "a").read_text() == "x"  # a pod that has the old one keeps it
    assert len(mountinfo.mounts_at(target)) == 1
    subprocess.run(["umount", str(bound)], check=True)
    rpc.wait_until(lambda: mounter.is_gone(pid), timeout_s=20)
    assert "error" not in node.ask("unmount", {"target": str(target)})


def test_a_mount_that_another_mounter_serves_is_left_alone(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    target = node.work_dir / "volume" / "globalmount"
    target.mkdir(parents=True)
    # A FUSE pod of the reference has its socket beside its mount.
    other = mounter.MounterProcess(tmp_path / "other")
    other.serve(target.parent / "mounter.sock", allow=node.work_dir)
    try:
        mount("volume/globalmount", ask=other.ask)
        forget(node)
        node.start()

        assert mountinfo.mounts_at(target)
        mount("volume/globalmount", error="something else is mounted")
    finally:
        other.close()


def test_records_and_credentials_are_in_memory_and_go_with_the_last_volume(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount()
    state = node.work_dir / ".mounter"
    above = [row for row in mountinfo.read() if state.is_relative_to(row.mount_point)]
    kept = max(above, key=lambda row: len(row.mount_point))

    assert kept.fs_type == "tmpfs"
    assert {"nodev", "nosuid", "noexec"} <= set(kept.options)
    assert state.stat().st_mode & 0o777 == 0o700
    node.stop(signal.SIGTERM)
    node.start()
    assert node.volume(target)["restarts"] == 0
    assert "error" not in node.ask("unmount", {"target": str(target)})
    node.stop(signal.SIGTERM)
    assert mountinfo.mounts_at(state) == []
    assert list(state.iterdir()) == []


def test_newer_credentials_are_kept_that_come_while_the_first_request_waits(
    cloud: Sim, node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    newer = f"{mounter.BUCKET}:{KEY_ID}:{SECRET}\n"
    os.kill(cloud.pid, signal.SIGSTOP)
    try:
        first = rpc.Running(mount)
        rpc.wait_until(lambda: bool(node.client_pids()), timeout_s=10)
        second = rpc.Running(lambda: mount(secrets={"passwd-s3fs": newer}))
        other = rpc.Running(lambda: mount(source="other", error="unmount it first"))
    finally:
        os.kill(cloud.pid, signal.SIGCONT)
    for asked in (first, second, other):
        asked.join()
        assert asked.result is not None

    files = list((node.work_dir / ".mounter").glob("*/credentials/passwd-s3fs"))
    assert [path.read_text() for path in files] == [newer]


def children(pid: int) -> list[int]:
    """Child processes of *pid*, zombies too."""
    return [
        int(path.parent.name)
        for path in pathlib.Path("/proc").glob("[0-9]*/stat")
        if (text := mounter.text_of(path)) and int(text.rpartition(")")[2].split()[1]) == pid
    ]


def test_in_a_container_no_client_ends_with_the_mounter(
    cloud: Sim, tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> None:
    node = mounter.MounterProcess(tmp_path, "--probe-interval", "1s", "--keep")
    node.start()

    def end() -> None:
        left = children(node.pid)
        node.close()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    request.addfinalizer(end)
    target = node.work_dir / "mnt"
    body = {
        "source": mounter.BUCKET, "target": str(target), "fstype": "s3fs", "volumeID": "pv",
        "options": [f"url=http://{cloud.endpoint}", "use_path_request_style"],
        "secrets": {"passwd-s3fs": f"{mounter.BUCKET}:{KEY_ID}:{SECRET}"},
    }  # fmt: skip
    assert "error" not in node.ask("mount", body)
    (target / "a").write_text("kept")
    client = node.volume(target)["pid"]
    (first,) = children(node.pid)

    os.kill(first, signal.SIGKILL)
    rpc.wait_until(lambda: client in children(node.pid), timeout_s=10)
    node.wait_ready(again=True)

    assert (node.volume(target)["pid"], node.volume(target)["restarts"]) == (client, 0)
    assert (target / "a").read_text() == "kept"
    os.kill(client, signal.SIGKILL)
    rpc.wait_until(lambda: mounter.is_gone(client), timeout_s=10)
    rpc.wait_until(lambda: node.volume(target)["restarts"] == 1, timeout_s=20)
    rpc.wait_until(lambda: node.volume(target)["state"] == "mounted", timeout_s=20)
    assert "error" not in node.ask("unmount", {"target": str(target)})
    assert node.stop(signal.SIGTERM) == 0
    assert mountinfo.mounts_at(node.work_dir / ".mounter") == []


def test_wrong_usage_is_not_tried_again(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "csi.mounter", "--keep", "--timeout", "never"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 2
    assert "is not a duration" in done.stderr


def test_a_mounter_whose_log_nobody_reads_any_more_goes_on(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    node.stop(signal.SIGTERM)
    with node.piped():  # as under a csi-plugin that started it, and has ended
        target = mount()
        (target / "a").write_text("kept")

        os.kill(node.volume(target)["pid"], signal.SIGKILL)
        rpc.wait_until(lambda: node.volume(target)["restarts"] == 1, timeout_s=20)
        rpc.wait_until(lambda: node.volume(target)["state"] == "mounted", timeout_s=20)

        assert (target / "a").read_text() == "kept"
