"""csi-mounter with Debian's s3fs on the running kernel, against the simulated object storage."""

import os
import pathlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent import futures

import pytest
from alibabacloud_sts20150401 import models as sts_models

from host import mountinfo
from tests.sim.conftest import SECRET, Sim
from tests.support import mounter, rpc

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root"),
]


def test_g45_a_client_is_used_again_and_goes_without_a_trace(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount()
    assert mount() == target

    (target / "a").write_text("hello")
    told = node.volume(target)
    assert (told["state"], told["volumeID"], told["restarts"]) == ("mounted", "pv-mnt", 0)
    assert len(mountinfo.mounts_at(target)) == 1
    assert "error" not in node.ask("unmount", {"target": str(target)})

    assert node.ask("status")["volumes"] == []
    assert mountinfo.mounts_at(target) == []
    rpc.wait_until(lambda: mounter.is_gone(told["pid"]), timeout_s=10)
    assert list((node.work_dir / ".mounter").glob("*/")) == []
    again = node.ask("unmount", {"target": str(target)})
    assert again["error"] == "target not managed by mount broker"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_client_that_dies_or_hangs_is_started_again(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path], number: signal.Signals
) -> None:
    target = mount()
    (target / "kept").write_text("x")
    pid = node.volume(target)["pid"]

    os.kill(pid, number)
    rpc.wait_until(lambda: node.volume(target)["restarts"] == 1, timeout_s=20)
    rpc.wait_until(lambda: node.volume(target)["state"] == "mounted", timeout_s=20)

    told = node.volume(target)
    assert told["pid"] != pid
    assert "ended" in told["reason"] or "did not answer" in told["reason"]
    assert (target / "kept").read_text() == "x"
    assert mounter.is_gone(pid)


def test_a_mount_that_somebody_removed_comes_back(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount()

    subprocess.run(["umount", str(target)], check=True)
    target.rmdir()

    rpc.wait_until(lambda: node.volume(target)["restarts"] == 1, timeout_s=20)
    rpc.wait_until(lambda: os.path.ismount(target), timeout_s=20)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_clients_outlive_the_mounter_and_the_next_one_adopts_them(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path], number: signal.Signals
) -> None:
    target = mount()
    before = node.volume(target)

    with (target / "written").open("w") as file:
        file.write("across the restart")
        node.stop(number)
        node.start()
    after = node.volume(target)

    assert (after["pid"], after["restarts"]) == (before["pid"], 0)
    assert (target / "written").read_text() == "across the restart"
    os.kill(after["pid"], signal.SIGKILL)
    rpc.wait_until(lambda: node.volume(target)["restarts"] == 1, timeout_s=20)
    rpc.wait_until(lambda: node.volume(target)["state"] == "mounted", timeout_s=20)
    assert "error" not in node.ask("unmount", {"target": str(target)})


