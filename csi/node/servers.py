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
        self._kind = kind
        self._workers: dict[str, executor.BoundedExecutor] = {}
        self._readers: dict[str, executor.BoundedExecutor] = {}

    def of(self, host: str) -> executor.BoundedExecutor:
        """The pool of *host* for what changes something."""
        return _get(self._workers, host, self._kind)

    def readers(self, host: str) -> executor.BoundedExecutor:
        """The pool of *host* for what only looks."""
        return _get(self._readers, host, f"{self._kind}-stats")

    def close(self) -> None:
        """Start nothing more."""
        for pool in (*self._workers.values(), *self._readers.values()):
            pool.close()


def _get(
    pools: dict[str, executor.BoundedExecutor], host: str, kind: str
) -> executor.BoundedExecutor:
    if host not in pools:
        pools[host] = executor.BoundedExecutor(f"{kind}-{host[:40]}", _THREADS)
    return pools[host]
