"""Volumes of the old drivers, made or taken note of when they are staged.

Before one is used, its PersistentVolume tells that this node has it: made, told, then used, so that
a call that was killed in between is finished by the next one, and nobody gets an empty volume in
place of a lost one. See `csi.lvm.old_volumes`.
"""

from collections.abc import Callable, Mapping
from typing import ParamSpec, Protocol, TypeVar

import structlog

from core import call, errors, executor
from csi.lvm import model, old_volumes, topology
from csi.lvm.stores import store
from kube import api, events
from kube import volumes as kube_volumes

log = structlog.get_logger()

MADE = "VolumeMade"
P = ParamSpec("P")
T = TypeVar("T")


class Unclaimed(Protocol):
    """As `csi.lvm.stores.logical.unclaimed.Unclaimed`."""

    def has(self, volume_id: str) -> bool:
        """Whether there is such a volume, unclaimed."""
        ...

    def make(self, want: model.VolumeWish) -> None:
        """Make it, or make it again."""
        ...

    def claim(self, volume_id: str) -> None:
        """Let it count."""
        ...

    def discard(self, volume_id: str) -> None:
        """Remove it; a volume that counts stays."""
        ...


class TakingOver:
    """Asks the Kubernetes API only for volumes that are not there, or that we did not make.

    driver_name: whose volumes. stores: which take what is there already. pool: where LVM's commands
    run. The callers hold the volume's lock.
    """

    def __init__(
        self,
        *,
        kubernetes: api.VolumeApi,
        recorder: events.Recorder,
        driver_name: str,
        place: topology.Place,
        volumes: Unclaimed,
        stores: Mapping[old_volumes.Step, store.Taker],
        pool: executor.BoundedExecutor,
    ) -> None:
        self._kubernetes = kubernetes
        self._events = recorder
        self._driver_name = driver_name
        self._place = place
        self._volumes = volumes
        self._stores = stores
        self._pool = pool

    async def make(self, volume_id: str, *, read_only: bool) -> bool:
        """Make or take the volume if the old drivers would have; False where nothing tells of it.

        read_only: nobody is going to write, so that none is made. Raises NotFound that says what to
        do, Precondition, Exhausted without room, Busy, and Unavailable while the API does not
        answer.
        """
        try:
            volume = await self._read(volume_id)
        except api.NotConfigured:
            return False
        if volume is None:
            await self._run(self._volumes.discard, volume_id)
            return False
        there = await self._run(self._volumes.has, volume_id)
        try:
            plan = old_volumes.plan(volume, self._place, has_unclaimed=there)
        except errors.NotFound:
            await self._run(self._volumes.discard, volume_id)
            raise
        if plan.step in self._stores:
            await self._run(self._stores[plan.step].take, volume_id, plan.path)
            await self.note(volume_id)
            return True
        if plan.wish is not None:
            if read_only:
                raise errors.Precondition(
                    f"volume {volume_id} was never made, and is wanted read-only; publish it for "
                    "writing once"
                )
            await self._make(volume, plan.wish)
        await self._run(self._volumes.claim, volume_id)
        return True

    async def note(self, volume_id: str) -> None:
        """Let the cluster know that this node has a volume of the old drivers, as they did.

        Else another node, or this one without its disks, could make an empty one in its place. The
        volume is staged all the same when that fails: the next stage tries again.
        """
        try:
            volume = await self._read(volume_id)
            if volume is not None and old_volumes.MADE_ON not in volume.annotations:
                await self._claim(volume)
        except api.NotConfigured:
            return
        except errors.Error as e:
            log.warning("not noted where a volume is", volume_id=volume_id, error=str(e))

    async def _make(self, volume: kube_volumes.PersistentVolume, wish: model.VolumeWish) -> None:
        call.doing(f"making {wish.volume_id}, which the old drivers would make now")
        await self._run(self._volumes.make, wish)
        await self._claim(volume)
        self._events.note(
            events.volume(volume.name),
            MADE,
            f"node {self._place.value} has made logical volume {wish.parameters.group}/"
            f"{wish.volume_id} of {wish.required_bytes} bytes, which was never used before",
        )

    async def _claim(self, volume: kube_volumes.PersistentVolume) -> None:
        patch = old_volumes.claim(volume, self._place)
        await self._kubernetes.patch_volume(volume.name, patch)

    async def _read(self, volume_id: str) -> kube_volumes.PersistentVolume | None:
        """Its PersistentVolume, which the old drivers' provisioner calls by the same name."""
        found = await kube_volumes.read(self._kubernetes, volume_id)
        return found if old_volumes.is_of(found, volume_id, self._driver_name) else None

    async def _run(self, work: Callable[P, T], /, *args: P.args, **named: P.kwargs) -> T:
        return await self._pool.run(work, *args, **named)
