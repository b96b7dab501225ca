"""Programs of our own, each as a process: what they import is given back when they end."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from host import background, run

_CODE = pathlib.Path(__file__).parents[1]
"""Where our packages are: `python -m` looks in the directory it is started in."""


def ask(module: str, *arguments: str, timeout_s: float, stdin: bytes | None = None) -> str:
    """What `python -m` *module* prints. Secrets go through *stdin*, never into *arguments*.

    Raises as `host.run.run`.
    """
    argv = [sys.executable, "-m", module, *arguments]
    return run.run(argv, timeout_s=timeout_s, stdin=stdin, cwd=_CODE).stdout


def start(
    module: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Start `python -m` *module* in a session of its own, so that it may outlive us."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        env=dict(environment),
        cwd=os.fspath(_CODE),
        start_new_session=True,
    )


def job(module: str, *arguments: str, ended: Callable[[int], None]) -> background.Job:
    """`python -m` *module* in the background, for one that needs the standard library only.

    ended: as of `background.Job`.
    """
    argv = [sys.executable, "-S", "-m", module, *arguments]  # -S: no site-packages
    return background.Job(argv, ended, cwd=_CODE)
