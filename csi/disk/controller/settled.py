"""Reading a disk that is to be changed: the cloud refuses changes while a disk is on its way."""

from collections.abc import Callable
from typing import Protocol

from cloud import ecs_model
from core import errors
from csi.disk.controller import attach_plan

Disk = ecs_model.Disk


class DiskApi(Protocol):
    """What reading needs of `cloud.ecs_disk.Disks`."""

    async def read(self, disk_id: str) -> Disk | None: ...

    async def wait(
        self, disk_id: str, done: Callable[[Disk | None], bool], *, what: str
    ) -> Disk | None: ...


async def read(disks: DiskApi, disk_id: str, *, purpose: str) -> Disk | None:
    """The disk, waited for while it is Creating, Attaching or Detaching; None = there is none.

    purpose: for the message when time is up, e.g. "it can grow".
    """
    disk = await disks.read(disk_id)
    if disk is None or attach_plan.is_settled(disk):
        return disk
    what = f"disk {disk_id}, which is {disk.state}, before {purpose}"
    return await disks.wait(disk_id, attach_plan.is_settled, what=what)


async def require(disks: DiskApi, volume_id: str, *, purpose: str, role: str = "volume") -> Disk:
    """Like `read`, but raises NotFound, and Precondition for a system disk."""
    disk = await read(disks, volume_id, purpose=purpose)
    if disk is None:
        raise errors.NotFound(f"{role} {volume_id} not found")
    if disk.disk_type != "data":
        raise errors.Precondition(f"disk {volume_id} is a system disk, not a volume")
    return disk
