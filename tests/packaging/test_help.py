"""`--help` of every program."""

import subprocess
import sys

import pytest

PROGRAMS = ("csi", "csi.mounter", "ipamd", "ipamd.cli", "sim", "bench", "demo")


@pytest.mark.parametrize("module", PROGRAMS)
def test_help_tells_the_exit_status_and_does_nothing(module: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert told.stdout.startswith("usage: ")
    assert "exit status: 0 " in " ".join(told.stdout.lower().split())
    assert not told.stderr
