"""Removes volumes of ours that nobody names, in two passes; off by default.

It asks the Kubernetes API for what is named. While that does not answer, nothing is collected but
what killed calls left. See `csi.lvm.collection`, which decides.
"""

import pathlib
from typing import Protocol

import structlog

from core import clock, errors, executor, keyed_lock
from csi.lvm import collection, inline_volumes, legacy, released_volumes
from csi.lvm import driver as local
from kube import api
from kube import volumes as kube_volumes

log = structlog.get_logger()

_OURS = (local.NAME, legacy.NAME)
_KNOWN_S = 10.0
"""So long after a look, what is to be removed is not looked up again."""


class Sweep(Protocol):
    """As `csi.lvm.stores.logical.sweep.Sweep`."""

    def candidates(self) -> list[collection.Candidate]:
        """Everything that may be collected."""
        ...

    def carry_out(self, found: collection.Candidate, fate: collection.Fate) -> None:
        """Do it, unless *found* has changed since."""
        ...


class Collector:
    """One node's, of one kind of volumes. wait_s: least time between the two passes.

    released: what is done to PersistentVolumes at each pass, None = another collector does it.
    One event loop.
    """

    def __init__(
        self,
        *,
        kubelet_root: pathlib.Path,
        wait_s: float,
        kubernetes: api.VolumeApi,
        locks: keyed_lock.KeyedLock,
        volumes: Sweep,
        released: released_volumes.ReleasedVolumes | None,
        pool: executor.BoundedExecutor,
        time: clock.Clock,
    ) -> None:
        self._kubelet_root = kubelet_root
        self._wait_s = wait_s
        self._kubernetes = kubernetes
        self._locks = locks
        self._volumes = volumes
        self._released = released
        self._pool = pool
        self._time = time

    async def collect(self) -> None:
        """One pass."""
        # First what is here, then who names it: what is made meanwhile is not looked at.
        candidates = await self._pool.run(self._volumes.candidates)
        volumes = await self._list_volumes()
        named = await self._named(volumes)
        now_s = int(self._time.now().timestamp())
        told_s = self._time.monotonic_s()
        for each in candidates:
            fate = collection.fate(each, named, now_s=now_s, wait_s=self._wait_s)
            if fate is collection.Fate.REMOVE and self._time.monotonic_s() - told_s > _KNOWN_S:
                # The ones before took long, as wiping does: it may be named by now.
                named = await self._named(await self._list_volumes())
                told_s = self._time.monotonic_s()
                fate = collection.fate(each, named, now_s=now_s, wait_s=self._wait_s)
            if fate is collection.Fate.KEEP:
                continue
            try:
                with self._locks.hold(each.name):
                    await self._pool.run(self._volumes.carry_out, each, fate)
            except errors.Error as e:
                log.warning("a leftover stays", where=each.where, name=each.name, error=str(e))
        if self._released is not None:
            await self._released.let_go(volumes or [])

    async def _list_volumes(self) -> list[api.Object] | None:
        """Every PersistentVolume; None = not known."""
        try:
            found = await self._kubernetes.list_all(
                api.Kind.PERSISTENT_VOLUME, collection.OF_VOLUME
            )
        except api.NotConfigured:
            return None
        except errors.Error as e:
            log.warning("volumes are not collected: it is not known who names them", error=str(e))
            return None
        if not any(kube_volumes.parse(each).driver in _OURS for each in found):
            # A cluster that was made anew on the same machines knows none of the old volumes.
            log.warning("volumes are not collected: no PersistentVolume of this driver is there")
            return None
        return found

    async def _named(self, found: list[api.Object] | None) -> collection.Named:
        inline = await self._pool.run(inline_volumes.handles, self._kubelet_root)
        if found is None:
            return collection.Named(inline=inline)
        volumes = collection.handles(found)
        retained = collection.retained(found)
        snapshots: frozenset[str] | None = None
        try:
            contents = await self._kubernetes.list_all(
                api.Kind.VOLUME_SNAPSHOT_CONTENT, collection.OF_SNAPSHOT
            )
        except (errors.Precondition, errors.Denied) as e:  # the cluster has none, or we need none
            log.info("snapshots are not collected", error=str(e))
        except errors.Error as e:
            log.warning("volumes are not collected: it is not known who names them", error=str(e))
            return collection.Named(inline=inline)
        else:
            told = collection.snapshot_handles(contents)
            snapshots = told.snapshots
            retained |= told.retained
            volumes |= told.volumes or frozenset()
        return collection.Named(
            volumes=volumes,
            retained=retained,
            snapshots=snapshots,
            inline=inline,
        )
