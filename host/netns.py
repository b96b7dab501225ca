"""Network namespaces: recognising one, and a socket inside one without leaving a thread there.

Nothing here forks or starts a thread. `setns` changes the calling thread only, so all of this
belongs on a thread that nobody else runs on while a call lasts.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import structlog

from core import errors

log = structlog.get_logger()
T = TypeVar("T")

_CLONE_NEWNET = 0x40000000  # <linux/sched.h>
_NS_GET_NSTYPE = 0xB703  # <linux/nsfs.h>, _IO(0xb7, 3)
_OWN = "/proc/thread-self/ns/net"
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ELOOP, errno.EACCES)
_EXIT_LOST = 70  # EX_SOFTWARE

_libc = ctypes.CDLL(None, use_errno=True)


class NotNetns(errors.NotFound):
    """A path is not there, or is no network namespace."""

    def __init__(self, path: pathlib.Path, why: str) -> None:
        super().__init__(f"{path} is not a network namespace: {why}")
        self.path = path


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[int]:
    """A descriptor of the network namespace at *path*, for the length of the block.

    Raises NotNetns, and Unavailable for what says nothing about the path, such as too many open
    files. A path whose namespace is gone is an ordinary empty file, which says so too.
    """
    # O_NONBLOCK: a FIFO left at the path must not hold the caller up.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = os.open(path, flags)
    except OSError as e:
        if e.errno not in _NOT_THERE:
            raise errors.Unavailable(f"{path} cannot be opened: {os.strerror(e.errno or 0)}") from e
        raise NotNetns(path, os.strerror(e.errno)) from e
    try:
        if not _is_network(fd):
            raise NotNetns(path, "something else is there")
        yield fd
    finally:
        os.close(fd)


def exists(path: pathlib.Path) -> bool:
    """Whether a network namespace is at *path*. Raises Unavailable."""
    try:
        with opened(path):
            return True
    except NotNetns:
        return False


def open_own() -> int:
    """A descriptor of the calling thread's namespace; the caller closes it."""
    return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)


def is_same(one_fd: int, other_fd: int) -> bool:
    """Whether two descriptors are of one namespace."""
    return os.path.sameopenfile(one_fd, other_fd)


def call_in(netns_fd: int, home_fd: int, call: Callable[[], T]) -> T:
    """Result of *call*, run with the calling thread in the namespace *netns_fd*.

    home_fd: where the thread is, and is again afterwards. A thread that cannot come back would do
    the next caller's work in a pod's namespace, so the process ends then, at once.
    Keep *call* short, without locks: 10 µs for both changes (spec/performance.md C).
    """
    _enter(netns_fd)
    try:
        return call()
    finally:
        try:
            _enter(home_fd)
        except BaseException:
            log.exception("cannot return to the own network namespace, ending")
            os._exit(_EXIT_LOST)


def _enter(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise errors.Internal(f"setns: {os.strerror(number)}")


def _is_network(fd: int) -> bool:
    """Whether *fd* is a namespace, and a network one. Only nsfs files know this request."""
    try:
        return fcntl.ioctl(fd, _NS_GET_NSTYPE) == _CLONE_NEWNET
    except OSError:
        return False
