"""ControllerModifyVolume: type, performance and tags of a disk.

All or nothing: everything is checked first, at last by a dry run in the cloud. A task that an
earlier call or process has started is waited for, so a retry resumes.
Source: spec/csi-driver.md 2.10.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import clock, errors
from csi.disk.controller import category, cloud_codes, mutable_params, settled, tags

log = structlog.get_logger()

Disk = ecs_model.Disk

_FIELD = "mutable_parameters"
_NOT_READY = ("InvalidStatus.DiskNotReady", "IncorrectDiskStatus*")
_BURSTING_LATER = "BurstingEnabledForModifyingDiskUnsupported"
_BURSTING_TRIES = 3
_BURSTING_RETRY_S = 2.0
_DRY_RUNS = 3
_PROCESSING = "Processing"
_FAILED = "Failed"
_MEANINGS: Mapping[str, type[errors.Error]] = {
    "InvalidDiskId.NotFound": errors.NotFound,
    "InvalidParameter*": errors.Invalid,
    "InvalidDiskCategory*": errors.Invalid,
    "InvalidPerformanceLevel*": errors.Invalid,
    "InvalidProvisionedIops*": errors.Invalid,
    "InvalidInstanceType.NotSupport*": errors.Precondition,
    "OperationDenied.NoStock": errors.Exhausted,
    "OperationDenied*": errors.Precondition,
    "DiskInCoolingPeriod": errors.Precondition,
    "ModifyingDiskCategoryLimitExceed": errors.Precondition,
    "InvalidOperation*": errors.Precondition,
    **dict.fromkeys(_NOT_READY, errors.Busy),
}


class DiskApi(settled.DiskApi, Protocol):
    """What modifying needs of `cloud.ecs_disk.Disks`."""

    async def modify_spec(
        self,
        disk_id: str,
        *,
        category: str = "",
        performance_level: str = "",
        provisioned_iops: int | None = None,
        dry_run: bool = False,
    ) -> str: ...

    async def modify_bursting(self, disk_id: str, *, enabled: bool) -> None: ...

    async def tag(self, disk_id: str, tags: Mapping[str, str]) -> None: ...

    async def untag(self, disk_id: str, keys: Sequence[str]) -> None: ...

    async def latest_spec_task(self, disk_id: str) -> ecs_model.SpecTask | None: ...

    async def wait_spec_task(self, task_id: str) -> ecs_model.SpecTask: ...


class Modifier:
    """Changes disks."""

    def __init__(self, disks: DiskApi, time: clock.Clock) -> None:
        self._disks = disks
        self._clock = time

    async def modify(self, volume_id: str, wanted: mutable_params.MutableParameters) -> None:
        """Return when the disk is as *wanted*.

        Raises NotFound, Invalid for what the disk cannot become, Precondition while the cloud
        does not allow it, Busy when it is worth another try.
        """
        disk = await settled.require(self._disks, volume_id, purpose="it can be changed")
        require_change(disk, wanted)
        wanted = _without_needless(disk, wanted)
        dirty = wanted.changes_spec and await self._is_dirty(disk, wanted)
        await self._retag(disk, wanted)
        if dirty:
            await self._change(disk, wanted)
        await self._switch_bursting(disk, wanted, changed=dirty)

    async def _is_dirty(self, disk: Disk, wanted: mutable_params.MutableParameters) -> bool:
        """Whether ModifyDiskSpec would change something. Raises what it would be refused for."""
        for _ in range(_DRY_RUNS):
            try:
                await self._modify_spec(disk, wanted, dry_run=True)
            except cloud_errors.CloudError as e:
                if e.code == cloud_codes.DRY_RUN_PASSED:
                    return True
                if e.code == cloud_codes.NO_CHANGE:
                    return False
                raise
            except errors.Busy:
                task = await self._disks.latest_spec_task(disk.disk_id)
                if task is None or task.status != _PROCESSING:
                    raise
                log.info("waiting for an earlier change", disk_id=disk.disk_id, task=task.task_id)
                await self._disks.wait_spec_task(task.task_id)
            else:
                raise errors.Internal("the cloud answered a dry run as if it had been done")
        raise errors.Busy(f"disk {disk.disk_id} is being changed by somebody else; retry later")

    async def _change(self, disk: Disk, wanted: mutable_params.MutableParameters) -> None:
        task_id = await self._modify_spec(disk, wanted, dry_run=False)
        task = await self._disks.wait_spec_task(task_id)
        if task.status == _FAILED:
            raise errors.Internal(f"the cloud could not change disk {disk.disk_id}: task {task_id}")
        log.info("disk changed", disk_id=disk.disk_id, task=task_id)

    async def _modify_spec(
        self, disk: Disk, wanted: mutable_params.MutableParameters, *, dry_run: bool
    ) -> str:
        with cloud_codes.meaning(f"disk {disk.disk_id} cannot be changed", _MEANINGS):
            return await self._disks.modify_spec(
                disk.disk_id,
                category=wanted.category,
                performance_level=wanted.performance_level,
                provisioned_iops=wanted.provisioned_iops,
                dry_run=dry_run,
            )

    async def _retag(self, disk: Disk, wanted: mutable_params.MutableParameters) -> None:
        """Remove first: there is a limit to tags."""
        removed = [key for key in wanted.remove_tags if key in disk.tags]
        if removed:
            await self._disks.untag(disk.disk_id, removed)
        added = {k: v for k, v in wanted.add_tags.items() if disk.tags.get(k) != v}
        if added:
            await self._disks.tag(disk.disk_id, added)

    async def _switch_bursting(
        self, disk: Disk, wanted: mutable_params.MutableParameters, *, changed: bool
    ) -> None:
        enabled = wanted.bursting_enabled
        if enabled is None or not _target(disk, wanted).provisions:
            return
        if enabled == disk.bursting_enabled and not changed:
            return
        for tries_left in reversed(range(_BURSTING_TRIES)):
            try:
                await self._disks.modify_bursting(disk.disk_id, enabled=enabled)
            except cloud_errors.CloudError as e:
                if e.code != _BURSTING_LATER or not tries_left:
                    raise
                await self._clock.sleep(_BURSTING_RETRY_S)
            else:
                return


def require_change(disk: Disk, wanted: mutable_params.MutableParameters) -> None:
    """Raise InvalidField for what *disk* cannot become, as far as tables know. Pure."""
    target = _target(disk, wanted)
    mutable_params.require_possible(_FIELD, wanted, target)
    smallest = target.min_gib_of(wanted.performance_level)
    if wanted.changes_spec and not smallest <= disk.size_gib <= target.max_gib:
        raise errors.InvalidField(
            f"{_FIELD}[{'performanceLevel' if wanted.performance_level else 'type'}]",
            f"does not fit a disk of {disk.size_gib} GiB",
            value=wanted.performance_level or wanted.category,
            allowed=f"with {smallest} to {target.max_gib} GiB",
        )
    if wanted.provisioned_iops:
        fault = category.provisioned_iops_fault(disk.size_gib, wanted.provisioned_iops)
        if fault:
            raise errors.InvalidField(f"{_FIELD}[provisionedIops]", f"does not fit: {fault}")
    kept = {key for key in disk.tags if key not in wanted.remove_tags}
    tags.require_count(kept | set(wanted.add_tags))


def _without_needless(
    disk: Disk, wanted: mutable_params.MutableParameters
) -> mutable_params.MutableParameters:
    """*wanted* without "no provisioned IOPS" for a type that has none: the cloud may refuse it."""
    if _target(disk, wanted).provisions:
        return wanted
    return dataclasses.replace(wanted, provisioned_iops=None)


def _target(disk: Disk, wanted: mutable_params.MutableParameters) -> category.Category:
    return category.of(wanted.category or disk.category)
