"""One daemon per node: a lock file. Source of name and times: spec/terway.md 1.3."""

import fcntl
import os
import pathlib
import time

from core import errors

_WAIT_S = 5.0
_LOOK_S = 0.2


class InstanceLock:
    """Held from `take` until the process ends."""

    def __init__(self, path: pathlib.Path, wait_s: float = _WAIT_S) -> None:
        self._path = path
        self._wait_s = wait_s
        self._fd = -1

    def take(self) -> None:
        """Blocking, at most 5 s: the daemon before us may be ending. Raises Precondition."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_up_s = time.monotonic() + self._wait_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < give_up_s:
                    time.sleep(_LOOK_S)
                    continue
                holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
                os.close(fd)
                raise errors.Precondition(
                    f"another ipamd (pid {holder or 'unknown'}) holds {self._path}; "
                    "end it first: two would give out the same addresses"
                ) from None
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            self._fd = fd
            return
