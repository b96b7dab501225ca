"""A FUSE mount as the kernel sees it: whether it is there, whether it answers, its end.

Nothing here looks into the file system itself: a client that hangs would take us along. A process
does, which can be killed (`probes`).
"""

import asyncio
import contextlib
import functools
import os
import pathlib
import select
from collections.abc import Iterator

from core import errors, executor
from csi.mounter import probes
from host import mountinfo, mounts

_TABLE = "/proc/self/mountinfo"
_LOOK_S = 0.5
_STARTING = executor.BoundedExecutor("mount-starting", 64)
"""Threads of clients that start. Not those of other work: they may all be held up at once."""


def mounted(target: pathlib.Path) -> mountinfo.Mount | None:
    """What is mounted at *target*."""
    there = mountinfo.mounts_at(target)
    return there[-1] if there else None


async def make_target(target: pathlib.Path, work_dir: pathlib.Path) -> None:
    """Make the directory *target*. Below *work_dir* all is ours, elsewhere the way may hang."""
    make = functools.partial(target.mkdir, mode=0o755, parents=True, exist_ok=True)
    if target.is_relative_to(work_dir):
        make()
    else:
        await asyncio.to_thread(make)


async def appears(target: pathlib.Path) -> mountinfo.Mount:
    """The FUSE file system that is mounted at *target*, once there is one."""
    with _table_changes() as changed:
        while True:
            there = mounted(target)
            if there is not None and there.fs_type.startswith("fuse"):
                return there
            changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await changed.wait()


async def is_ready(target: pathlib.Path, there: mountinfo.Mount) -> bool:
    """Whether the client of *there*, just started, tells its size. May wait while it lives.

    In a thread, which is quicker than a command. Who gives up kills the client, and so frees it.
    A client that finds its bucket wrong unmounts itself: then the directory below has answered.
    """
    try:
        await _STARTING.submit(functools.partial(os.statvfs, target))
    except OSError:
        return False
    return mounted(target) == there


async def discard(target: pathlib.Path) -> None:
    """Take every mount at *target* away; who uses it gets errors. For dead ones."""
    while mounted(target) is not None:
        await asyncio.to_thread(mounts.detach, target)


async def unmount(target: pathlib.Path, probing: probes.Probes) -> None:
    """Take the mount at *target* away. Raises Busy when a process uses it."""
    if mounted(target) is None:
        return
    try:
        await asyncio.to_thread(mounts.unmount, target, timeout_s=10.0)
    except errors.Busy:
        if await probing.answers(target, timeout_s=5.0):
            raise
        await discard(target)


@contextlib.contextmanager
def _table_changes() -> Iterator[asyncio.Event]:
    """An event that is set whenever this mount namespace's table changes."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    table = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
    # The table is always readable; its changes come as "exceptional", which asyncio does not know.
    poller = select.epoll()
    try:
        poller.register(table, select.EPOLLPRI | select.EPOLLET)
        loop.add_reader(poller.fileno(), _drain, poller, changed)
        yield changed
    finally:
        loop.remove_reader(poller.fileno())
        poller.close()
        os.close(table)


def _drain(poller: select.epoll, changed: asyncio.Event) -> None:
    poller.poll(0)
    changed.set()
