"""Archiving and deleting the files of volumes: jobs that outlive the call that asks for them.

A job is resumed by the next DeleteVolume, in this process or another: first the volume is taken
out of the way by a rename, then its files go, then its record. So a kill at any instant loses
nothing, and never leaves a volume half there under its name.
"""

import asyncio
import contextvars
import pathlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

import structlog

from core import call, clock, errors, executor
from csi.nas import server, tree

log = structlog.get_logger()

_THREADS = 8
_PROGRESS_S = 10.0
_EARLY_S = 0.5
_NO_LIMIT_S = 600.0


class Roots(Protocol):
    """What is needed of `csi.nas.roots.Roots`."""

    def leftovers(self) -> list[pathlib.Path]: ...

    def clean_up(self, left: Iterable[pathlib.Path]) -> None: ...

    def opened(
        self, place: server.Place, *, create: bool = False
    ) -> AbstractContextManager[pathlib.Path]: ...


class Remover:
    """Runs one job for each volume at a time."""

    def __init__(self, roots: Roots, time: clock.Clock) -> None:
        self._roots = roots
        self._clock = time
        self._pool = executor.BoundedExecutor("nas-removal", _THREADS)
        self._jobs: dict[str, asyncio.Task[None]] = {}

    async def remove(self, volume_id: str, place: server.Place, *, keep: bool = False) -> None:
        """Return when the volume's directory is archived or deleted, as its record says.

        keep: archive it, whatever its record says. Raises DeadlineExceeded when the call's time is
        up before the job is done; the job goes on.
        """
        job = self._jobs.get(volume_id)
        if job is None:
            # A context of its own: the job outlives this call, and its deadline.
            job = asyncio.create_task(
                self._job(volume_id, place, keep=keep),
                name=f"remove {volume_id}",
                context=contextvars.Context(),
            )
            self._jobs[volume_id] = job
            job.add_done_callback(lambda _: self._jobs.pop(volume_id, None))
        call.doing(f"removing the files of volume {volume_id}")
        await asyncio.wait({job}, timeout=max(0.0, call.remaining_s(_NO_LIMIT_S) - _EARLY_S))
        if not job.done():
            raise errors.DeadlineExceeded(
                f"the files of volume {volume_id} are still being deleted; retry, the job goes on"
            )
        job.result()

    async def close(self) -> None:
        """Start nothing more. A job that runs is finished by the next DeleteVolume."""
        for job in self._jobs.values():
            job.cancel()
        self._pool.close()

    async def _job(self, volume_id: str, place: server.Place, *, keep: bool) -> None:
        started_s = self._clock.monotonic_s()
        working: list[pathlib.Path] = []
        work = asyncio.ensure_future(
            self._pool.run(self._remove, volume_id, place, keep=keep, working=working)
        )
        while True:
            await asyncio.wait({work}, timeout=_PROGRESS_S)
            if work.done():
                break
            if working:
                log.info(
                    "deleting a volume's files",
                    volume_id=volume_id,
                    top_level_entries_left=await self._pool.run(tree.entries_left, working[0]),
                    elapsed_s=round(self._clock.monotonic_s() - started_s),
                )
        await work
        log.info(
            "volume removed",
            volume_id=volume_id,
            elapsed_s=round(self._clock.monotonic_s() - started_s, 3),
        )

    def _remove(
        self,
        volume_id: str,
        place: server.Place,
        *,
        keep: bool,
        working: list[pathlib.Path],
    ) -> None:
        """The job itself, in a thread. working: gets the directory that is being emptied."""
        with self._roots.opened(place) as base:
            record = tree.read_record(base, volume_id)
            if record is None:
                # Removed already; or not made by us, and then it is not ours to remove.
                return
            if record.archive or keep:
                tree.archive(base, volume_id, self._clock.now())
            else:
                trash = tree.put_aside(base, volume_id)
                if trash is not None:
                    working.append(trash)
                    tree.remove(trash)
            tree.forget(base, volume_id)
