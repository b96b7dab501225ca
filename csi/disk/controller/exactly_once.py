"""Making a disk exactly once, whatever gets lost on the way.

Two things make it so. The disk carries the volume's name in a tag, which is looked up first: that
works for ever. A client token does the same for the moments until the tag can be seen, and between
processes: that works for a day.

A token outlives its disk. Made, deleted and asked for again within the day, CreateDisk answers the
dead disk's id. Then the next token of a chain is used, made from the name and the dead id: each
retry, in any process, walks the same chain and comes to the same disk.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import clock, errors
from csi.disk.controller import cloud_codes, names, tags

log = structlog.get_logger()

_CHAIN_MAX = 100
"""Lives of one name within a day; more is a fault."""
_LOOKS = 5
_LOOK_EVERY_S = 1.0
"""A disk made by somebody else shows up in lists within seconds."""

Disk = ecs_model.Disk


class DiskApi(Protocol):
    """What making a disk needs of `cloud.ecs_disk.Disks`."""

    async def create(self, new: ecs_model.NewDisk, *, client_token: str | None) -> str: ...

    async def read(self, disk_id: str) -> Disk | None: ...

    async def find(
        self, *, tags: Mapping[str, str] | None = None, instance_id: str = ""
    ) -> list[Disk]: ...

    async def tag(self, disk_id: str, tags: Mapping[str, str]) -> None: ...

    async def wait(
        self, disk_id: str, done: Callable[[Disk | None], bool], *, what: str
    ) -> Disk | None: ...


class Creator:
    """Finds and makes the disk of a volume name."""

    def __init__(self, disks: DiskApi, time: clock.Clock) -> None:
        self._disks = disks
        self._clock = time

    async def find(self, name: str) -> Disk | None:
        """The disk that carries volume *name*, None when there is none (yet).

        Raises Internal when several do: deleting one would be a guess.
        """
        found = await self._disks.find(tags={tags.VOLUME_NAME: names.tag_value(name)})
        return _only(found, name)

    async def create(self, name: str, new: ecs_model.NewDisk) -> Disk:
        """The disk made for volume *name* as *new* says, or an earlier one of that name.

        The caller compares what it gets. Raises CloudError; after CloudUnavailable the disk may
        exist, and the next call finds it.
        """
        salt = ""
        for _ in range(_CHAIN_MAX):
            token = names.client_token(name, salt)
            try:
                disk_id = await self._disks.create(new, client_token=token)
            except cloud_errors.CloudError as e:
                if e.code != cloud_codes.IDEMPOTENT_MISMATCH:
                    raise
                disk = await self._look(name)
                if disk is not None:
                    return disk
                # The token was spent on another wish, and that disk is gone.
                log.info("client token spent on a disk that is gone", volume_name=name)
                salt = f"{salt}\0{_wish(new)}"
                continue
            disk = await self._alive(disk_id, name)
            if disk is not None:
                return disk
            log.info("client token answers a deleted disk", volume_name=name, disk_id=disk_id)
            salt = disk_id
        raise errors.Internal(f"volume {name} was made and deleted {_CHAIN_MAX} times in a day")

    async def _look(self, name: str) -> Disk | None:
        """Like `find`, with patience: lists lag behind."""
        for look in range(_LOOKS):
            if look:
                await self._clock.sleep(_LOOK_EVERY_S)
            disk = await self.find(name)
            if disk is not None:
                return disk
        return None

    async def _alive(self, disk_id: str, name: str) -> Disk | None:
        """The disk once it can be read; None when it was deleted.

        Not in a list means deleted or not shown yet. A write knows: TagResources refuses a disk
        that does not exist, and sets nothing new on one that does.
        """
        disk = await self._disks.read(disk_id)
        if disk is not None:
            return disk
        try:
            await self._disks.tag(disk_id, {tags.VOLUME_NAME: names.tag_value(name)})
        except cloud_errors.CloudNotFound:
            return None
        return await self._disks.wait(
            disk_id, lambda seen: seen is not None, what=f"disk {disk_id} to show up"
        )


def _wish(new: ecs_model.NewDisk) -> str:
    """A text that is the same for the same wish."""
    return f"{new.category}/{new.performance_level}/{new.zone_id}/{new.size_gib}/{new.snapshot_id}"


def _only(found: Sequence[Disk], name: str) -> Disk | None:
    if len(found) > 1:
        ids = ", ".join(sorted(disk.disk_id for disk in found))
        raise errors.Internal(
            f"disks {ids} all carry the tag {tags.VOLUME_NAME}={name}; remove it from all but one"
        )
    return found[0] if found else None
