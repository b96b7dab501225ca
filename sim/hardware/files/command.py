"""Running commands, with limits. Not here: which ones."""

import os
import subprocess

from sim.hardware import api

_SHOWN = 500
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIMIT_S = 30.0


def run(*argv: str, stdin: str = "", limit_s: float = LIMIT_S) -> str:
    """What *argv* prints. HardwareError, with what it said, when it fails or takes too long."""
    shown = " ".join(argv)[:_SHOWN]
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
            env=environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise api.HardwareError(f"files: {shown}: {e}") from e
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-_SHOWN:]
        raise api.HardwareError(f"files: {shown}: exit {done.returncode}: {said}")
    return done.stdout


def ip(netns: str, *lines: str) -> None:
    """Commands of `ip` in a namespace, "" = this machine's, in one process."""
    words = ["ip", *(["-n", netns] if netns else []), "-batch", "-"]
    run(*words, stdin="".join(f"{line}\n" for line in lines))


def environment() -> dict[str, str]:
    """This process's, with the directories of administrators' programs in PATH."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{_PATH}", "LC_ALL": "C"}
