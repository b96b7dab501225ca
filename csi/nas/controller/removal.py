"""Archiving and deleting the files of volumes: jobs that outlive the call that asks for them.

A job is resumed by the next DeleteVolume, in this process or another: first the volume is taken
out of the way by a rename, then its files go, then its record. So a kill at any instant loses
nothing, and never leaves a volume half there under its name.
"""

import asyncio
import contextvars
import math
import pathlib
import threading
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import structlog

from core import call, clock, errors, executor
from csi.nas import layout, server, tree
from kube import events

log = structlog.get_logger()

_THREADS = 4
"""For each server."""
_QUICK_S = 10.0
"""What takes longer goes on in threads of its own: others only want to rename a directory."""
_EARLY_S = 0.5
_NO_LIMIT_S = 600.0


class Roots(Protocol):
    """What is needed of `csi.nas.roots.Roots`."""

    def leftovers(self) -> list[pathlib.Path]: ...

    def clean_up(self, left: Iterable[pathlib.Path]) -> None: ...

    def choose(self, places: Sequence[server.Place]) -> server.Place: ...

    def opened(
        self, place: server.Place, *, create: bool = False
    ) -> AbstractContextManager[pathlib.Path]: ...


class Remover:
    """Runs one job for each volume at a time, in threads of its server.

    cluster_id: what another cluster made is left alone, "" = not known, and nothing is asked.
    """

    def __init__(
        self, roots: Roots, time: clock.Clock, recorder: events.Recorder, *, cluster_id: str = ""
    ) -> None:
        self._owner = layout.owner_of(cluster_id)
        self._roots = roots
        self._events = recorder
        self._clock = time
        self._pools = executor.ExecutorPerKey("nas-removal", _THREADS)
        self._long = executor.ExecutorPerKey("nas-long", _THREADS)
        self._jobs: dict[tuple[server.Place, str], asyncio.Task[bool]] = {}
        self._stopping = threading.Event()

    def is_removing(self, name: str) -> bool:
        """Whether a job for a volume *name* runs in this process."""
        # Anywhere: a file system has many mount targets, so a place has many names.
        return any(name == each for _, each in self._jobs)

    async def remove(self, name: str, place: server.Place, *, keep: bool = False) -> bool:
        """Archive or delete the volume's directory, as its record says; False = it has none.

        keep: archive it, whatever its record says. Raises DeadlineExceeded when the call's time is
        up before the job is done; the job goes on.
        """
        key = (place, name)
        job = self._jobs.get(key)
        if job is None:
            # A context of its own: the job outlives this call, and its deadline.
            job = asyncio.create_task(
                self._job(name, place, keep=keep),
                name=f"remove {name}",
                context=contextvars.Context(),
            )
            self._jobs[key] = job
            job.add_done_callback(lambda _: self._jobs.pop(key, None))
        call.doing(f"removing the files of volume {name}")
        await asyncio.wait({job}, timeout=max(0.0, call.remaining_s(_NO_LIMIT_S) - _EARLY_S))
        if not job.done():
            raise errors.DeadlineExceeded(
                f"the files of volume {name} are still being deleted; retry, the job goes on"
            )
        return job.result()

    async def require_own(self, name: str, place: server.Place) -> None:
        """Raise Precondition when the volume was made by another cluster."""

        def look() -> None:
            with self._roots.opened(place) as base:
                record = tree.read_record(base, name)
                if record is not None:
                    self._require_own(base, name, place, record)

        if self._owner:
            await self._pools.of(place.host).run(look)

    async def close(self) -> None:
        """Stop. What is half removed is finished by the next DeleteVolume."""
        self._stopping.set()
        for job in self._jobs.values():
            job.cancel()
        self._pools.close()
        self._long.close()

    async def _job(self, name: str, place: server.Place, *, keep: bool) -> bool:
        started_s = self._clock.monotonic_s()
        quick = self._pools.of(place.host)
        done = await quick.run(self._remove, name, place, keep=keep, limit_s=_QUICK_S)
        if done is None:
            done = await self._long.of(place.host).run(self._remove, name, place, keep=keep)
        elapsed_s = round(self._clock.monotonic_s() - started_s, 3)
        log.info("volume removed", name=name, place=str(place), elapsed_s=elapsed_s)
        return bool(done)

    def _remove(
        self, name: str, place: server.Place, *, keep: bool, limit_s: float = math.inf
    ) -> bool | None:
        """The job itself, in a thread. None = not done in time; False = there is no record."""
        with self._roots.opened(place) as base:
            record = tree.read_record(base, name)
            if record is None:
                # Removed already; or not made by us, and then it is not ours to remove.
                tree.drop_empty(base, name)
                return False
            self._require_own(base, name, place, record)
            if record.archive or keep:
                self._tell(name, place, tree.archive(base, name, self._clock.now()))
            else:
                trash = tree.put_aside(base, name)
                if trash is not None and not tree.remove(trash, self._stopping, limit_s=limit_s):
                    return None
            tree.forget(base, name)
            return True

    def _require_own(
        self, base: pathlib.Path, name: str, place: server.Place, record: layout.Record
    ) -> None:
        owner = tree.read_owner(base, name, record)
        if self._owner and owner not in ("", self._owner):
            told = layout.owners(place.base, name, record)
            raise errors.Precondition(
                f"volume {name} was made by cluster {owner} and is not deleted by cluster "
                f"{self._owner}; when that cluster is gone for good, remove the directory {told} "
                f"of {place.host}"
            )

    def _tell(self, name: str, place: server.Place, directory: str) -> None:
        """Say where an archive is, on the PersistentVolume, which is there until this is done."""
        if directory:
            self._events.note(
                events.volume(name),
                "VolumeArchived",
                f"the files of volume {name} are kept in {place.export.rstrip('/')}/{directory}; "
                "delete them there when nobody needs them",
            )
