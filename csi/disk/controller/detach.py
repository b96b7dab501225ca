"""ControllerUnpublishVolume: take a disk off instances. Resumable like `csi.disk.attach`."""

import asyncio
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import clock, errors
from csi.disk.controller import attach_plan, category, cloud_codes, settings, slots, tags

log = structlog.get_logger()

Disk = ecs_model.Disk

_REFUSALS_MAX = 20
_LOOK_AGAIN_S = 1.0
_LOOK_AGAIN = (
    *cloud_codes.STATE_CHANGED,
    *cloud_codes.INSTANCE_BUSY,
    "InvalidDiskId.NotFound",
    "InvalidInstanceId*",
)
_EVENTS_BACK = datetime.timedelta(hours=3)
_MEANINGS: Mapping[str, type[errors.Error]] = {
    "DiskTypeViolation": errors.Precondition,
    "InstanceLockedForSecurity": errors.Precondition,
}


class DiskApi(Protocol):
    """What detaching needs of `cloud.ecs_disk.Disks`."""

    async def read(self, disk_id: str) -> Disk | None: ...

    async def wait(
        self, disk_id: str, done: Callable[[Disk | None], bool], *, what: str
    ) -> Disk | None: ...

    async def detach(
        self, disk_id: str, instance_id: str, *, delete_with_instance: bool = False
    ) -> None: ...

    async def untag(self, disk_id: str, keys: Sequence[str]) -> None: ...


class InstanceApi(Protocol):
    """What detaching needs of `cloud.ecs_instance.Instances`."""

    async def history_event_reasons(
        self, instance_id: str, since: datetime.datetime
    ) -> list[str]: ...


class Detacher:
    """Detaches disks.

    patience_s: a detach that takes longer makes us ask whether the instance has died.
    """

    def __init__(
        self,
        *,
        disks: DiskApi,
        instances: InstanceApi,
        node_slots: slots.NodeSlots,
        time: clock.Clock,
        config: settings.DiskSettings,
        patience_s: float = settings.DETACH_PATIENCE_S,
    ) -> None:
        self._disks = disks
        self._instances = instances
        self._slots = node_slots
        self._clock = time
        self._config = config
        self._patience_s = patience_s

    async def unpublish(self, volume_id: str, instance_id: str) -> None:
        """Like `detach`, unless disks are to stay where they are (DISK_DETACH_DISABLE)."""
        if self._config.keep_attached:
            log.info("disk stays attached", disk_id=volume_id, instance_id=instance_id)
            return
        await self.detach(volume_id, instance_id)

    async def detach(self, volume_id: str, instance_id: str = "") -> None:
        """Return when the disk is off *instance_id*, "" = off every instance.

        A disk that is gone or not attached there is fine. Raises Precondition for a system disk,
        Busy when it is worth another try.
        """
        for turn in range(_REFUSALS_MAX):
            if turn:
                await self._clock.sleep(_LOOK_AGAIN_S)
            disk = await self._disks.read(volume_id)
            if disk is not None and disk.state is ecs_model.DiskState.ATTACHING:
                what = f"disk {volume_id}, which is Attaching, before it can be detached"
                disk = await self._disks.wait(volume_id, attach_plan.is_settled, what=what)
            if disk is None:
                return
            if disk.disk_type != "data":
                raise errors.Precondition(f"disk {volume_id} is a system disk, not a volume")
            targets = attach_plan.choose_detach_targets(disk, instance_id)
            done = [await self._detach(disk, target) for target in targets]
            if all(done):
                await self._forget(disk, instance_id)
                return
        raise errors.Busy(f"disk {volume_id} or {instance_id} stays busy; retry later")

    async def _detach(self, disk: Disk, instance_id: str) -> bool:
        """Whether *disk* is off *instance_id* now; False = the cloud says to look again.

        Of several instances nobody tells which one a Detaching disk leaves: if it is another one,
        this detach has yet to be started; if it is this one, it is refused and only waited for.
        """
        leaving = disk.state is ecs_model.DiskState.DETACHING
        async with self._slots.hold(instance_id, slots.Side.DETACH):
            if not leaving or len(attach_plan.instances_of(disk)) > 1:
                try:
                    await self._start(disk, instance_id)
                except cloud_errors.CloudError as e:
                    if not cloud_codes.matches(e.code, _LOOK_AGAIN):
                        raise
                    log.info("detach refused, looking again", disk_id=disk.disk_id, code=e.code)
                    if not leaving:
                        return False
            await self._wait_off(disk.disk_id, instance_id)
        return True

    async def _start(self, disk: Disk, instance_id: str) -> None:
        with cloud_codes.meaning(
            f"disk {disk.disk_id} cannot be detached from {instance_id}", _MEANINGS
        ):
            await self._disks.detach(
                disk.disk_id,
                instance_id,
                delete_with_instance=category.of(disk.category).single_instance,
            )

    async def _wait_off(self, disk_id: str, instance_id: str) -> None:
        """Wait until the disk is off, or for good reason no longer.

        An instance whose system has died never lets go of a disk by itself, and writes nothing
        either. Then the caller may go on; whoever attaches the disk next waits for the rest.
        """
        what = f"disk {disk_id} to be detached from {instance_id}"

        def off(disk: Disk | None) -> bool:
            return disk is None or instance_id not in attach_plan.instances_of(disk)

        try:
            async with asyncio.timeout(self._patience_s):
                await self._disks.wait(disk_id, off, what=what)
        except TimeoutError:
            if not await self._is_dead(instance_id):
                await self._disks.wait(disk_id, off, what=what)

    async def _is_dead(self, instance_id: str) -> bool:
        """Whether the instance's history tells of a dead system. Best effort: no answer = no."""
        try:
            reasons = await self._instances.history_event_reasons(
                instance_id, self._clock.now() - _EVENTS_BACK
            )
        except errors.Error as e:
            log.warning("history events cannot be read", instance_id=instance_id, error=str(e))
            return False
        fatal = sorted(self._config.fatal_events.intersection(reasons))
        if fatal:
            log.warning("not waiting for a dead instance", instance_id=instance_id, events=fatal)
        return bool(fatal)

    async def _forget(self, disk: Disk, instance_id: str) -> None:
        """Remove the notes of read-only publishes. One that is left behind does no harm."""
        prefix = tags.READ_ONLY
        keys = [k for k in disk.tags if k.startswith(prefix) and k.endswith(instance_id)]
        if not keys:
            return
        try:
            await self._disks.untag(disk.disk_id, keys)
        except cloud_errors.CloudNotFound:
            log.info("disk is gone already", disk_id=disk.disk_id)
