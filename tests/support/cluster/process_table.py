"""Finds the processes of a cluster by a mark in their environment. No file with pids can be stale.

A process hands its environment down, so the processes that a component starts are found too;
which of them is the component itself is told by its command line.
"""

import contextlib
import dataclasses
import os
import pathlib
import signal
import time
from collections.abc import Iterable, Sequence

MARK = "CLUSTER_STATE_DIR"
COMPONENT = "CLUSTER_COMPONENT"
_POLL_S = 0.02


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One process. inner_pid: its number in its own PID namespace; the same outside of one."""

    pid: int
    inner_pid: int
    component: str
    argv: tuple[str, ...]


def of_cluster(state_dir: pathlib.Path) -> list[Found]:
    """Every process with the mark of *state_dir*, but those that have ended."""
    wanted = f"{MARK}={state_dir}".encode()
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        # It may end while we look.
        with contextlib.suppress(OSError):
            environ = (entry / "environ").read_bytes().split(b"\0")
            if wanted in environ:
                found.append(_read(entry, environ))
    return [each for each in found if each.argv]


def component(table: Iterable[Found], name: str, argv: Sequence[str]) -> Found | None:
    """The process that runs component *name* with *argv*, not a wrapper or child of it."""
    for each in table:
        if each.component == name and each.argv == tuple(argv):
            return each
    return None


def machine(table: Iterable[Found], name: str) -> Found | None:
    """The first process of a machine."""
    for each in table:
        if each.component == name and each.inner_pid == 1:
            return each
    return None


def kill(pids: Iterable[int], number: signal.Signals, timeout_s: float) -> None:
    """Send a signal to each of *pids* and wait until all have ended.

    Raises TimeoutError when one has not. A zombie has ended: its parent may take its time.
    """
    waiting = list(pids)
    for pid in waiting:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    give_up_s = time.monotonic() + timeout_s
    while waiting := [pid for pid in waiting if _alive(pid)]:
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"processes {waiting} do not end")
        time.sleep(_POLL_S)


def _alive(pid: int) -> bool:
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "\nState:\tZ" not in status


def _read(entry: pathlib.Path, environ: Sequence[bytes]) -> Found:
    argv = tuple(
        word.decode(errors="replace") for word in (entry / "cmdline").read_bytes().split(b"\0")[:-1]
    )
    prefix = f"{COMPONENT}=".encode()
    name = next((word.removeprefix(prefix) for word in environ if word.startswith(prefix)), b"")
    lines = (entry / "status").read_text().splitlines()
    inner = next(line for line in lines if line.startswith("NSpid:")).split()[-1]
    return Found(pid=int(entry.name), inner_pid=int(inner), component=name.decode(), argv=argv)
