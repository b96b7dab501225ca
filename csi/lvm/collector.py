"""Removes logical volumes of ours that nobody names, in two passes; off by default.

It asks the Kubernetes API for what is named. While that does not answer, nothing is collected but
what killed calls left. See `csi.lvm.collection`, which decides.
"""

import pathlib
from typing import Protocol

import structlog

from core import clock, errors, executor, keyed_lock
from csi.lvm import collection, deleted_nodes, inline_volumes, legacy, topology
from csi.lvm import driver as local
from host import lvm_model
from kube import api, events
from kube import volumes as kube_volumes

log = structlog.get_logger()

ON_DELETED_NODE = "VolumeOnDeletedNode"
_OURS = (local.NAME, legacy.NAME)


class Sweep(Protocol):
    """As `csi.lvm.stores.sweep.Sweep`."""

    def rows(self) -> list[lvm_model.LogicalVolume]:
        """Every logical volume."""
        ...

    def carry_out(self, row: lvm_model.LogicalVolume, fate: collection.Fate) -> None:
        """Do it, unless *row* has changed since."""
        ...


class Collector:
    """One node's. wait_s: least time between the two passes. One event loop."""

    def __init__(
        self,
        *,
        driver_name: str,
        place: topology.Place,
        kubelet_root: pathlib.Path,
        wait_s: float,
        kubernetes: api.VolumeApi,
        recorder: events.Recorder,
        locks: keyed_lock.KeyedLock,
        volumes: Sweep,
        pool: executor.BoundedExecutor,
        time: clock.Clock,
    ) -> None:
        self._driver_name = driver_name
        self._place = place
        self._kubelet_root = kubelet_root
        self._wait_s = wait_s
        self._kubernetes = kubernetes
        self._events = recorder
        self._locks = locks
        self._volumes = volumes
        self._pool = pool
        self._time = time
        self._gone_since_s: dict[str, float] = {}

    async def collect(self) -> None:
        """One pass."""
        # First what is here, then who names it: what is made meanwhile is not looked at.
        rows = await self._pool.run(self._volumes.rows)
        found = await self._list_volumes()
        named = await self._named(found)
        now_s = int(self._time.now().timestamp())
        for row in rows:
            fate = collection.fate(row, rows, named, now_s=now_s, wait_s=self._wait_s)
            if fate is collection.Fate.KEEP:
                continue
            try:
                with self._locks.hold(row.name):
                    await self._pool.run(self._volumes.carry_out, row, fate)
            except errors.Error as e:
                log.warning("a leftover stays", group=row.group, name=row.name, error=str(e))
        await self._release(found or [])

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

    async def _release(self, found: list[api.Object]) -> None:
        """Let PersistentVolumes go that wait for a node which two passes did not find."""
        waiting = [
            volume
            for volume in map(kube_volumes.parse, found)
            if deleted_nodes.is_waiting(volume, self._driver_name)
        ]
        if self._place.value != self._place.node_id:
            return  # what volumes tell is not the name of a node
        gone: dict[str, float] = {}
        try:
            for volume in waiting:
                if await self._is_gone(volume):
                    now_s = self._time.monotonic_s()
                    since_s = self._gone_since_s.get(volume.name, now_s)
                    gone[volume.name] = since_s
                    if now_s - since_s >= self._wait_s:
                        await self._let_go(volume)
        except errors.Error as e:
            log.warning("volumes of deleted nodes are not looked at", error=str(e))
            return
        self._gone_since_s = gone

    async def _is_gone(self, volume: kube_volumes.PersistentVolume) -> bool:
        told = deleted_nodes.nodes(volume, (self._place.key, topology.HOSTNAME))
        if not told or self._place.value in told:
            return False
        for name in (self._place.node_id, *told):
            node = await self._kubernetes.read(api.Kind.NODE, name)
            # Our own must be there, or names mean something else; those told must not be.
            if (node is None) != (name in told):
                return False
        return True

    async def _let_go(self, volume: kube_volumes.PersistentVolume) -> None:
        await self._kubernetes.patch_volume(volume.name, deleted_nodes.release(volume))
        await self._kubernetes.delete_volume(volume.name)
        self._events.warn(
            events.volume(volume.name),
            ON_DELETED_NODE,
            f"volume {volume.volume_id} was on a node that the cluster no longer has, and its "
            "claim is gone: the PersistentVolume is deleted, and what was on the node stays there",
        )
