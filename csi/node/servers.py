"""Threads for each server, so that one that does not answer holds up nobody else's volumes."""

import pathlib

from core import executor
from csi.node import network_stats
from host import looks, nfs

_THREADS = 4
LOCAL = ""
"""Where calls go that know no server."""


class Servers:
    """Pools by server name, made when they are needed. kind: begins the names of threads.

    Those that only look have pools of their own: mounts that hang do not keep statistics from
    being told as such. looks: for all who look into mounts of these servers.
    """

    def __init__(self, kind: str) -> None:
        self._workers = executor.ExecutorPerKey(kind, _THREADS)
        self._readers = executor.ExecutorPerKey(f"{kind}-stats", _THREADS)
        self.looks = looks.Looks()

    def of(self, host: str) -> executor.BoundedExecutor:
        """The pool of *host* for what changes something."""
        return self._workers.of(host)

    async def usage(self, host: str, path: pathlib.Path) -> nfs.Usage:
        """How full is what *host* has mounted at *path*. Raises nfs.DeadMount, DeadlineExceeded."""
        return await self._readers.of(host).run_within(
            network_stats.ANSWER_LIMIT_S,
            self.looks.usage,
            path,
            timeout_s=network_stats.LOOK_LIMIT_S,
        )

    def close(self) -> None:
        """Start nothing more."""
        self._workers.close()
        self._readers.close()
        self.looks.close()
