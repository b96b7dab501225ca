"""`csi-mounter --keep`: the first process of a container, which must not end.

All processes of a container end with its first one, the clients among them. So that one does
nothing that can fail: it starts csi-mounter, starts it again when it dies, and reaps what nobody
else does, as clients whose csi-mounter has died. Needs no other module of ours.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence

_PR_SET_CHILD_SUBREAPER = 36
_PAUSE_S = 1.0
_USAGE = 2


def run(arguments: Sequence[str]) -> int:
    """Keep `python -m csi.mounter` *arguments* running until SIGTERM or SIGINT; its exit status.

    Wrong usage is not tried again.
    """
    # Where we are not the first process, orphans are to become our children all the same.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    stopping: list[int] = []
    running = [0]

    def stop(number: int, _frame: object) -> None:
        stopping.append(number)
        if running[0]:
            os.kill(running[0], number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while True:
        running[0] = _start(arguments)
        if stopping:  # it came before there was anybody to tell
            os.kill(running[0], stopping[-1])
        status = _wait(running[0])
        running[0] = 0
        if stopping or status == _USAGE:
            return status
        sys.stderr.write(f"csi-mounter ended with {status}; starting it again\n")
        time.sleep(_PAUSE_S)
        if stopping:
            return 0


def _start(arguments: Sequence[str]) -> int:
    argv = [sys.executable, "-m", "csi.mounter", *arguments]
    return os.posix_spawn(sys.executable, argv, os.environ)


def _wait(pid: int) -> int:
    """Exit status of child *pid*; every other child that ends meanwhile is reaped."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)