def test_g45_a_client_that_died_while_no_mounter_ran_is_started_again(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount()
    pid = node.volume(target)["pid"]
    (target / "kept").write_text("x")
    node.stop(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)

    node.start()
    rpc.wait_until(lambda: node.volume(target)["state"] == "mounted", timeout_s=20)

    assert (target / "kept").read_text() == "x"
    assert node.volume(target)["restarts"] == 1


def test_what_cannot_be_mounted_says_why_and_leaves_nothing(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount(source="no-such-bucket", error="s3fs cannot mount no-such-bucket")
    mount(fstype="ossfs", error="ossfs is not installed")
    mount(fstype="nfs", error="allowed: ossfs, ossfs2, s3fs")
    mount(target="/etc/x", error="target '/etc/x' is not allowed")
    mount(options=["passwd_file=/etc/shadow"], error="the mounter decides")
    mount(options=["a,use_session_token"], error="not a single word")
    mount(secrets={"passwd-s3fs": ""}, error="secrets[passwd-s3fs] is empty")

    assert node.ask("status")["volumes"] == []
    assert mountinfo.mounts_at(target) == []
    assert list((node.work_dir / ".mounter").glob("*/")) == []
    assert node.client_pids() == []


def test_other_options_at_the_same_target_are_refused(
    mount: Callable[..., pathlib.Path], cloud: Sim
) -> None:
    mount()

    mount(options=[f"url=http://{cloud.endpoint}", "ro"], error="unmount it first")


def test_a_mount_in_use_is_not_removed(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount()
    user = subprocess.Popen(["sleep", "60"], cwd=target)
    try:
        assert "in use" in node.ask("unmount", {"target": str(target)})["error"]
        assert node.volume(target)["state"] == "mounted"
    finally:
        user.kill()
        user.wait()
    assert "error" not in node.ask("unmount", {"target": str(target)})


def test_a_mounter_that_is_killed_while_it_unmounts_finishes_at_its_next_start(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount()
    record = next((node.work_dir / ".mounter").glob("*/record.json"))
    node.stop(signal.SIGKILL)
    record.write_text(record.read_text().replace('"wanted": true', '"wanted": false'))

    node.start()
    rpc.wait_until(lambda: node.ask("status")["volumes"] == [], timeout_s=10)

    assert mountinfo.mounts_at(target) == []
    assert node.client_pids() == []


def test_no_secret_is_anywhere_but_in_its_file(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount()
    client = node.volume(target)["pid"]
    node.exchange(b'{"header":{"method":"mount"},"body":{"secrets":"%s"' % SECRET.encode() + b"\n")

    for pid in (node.pid, client):
        for name in ("environ", "cmdline"):
            assert SECRET.encode() not in pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    holders = [
        path
        for path in node.work_dir.parent.rglob("*")
        if path.is_file() and not path.is_relative_to(target)
        and SECRET.encode() in path.read_bytes()
    ]  # fmt: skip
    assert [path.name for path in holders] == ["passwd-s3fs"]
    assert holders[0].stat().st_mode & 0o777 == 0o600
    assert holders[0].parent.stat().st_mode & 0o777 == 0o700
    assert node.socket.stat().st_mode & 0o777 == 0o600


def test_only_one_mounter_serves_a_socket(node: mounter.MounterProcess) -> None:
    second = mounter.MounterProcess(node.work_dir.parent)

    with pytest.raises(AssertionError, match="another csi-mounter serves"):
        second.start()


def test_a_storage_that_is_away_for_a_while_disturbs_no_mount(
    cloud: Sim, node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount()
    (target / "a").write_text("x")
    pid = node.volume(target)["pid"]

    os.kill(cloud.pid, signal.SIGSTOP)
    try:
        time.sleep(6)
    finally:
        os.kill(cloud.pid, signal.SIGCONT)

    assert (target / "a").read_text() == "x"
    assert node.volume(target)["pid"] == pid


def test_g45_the_same_request_many_times_at_once_is_one_client(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    with futures.ThreadPoolExecutor(8) as pool:
        targets = list(pool.map(lambda _: mount(), range(8)))

    assert len(mountinfo.mounts_at(targets[0])) == 1
    assert len(node.client_pids()) == 1


def test_g45_a_client_that_is_not_ready_in_time_is_ended_and_leaves_nothing(
    cloud: Sim, node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    os.kill(cloud.pid, signal.SIGSTOP)
    try:
        target = mount(error="did not mount simulated-bucket within 10 s")
    finally:
        os.kill(cloud.pid, signal.SIGCONT)

    assert mountinfo.mounts_at(target) == []
    assert node.client_pids() == []
    assert node.ask("status")["volumes"] == []


def test_g45_what_a_crash_left_half_made_is_removed(
    node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    half = node.work_dir / ".mounter" / "half-made"
    node.stop(signal.SIGKILL)
    (half / "credentials").mkdir(parents=True)
    (half / "credentials" / "passwd-s3fs").write_text("a:b:c")

    node.start()

    assert not half.exists()


def test_a_volume_is_unmounted_while_it_is_being_healed(
    cloud: Sim, node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    target = mount()
    os.kill(cloud.pid, signal.SIGSTOP)
    try:
        os.kill(node.volume(target)["pid"], signal.SIGKILL)
        rpc.wait_until(lambda: node.volume(target)["state"] == "healing", timeout_s=20)
        # Nothing is waited for: the client's grace time is longer than this.
        assert "error" not in node.ask("unmount", {"target": str(target)}, timeout_s=15)
    finally:
        os.kill(cloud.pid, signal.SIGCONT)

    assert mountinfo.mounts_at(target) == []
    assert node.client_pids() == []


def test_a_client_whose_token_port_was_taken_is_started_again(
    cloud: Sim, node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    ask = sts_models.AssumeRoleRequest(
        role_arn="acs:ram::1234567890123456:role/csi-admin",
        role_session_name="test",
        duration_seconds=900,
    )
    given = cloud.sts().assume_role(ask).body.credentials
    token = {
        "AccessKeyId": given.access_key_id, "AccessKeySecret": given.access_key_secret,
        "SecurityToken": given.security_token, "Expiration": given.expiration,
    }  # fmt: skip
    target = mount(secrets=token)
    (target / "a").write_text("x")
    state = node.work_dir / ".mounter"
    port = int((state / "token-server.port").read_text())
    path = next(state.glob("*/credentials/path")).read_text()
    node.stop(signal.SIGKILL)

    with socket.create_server(("127.0.0.1", port)):
        node.start()
        rpc.wait_until(lambda: node.volume(target)["restarts"] == 1, timeout_s=20)
        rpc.wait_until(lambda: node.volume(target)["state"] == "mounted", timeout_s=20)

    assert (target / "a").read_text() == "x"
    assert next(state.glob("*/credentials/path")).read_text() != path


def test_another_kind_of_credential_needs_another_mount(
    mount: Callable[..., pathlib.Path],
) -> None:
    mount()
    token = dict.fromkeys(
        ("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"), "something"
    )

    mount(secrets=token, error="another kind of credential")


def test_a_mount_that_is_not_ready_yet_can_be_given_up(
    cloud: Sim, node: mounter.MounterProcess, mount: Callable[..., pathlib.Path]
) -> None:
    os.kill(cloud.pid, signal.SIGSTOP)
    try:
        with futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(mount, error="s3fs cannot mount")
            rpc.wait_until(lambda: bool(node.client_pids()), timeout_s=10)
            target = node.work_dir / "mnt"
            assert "error" not in node.ask("unmount", {"target": str(target)}, timeout_s=8)
            asked.result()
    finally:
        os.kill(cloud.pid, signal.SIGCONT)

    assert node.ask("status")["volumes"] == []
    assert mountinfo.mounts_at(target) == []
    assert node.client_pids() == []
