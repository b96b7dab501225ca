"""Finding and making the disk of a volume: the disk carries the volume's name in a tag."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import clock, errors
from csi import token_chain
from csi.disk.controller import cloud_codes, names, tags

_LOOKS = 5

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

        async def create(token: str) -> str:
            return await self._disks.create(new, client_token=token)

        async def find() -> Disk | None:
            return await self.find(name)

        async def read(disk_id: str) -> Disk | None:
            return await self._alive(disk_id, name)

        return await token_chain.make(
            name,
            kind="volume",
            wish=_wish(new),
            create=create,
            is_spent=cloud_codes.is_token_spent,
            find=lambda: token_chain.look(find, self._clock, times=_LOOKS),
            read=read,
        )

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
