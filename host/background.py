"""Commands that go on in the background, such as a change of modes in a million files.

They can be stopped, and end with this process at the latest when it closes them.
"""

import os
import pathlib
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence

import structlog

from host import run

log = structlog.get_logger()

_STOP_S = 2.0
_SAID_MAX_BYTES = 1000
_READ_BYTES = 65536
_ROOT = pathlib.Path("/")


class Job:
    """One command that was started. ended: called once, in a thread of ours, with its status.

    cwd: never a volume by accident, since that could not be unmounted then.
    """

    def __init__(
        self, argv: Sequence[str], ended: Callable[[int], None], *, cwd: pathlib.Path = _ROOT
    ) -> None:
        self._argv = tuple(argv)
        self._ended = ended
        self._done = threading.Event()
        self._said = b""
        # vfork, not fork: without preexec_fn, gRPC's threads are not in the way.
        try:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
                process_group=0,
                cwd=cwd,
            )
        except OSError as e:
            raise run.not_started(argv, e) from e
        threading.Thread(target=self._attend, name=f"wait {argv[0]}", daemon=True).start()

    def wait(self, timeout_s: float) -> int | None:
        """Status of the command, None when it still runs after *timeout_s* seconds."""
        return self._process.returncode if self._done.wait(timeout_s) else None

    def said(self) -> str:
        """The end of what the command told as errors; for when it has ended."""
        return self._said.decode(errors="replace").strip()

    def stop(self) -> None:
        """Kill it. One that hangs in the kernel is left to its thread."""
        if not self._done.is_set():
            # Not reaped before `_done`, or only just: the number is still its own or nobody's.
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            if not self._done.wait(_STOP_S):
                log.warning("killed command does not end", argv=list(self._argv))

    def _attend(self) -> None:
        if self._process.stderr is not None:
            with self._process.stderr as told:
                while more := os.read(told.fileno(), _READ_BYTES):
                    self._said = (self._said + more)[-_SAID_MAX_BYTES:]
        status = self._process.wait()
        self._ended(status)
        self._done.set()
