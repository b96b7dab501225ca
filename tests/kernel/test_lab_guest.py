"""tools/lab.py: what its caller gets, however the guest ends. tests/lab has what is in it."""

import os
import pathlib
import subprocess
import uuid

import pytest

from tests.support import processes

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
]


def lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [processes.ROOT / "tools/lab.py", *arguments]
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=100, check=False, cwd=processes.ROOT
    )


def test_the_guest_gives_output_and_status_and_writes_nothing_here() -> None:
    made = pathlib.Path(f"/var/tmp/lab-{uuid.uuid4().hex}")

    done = lab("run", "sh", "-c", f"touch {made} && echo out; echo err >&2; uname -r; exit 3")

    assert done.returncode == 3
    assert done.stdout.splitlines()[:2] == ["out", "err"]
    assert done.stdout.splitlines()[2] != os.uname().release
    assert not made.exists()


def test_a_directory_to_keep_is_written_here(tmp_path: pathlib.Path) -> None:
    done = lab("--keep", str(tmp_path), "run", "sh", "-c", f"echo kept >{tmp_path}/file")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_text() == "kept\n"


def test_pytests_own_status_is_passed_on() -> None:
    done = lab("test", "tests/lab/no_such_test.py")

    assert done.returncode == 4
    assert "no_such_test.py" in done.stdout


def test_a_guest_at_its_limit_is_ended() -> None:
    done = lab("--limit", "6", "run", "sh", "-c", "echo started; sleep 1000")

    assert done.returncode == 124
    assert "started" in done.stdout
    assert "not done after 6 s" in done.stderr


def test_a_guest_that_halts_by_itself_has_no_status() -> None:
    done = lab("run", "busybox", "poweroff", "-n", "-f")

    assert done.returncode == 125
    assert "without an exit status" in done.stderr
