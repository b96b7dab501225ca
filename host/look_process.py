"""A process that looks into mounts for us, one after the other, and can be killed."""

import contextlib
import os
import pathlib
import select
import subprocess
import sys
import threading
import time
from typing import IO, cast

from core import errors

_PROGRAM = pathlib.Path(__file__).with_name("look_program.py")
_END_S = 1.0
_ANSWER_BYTES = 4096
_ENVIRONMENT = ("LD_LIBRARY_PATH",)
"""Python may need it. Nothing else of ours: there may be an access key in it."""


class Ended(errors.Unavailable):
    """The process ended without an answer."""


class LookProcess:
    """Starts at once, or raises Unavailable; ends with `end` or `kill`, or with us.

    For one thread at a time.
    """

    def __init__(self) -> None:
        # vfork, not fork, as in `host.run`. Its words are answers; who holds our log open when it
        # hangs would keep a container from ending.
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", os.fspath(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                process_group=0,
                cwd="/",
            )
        except OSError as e:
            raise errors.Unavailable(f"nobody can be started who looks into mounts: {e}") from e
        self._asks = cast("IO[bytes]", self._process.stdin)
        self._tells = cast("IO[bytes]", self._process.stdout)
        self._answer = b""

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def ask(self, path: str, timeout_s: float) -> str:
        """What `look_program` says about *path*.

        Raises TimeoutError, after which it can only be killed, and Ended.
        """
        until_s = time.monotonic() + timeout_s
        ready = select.poll()
        ready.register(self, select.POLLIN)
        self.send(path)
        while True:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not ready.poll(1000 * left_s):
                raise TimeoutError
            answer = self.receive()
            if answer is not None:
                return answer

    def send(self, question: str) -> None:
        """Ask `look_program`, when the last answer was received. Raises Ended."""
        self._answer = b""
        try:
            self._asks.write(os.fsencode(question) + b"\0")
        except BrokenPipeError as e:
            raise Ended("the process that looks into mounts had ended") from e

    def receive(self) -> str | None:
        """The answer, None while it is not whole; when there is something to read. Raises Ended."""
        more = self._tells.read(_ANSWER_BYTES)
        if not more:
            raise Ended("the process that looks into mounts ended")
        self._answer += more
        return self._answer.decode() if self._answer.endswith(b"\n") else None

    def fileno(self) -> int:
        """What can be read when the process answers or ends."""
        return self._tells.fileno()

    def end(self) -> None:
        """Let it end, which an idle one does at once."""
        self._close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
            return
        self.kill()

    def kill(self) -> bool:
        """Whether it is gone. One that hangs in the kernel is waited for by a thread of its own."""
        self._close()
        self._process.kill()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._reap()
            return False
        return True

    def abandon(self) -> None:
        """As `kill`, and wait for nothing."""
        self._close()
        self._process.kill()
        self._reap()

    def is_gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def _reap(self) -> None:
        threading.Thread(target=self._process.wait, name=f"reap {self.pid}", daemon=True).start()

    def _close(self) -> None:
        for stream in (self._asks, self._tells):
            with contextlib.suppress(OSError):
                stream.close()
