"""ControllerExpandVolume: grow a disk. The size in the cloud tells what is done already."""

from collections.abc import Mapping
from typing import Protocol

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import call, clock, errors, units
from csi import requests
from csi.disk.controller import capabilities, category, cloud_codes, controller_requests, settled

Disk = ecs_model.Disk
State = ecs_model.DiskState

_LAST_ORDER = "LastOrderProcessing"
_HAS_IT = "InvalidDiskSize.TooSmall"
"""The disk is not smaller than that."""
_RETRY_S = 5.0
_TRIES = 7
"""Every 5 s for 30 s. Source: spec/csi-driver.md 2.10."""
_MEANINGS: Mapping[str, type[errors.Error]] = {
    "InvalidDiskId.NotFound": errors.NotFound,
    "InvalidDiskSize*": errors.OutOfRange,
    "InvalidDataDiskSize*": errors.OutOfRange,
    "InvalidDiskCategory.NotSupported": errors.Precondition,
    "InvalidInstanceStatus.NotRunning": errors.Precondition,
    "IncorrectInstanceStatus": errors.Precondition,
}


class DiskApi(settled.DiskApi, Protocol):
    """What expanding needs of `cloud.ecs_disk.Disks`."""

    async def resize(
        self, disk_id: str, size_gib: int, *, online: bool, client_token: str | None = None
    ) -> None: ...


class Expander:
    """Grows disks."""

    def __init__(self, disks: DiskApi, time: clock.Clock) -> None:
        self._disks = disks
        self._clock = time

    async def expand(self, want: controller_requests.ExpandRequest) -> int:
        """Size of the disk in bytes afterwards, at least what was asked for.

        Raises NotFound, OutOfRange, Precondition when the instance or category does not allow it
        now.
        """
        disk = await settled.require(self._disks, want.volume_id, purpose="it can grow")
        if want.capability is not None:
            capabilities.require((want.capability,), multi_attach=disk.multi_attach, restored=True)
        size_gib = choose_size_gib(disk, want)
        if size_gib > disk.size_gib:
            await self._resize(disk, size_gib)
            grown = await self._disks.wait(
                disk.disk_id,
                lambda d: d is None or d.size_gib >= size_gib,
                what=f"disk {disk.disk_id} to have {size_gib} GiB",
            )
            if grown is None:
                raise errors.NotFound(f"volume {want.volume_id} was deleted while it grew")
            disk = grown
        return units.gib_to_bytes(disk.size_gib)

    async def _resize(self, disk: Disk, size_gib: int) -> None:
        online = disk.state is State.IN_USE
        # The token is the wish itself: after a lost answer the same call is no second resize.
        # Attached or detached meanwhile it is another wish, which may not have the same token.
        token = f"r:{disk.disk_id}:{size_gib}:{'online' if online else 'offline'}"
        for _ in range(_TRIES):
            try:
                await self._disks.resize(disk.disk_id, size_gib, online=online, client_token=token)
            except cloud_errors.CloudError as e:
                if e.code == _HAS_IT:
                    return  # The answer to an earlier call was lost, and lists lag behind.
                if e.code != _LAST_ORDER:
                    with cloud_codes.meaning(
                        f"disk {disk.disk_id} cannot grow to {size_gib} GiB", _MEANINGS
                    ):
                        raise
                call.doing(f"waiting for the last resize of disk {disk.disk_id} to end")
                await self._clock.sleep(_RETRY_S)
            else:
                return
        raise errors.Busy(f"the last resize of disk {disk.disk_id} has not ended; retry later")


def choose_size_gib(disk: Disk, want: controller_requests.ExpandRequest) -> int:
    """Size in GiB the disk shall have; its own when that is enough. Pure.

    Raises OutOfRange when no whole number of GiB fits, or the category has no such disk.
    """
    size_gib = max(disk.size_gib, units.ceil_gib(want.required_bytes))
    if want.limit_bytes and units.gib_to_bytes(size_gib) > want.limit_bytes:
        raise errors.OutOfRange(
            f"disk {disk.disk_id} would have {size_gib} GiB, above "
            f"capacity_range.limit_bytes {want.limit_bytes}"
        )
    kind = category.of(disk.category)
    if size_gib > max(kind.max_gib, disk.size_gib):
        raise errors.OutOfRange(
            f"a {kind.name} disk has at most {kind.max_gib} GiB, asked for {size_gib}"
        )
    return size_gib


def needs_node(capability: requests.VolumeCapability | None) -> bool:
    """Whether a node must grow something too: a file system, or we do not know."""
    return capability is None or capability.access is not requests.AccessType.BLOCK
