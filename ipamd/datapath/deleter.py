"""Deletes links in the background.

The kernel's answer to a deletion takes 13 to 46 ms, though the link, and its peer in the pod, are
gone after less than one (spec/performance.md C). So the deletions wait in threads, as many as pay,
and whoever asked is told by the kernel's notice, or by the answer when the notice was lost.
"""

import concurrent.futures
import contextlib
import errno
import os
import select
import socket
import threading

import structlog

from core import errors
from host import netlink, rtnl
from host import rtnl_codes as codes

log = structlog.get_logger()

_WORKERS = 32
_GONE = frozenset((errno.ENODEV,))


class Deleter:
    """Make and use it on one thread; all its threads work in that thread's network namespace."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[int, list[concurrent.futures.Future[None]]] = {}
        self._notices = netlink.Socket(groups=codes.RTMGRP_LINK)
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # The pool starts its threads in submit(), so they inherit the caller's namespace.
        self._pool = concurrent.futures.ThreadPoolExecutor(_WORKERS, thread_name_prefix="unveth")
        self._watcher = threading.Thread(target=self._watch, name="link-watch", daemon=True)
        self._watcher.start()

    def delete(self, index: int) -> concurrent.futures.Future[None]:
        """Delete the link of the caller's namespace; done when it is gone, or was not there.

        The future fails with netlink.Refused or netlink.NoAnswer.
        """
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        # Running from the start: a caller that stops waiting does not cancel the deletion.
        future.set_running_or_notify_cancel()
        with self._lock:
            waiting = self._pending.setdefault(index, [])
            waiting.append(future)
        self._pool.submit(self._delete, index)
        return future

    def close(self) -> None:
        """Wait for the deletions under way, then end the threads."""
        self._pool.shutdown(wait=True)
        os.eventfd_write(self._stop, 1)
        self._watcher.join()
        self._notices.close()
        os.close(self._stop)

    def _delete(self, index: int) -> None:
        try:
            with contextlib.closing(netlink.Socket()) as asking:
                netlink.require(asking.exchange([rtnl.delete_link(index)]), fine=_GONE)
        except (errors.Error, OSError) as e:
            self._settle(index, _as_error(e))
        else:
            self._settle(index, None)

    def _watch(self) -> None:
        """Settle what the kernel tells to be gone."""
        poll = select.poll()
        poll.register(self._notices.fileno(), select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._stop in ready:
                return
            try:
                messages = self._notices.receive_events()
            except OSError:  # ENOBUFS: notices were lost; the answers settle those deletions
                log.debug("notices of links were lost", exc_info=True)
                continue
            for message in messages:
                family, _, index, _, _ = codes.LINK.unpack_from(message.body)
                # With AF_BRIDGE the same message tells that a link left a bridge.
                if message.kind == codes.RTM_DELLINK and family == socket.AF_UNSPEC:
                    self._settle(index, None)

    def _settle(self, index: int, error: errors.Error | None) -> None:
        with self._lock:
            waiting = self._pending.pop(index, [])
        for future in waiting:
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


def _as_error(error: errors.Error | OSError) -> errors.Error:
    if isinstance(error, errors.Error):
        return error
    return errors.Internal(f"delete a link: {error}")
