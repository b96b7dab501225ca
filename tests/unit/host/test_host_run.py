import os
import pathlib
import time

import pytest

from core import errors
from host import mounts, run


def test_a_command_gets_its_arguments_as_they_are():
    result = run.run(["printf", "%s|", "a b", "$(id)", "; rm"], timeout_s=10)

    assert result.stdout == "a b|$(id)|; rm|"


def test_variables_come_beside_our_own(monkeypatch):
    monkeypatch.setenv("OURS", "kept")
    words = ["sh", "-c", 'echo "$OURS $MORE $LC_ALL"']

    assert run.run(words, timeout_s=5, environment={"MORE": "given"}).stdout == "kept given C\n"
    assert run.run(words, timeout_s=5).stdout == "kept  C\n"


def test_stdin_is_passed_on_and_output_is_bounded():
    result = run.run(["cat"], timeout_s=10, stdin=b"x" * 200_000)

    assert len(result.stdout) == 64 * 1024


def test_a_failure_tells_command_status_and_what_it_said():
    with pytest.raises(run.CommandFailed, match=r"status 2.*No such file"):
        run.run(["ls", "/no/such/file"], timeout_s=10)


def test_a_missing_command_names_its_debian_package(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(run.CommandMissing, match=r"mkfs.xfs.*xfsprogs"):
        run.run(["mkfs.xfs"], timeout_s=10)


def test_a_command_that_does_not_end_is_killed_with_its_children(tmp_path):
    script = tmp_path / "stubborn"
    script.write_text(f"#!/bin/sh\ntrap '' TERM\nsleep 60 & echo $! > {tmp_path}/child\nwait\n")
    script.chmod(0o700)

    with pytest.raises(run.CommandTimeout, match=r"did not end within 0.5 s") as caught:
        run.run([str(script)], timeout_s=0.5)

    assert caught.value.kind is errors.Kind.DEADLINE
    assert _gone(int((tmp_path / "child").read_text()))


def _gone(pid):
    """Whether *pid* is dead, perhaps still to be reaped by init."""
    for _ in range(200):
        try:
            if "Z" in pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][:3]:
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("option", ["ro,suid", "a\nb", "", 'context="a,b', "x,"])
def test_one_mount_option_cannot_bring_another_along(option):
    with pytest.raises(errors.InvalidField, match="mount option"):
        mounts.mount("/dev/null", "/nowhere", fs_type="ext4", options=[option])


def test_a_daemon_that_keeps_the_output_open_does_not_hold_up_its_starter():
    result = run.run(["sh", "-c", "sleep 5 & echo started"], timeout_s=4.5)

    assert result.returncode == 0
    assert result.stdout == "started\n"


def test_of_endless_output_only_the_end_is_kept():
    result = run.run(["sh", "-c", "head -c 3000000 /dev/zero; echo the end"], timeout_s=20)

    assert len(result.stdout) == 64 * 1024
    assert result.stdout.endswith("the end\n")


def test_a_timeout_tells_what_the_command_said():
    with pytest.raises(run.CommandTimeout, match="it said: waiting for the server"):
        run.run(["sh", "-c", "echo waiting for the server >&2; sleep 5"], timeout_s=0.3)


def test_a_signal_is_told_by_name():
    with pytest.raises(run.CommandFailed, match="was ended by SIGKILL"):
        run.run(["sh", "-c", "kill -9 $$"], timeout_s=5)
