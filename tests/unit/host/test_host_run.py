import os
import pathlib
import time

import pytest

from core import errors
from host import mounts, run


def test_a_command_gets_its_arguments_as_they_are():
    result = run.run(["printf", "%s|", "a b", "$(id)", "; rm"], timeout_s=10)

    assert result.stdout == "a b|$(id)|; rm|"


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
