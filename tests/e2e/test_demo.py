"""The demo keeps its promises, and cleans up when it is interrupted."""

import pathlib
import signal
import subprocess
import sys

import pytest

from tests.support import processes

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=processes.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run_directories(printed: str) -> list[pathlib.Path]:
    """Of both halves of the demo, as far as it came."""
    lines = [line for line in printed.splitlines() if line.startswith("  $RUN")]
    return [pathlib.Path(line.split()[1]) for line in lines]


def test_demo_works_and_leaves_nothing() -> None:
    with _start() as demo:
        out, err = demo.communicate(timeout=110)

    assert demo.returncode == 0, err
    assert "All of it worked" in out
    for step in ("CreateVolume", "NodeStageVolume", "CreateSnapshot", "Expand", "must be refused"):
        assert step in out
    for step in ("containerd on node-1", "pod to pod, two nodes", "the fabric refused nothing"):
        assert step in out
    directories = _run_directories(out)
    assert len(directories) == 2
    assert not any(directory.exists() for directory in directories)


def test_interrupted_demo_cleans_up() -> None:
    with _start() as demo:
        assert demo.stdout is not None
        printed = ""
        while "NodePublishVolume" not in printed:
            line = demo.stdout.readline()
            assert line, "the demo ended before it could be interrupted"
            printed += line
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)

    (directory,) = _run_directories(printed)
    assert demo.returncode == 130
    assert not directory.exists()
    assert str(directory) not in pathlib.Path("/proc/self/mountinfo").read_text()
