"""ControllerPublishVolume: bring a disk to an instance.

The cloud's answer decides each step, so a call that was killed anywhere is resumed by the next one,
in any process. Decisions are in `csi.disk.attachment`.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import structlog

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import clock, errors
from csi.disk.controller import (
    attach_plan,
    capabilities,
    category,
    cloud_codes,
    controller_requests,
    detach,
    settings,
    slots,
    tags,
)

log = structlog.get_logger()

Disk = ecs_model.Disk
Action = attach_plan.AttachAction

_REFUSALS_MAX = 20
_LOOK_AGAIN_S = 1.0
_LOOK_AGAIN = (*cloud_codes.STATE_CHANGED, *cloud_codes.INSTANCE_BUSY)
_MEANINGS: Mapping[str, type[errors.Error]] = {
    "InvalidInstanceId*": errors.NotFound,
    "InvalidDiskId.NotFound": errors.NotFound,
    "InstanceDiskLimitExceeded": errors.Exhausted,
    "DiskAttachedNumberExceeded": errors.Exhausted,
    "InvalidInstanceType.NotSupport*": errors.Precondition,
    "NotSupportDiskCategory": errors.Precondition,
    "DiskNotPortable": errors.Precondition,
    "ResourcesNotInSameZone": errors.Precondition,
    "DiskInArrears": errors.Precondition,
    "IncorrectInstanceStatus": errors.Busy,
}


class DiskApi(detach.DiskApi, Protocol):
    """What attaching needs of `cloud.ecs_disk.Disks`."""

    async def attach(
        self,
        disk_id: str,
        instance_id: str,
        *,
        force: bool = False,
        delete_with_instance: bool = False,
    ) -> None: ...

    async def tag(self, disk_id: str, tags: Mapping[str, str]) -> None: ...


class Attacher:
    """Attaches disks. patience_s: a detach that takes longer is taken for one that hangs."""

    def __init__(
        self,
        *,
        disks: DiskApi,
        detacher: detach.Detacher,
        node_slots: slots.NodeSlots,
        time: clock.Clock,
        config: settings.DiskSettings,
        patience_s: float = settings.DETACH_PATIENCE_S,
    ) -> None:
        self._disks = disks
        self._patience_s = patience_s
        self._detacher = detacher
        self._slots = node_slots
        self._clock = time
        self._config = config

    async def attach(self, want: controller_requests.PublishRequest) -> Disk:
        """The disk, attached to the instance.

        Raises NotFound for disk or instance, Precondition when the disk is in use elsewhere or
        does not fit the instance, Exists when it is published there with another readonly flag,
        Exhausted when the instance takes no more disks, Busy when it is worth another try.
        """
        disk = await self._disks.read(want.volume_id)
        waited = False
        for _ in range(_REFUSALS_MAX):
            disk = _require(disk, want)
            match self._choose(disk, want):
                case Action.NOTHING:
                    _require_same_readonly(disk, want)
                    return disk
                case Action.WAIT:
                    what = f"disk {disk.disk_id}, which is {disk.state}, before it can be attached"
                    disk = await self._disks.wait(disk.disk_id, attach_plan.is_settled, what=what)
                    continue
                case Action.FORCE_ATTACH if not waited:
                    waited = True
                    disk = await self._wait_a_while(disk)
                    continue
                case Action.DETACH_FIRST:
                    log.warning("taking a disk from its instance", disk_id=disk.disk_id)
                    await self._detacher.detach(disk.disk_id)
                case Action.ATTACH | Action.FORCE_ATTACH as action:
                    attached = await self._attach(disk, want, force=action is Action.FORCE_ATTACH)
                    if attached is not None:
                        return attached
                    if disk.state is ecs_model.DiskState.DETACHING:
                        disk = await self._wait_a_while(disk)
                        continue
                    await self._clock.sleep(_LOOK_AGAIN_S)
            disk = await self._disks.read(want.volume_id)
        raise errors.Busy(f"disk {want.volume_id} or {want.instance_id} stays busy; retry later")

    async def _wait_a_while(self, disk: Disk) -> Disk | None:
        """The disk when its detach has ended, or has had its time: only then it hangs."""
        what = f"disk {disk.disk_id}, which is {disk.state}, before it is asked for again"
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._disks.wait(disk.disk_id, attach_plan.is_settled, what=what)
        except TimeoutError:
            return await self._disks.read(disk.disk_id)

    def _choose(self, disk: Disk, want: controller_requests.PublishRequest) -> Action:
        return attach_plan.choose_attach_action(
            disk,
            want.instance_id,
            shared=want.capability.mode.multi_node,
            may_steal=self._config.steal_on_attach,
        )

    async def _attach(
        self, disk: Disk, want: controller_requests.PublishRequest, *, force: bool
    ) -> Disk | None:
        """The attached disk, None when the cloud refused because something has changed."""
        instance_id = want.instance_id
        await self._note(disk, want)
        async with self._slots.hold(instance_id, slots.Side.ATTACH):
            try:
                with cloud_codes.meaning(
                    f"disk {disk.disk_id} cannot be attached to {instance_id}", _MEANINGS
                ):
                    await self._disks.attach(
                        disk.disk_id,
                        instance_id,
                        force=force,
                        delete_with_instance=category.of(disk.category).single_instance,
                    )
            except cloud_errors.CloudError as e:
                if cloud_codes.matches(e.code, _LOOK_AGAIN):
                    log.info("attach refused, looking again", disk_id=disk.disk_id, code=e.code)
                    return None
                raise
            attached = await self._disks.wait(
                disk.disk_id,
                lambda d: d is None or attach_plan.is_attached(d, instance_id),
                what=f"disk {disk.disk_id} to be attached to {instance_id}",
            )
        return _require(attached, want)

    async def _note(self, disk: Disk, want: controller_requests.PublishRequest) -> None:
        """Note on the disk how it will be published, before it is: a crash leaves the truth.

        A note left by an earlier publish on the same instance is removed.
        """
        key = tags.read_only_key(want.instance_id)
        noted = want.readonly and not want.capability.mode.reader_only
        wanted = {key: "true"} if noted else {}
        if self._config.tag_on_attach:
            wanted[tags.MANAGED] = "true"
        missing = {k: v for k, v in wanted.items() if disk.tags.get(k) != v}
        if missing:
            await self._disks.tag(disk.disk_id, missing)
        if key in disk.tags and not noted:
            await self._disks.untag(disk.disk_id, [key])


def _require(disk: Disk | None, want: controller_requests.PublishRequest) -> Disk:
    """*disk*, if it is there and can serve what is wanted."""
    if disk is None:
        raise errors.NotFound(f"volume {want.volume_id} not found")
    if disk.disk_type != "data":
        raise errors.Precondition(f"disk {disk.disk_id} is a system disk, not a volume")
    capabilities.require((want.capability,), multi_attach=disk.multi_attach, restored=True)
    if not disk.serial_number:
        raise errors.Precondition(
            f"disk {disk.disk_id} has no serial number, so a node cannot recognise it; it is from "
            f"before 2020-06-10: make a new disk from a snapshot of it"
        )
    return disk


def _require_same_readonly(disk: Disk, want: controller_requests.PublishRequest) -> None:
    """Raise Exists when *disk* is published on the instance with the other readonly flag.

    In a mode in which nobody writes the flag says nothing, and is not noted: a disk of sixteen
    instances has not tags enough.
    """
    if want.capability.mode.reader_only:
        return
    noted = tags.read_only_key(want.instance_id) in disk.tags
    if noted != want.readonly:
        raise errors.Exists(
            f"volume {disk.disk_id} is published on {want.instance_id} with "
            f"readonly={str(noted).lower()} already"
        )
