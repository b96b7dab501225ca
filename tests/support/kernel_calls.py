"""Kills a process at a kernel call of choice, which strace(1) injects; as `wrappers` at a command.

For what changes the mount table in one call, such as move_mount(2) and umount2(2).
"""

import contextlib
import enum
import os
import pathlib
import signal
import subprocess
import threading
from collections.abc import Iterator

_TABLE = pathlib.Path("/proc/self/mountinfo")
_HELD_S = 60
_LOOK_S = 0.01


class Moment(enum.StrEnum):
    """When the process dies: instead of the call, or when it is done and has not returned yet."""

    INSTEAD = "instead"
    AFTER = "after"


@contextlib.contextmanager
def killed_at(pid: int, call: str, moment: Moment) -> Iterator[None]:
    """Kill process *pid* at its first *call*, which changes the mount table."""
    what = f"delay_exit={_HELD_S}s" if moment is Moment.AFTER else "signal=KILL"
    argv = ["strace", "-f", "-e", f"trace={call}", "-e", f"inject={call}:{what}:when=1"]
    tracer = subprocess.Popen([*argv, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    ended = threading.Event()
    before = _TABLE.read_text()

    def kill_when_done() -> None:
        while _TABLE.read_text() == before:
            if ended.wait(_LOOK_S):
                return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        tracer.kill()  # it holds the process back, and its parent is told when it is gone

    try:
        while "attached" not in (line := tracer.stderr.readline()):
            assert line, f"strace ended with {tracer.wait()}"
        killer = threading.Thread(target=kill_when_done)
        if moment is Moment.AFTER:
            killer.start()
        yield
        ended.set()
        if moment is Moment.AFTER:
            killer.join()
    finally:
        ended.set()
        tracer.kill()
        tracer.communicate()
