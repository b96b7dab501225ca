"""Threads for each server, so that one that does not answer holds up nobody else's volumes."""

from core import executor

_THREADS = 4
LOCAL = ""
"""Where calls go that know no server."""


class Servers:
    """Pools by server name, made when they are needed. kind: begins the names of threads.

    Those that only look have pools of their own: mounts that hang do not keep statistics from
    being told as such.
    """

    def __init__(self, kind: str) -> None:
        self._workers = executor.ExecutorPerKey(kind, _THREADS)
        self._readers = executor.ExecutorPerKey(f"{kind}-stats", _THREADS)

    def of(self, host: str) -> executor.BoundedExecutor:
        """The pool of *host* for what changes something."""
        return self._workers.of(host)

    def readers(self, host: str) -> executor.BoundedExecutor:
        """The pool of *host* for what only looks."""
        return self._readers.of(host)

    def close(self) -> None:
        """Start nothing more."""
        self._workers.close()
        self._readers.close()
