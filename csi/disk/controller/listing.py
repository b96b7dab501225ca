"""What volumes there are, where they are published, and whether they are well."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

from cloud import ecs_model
from core import errors
from csi import paging
from csi.disk.controller import attach_plan, settings, tags

Disk = ecs_model.Disk
State = ecs_model.DiskState


class DiskApi(Protocol):
    """What listing needs of `cloud.ecs_disk.Disks`."""

    async def read(self, disk_id: str) -> Disk | None: ...

    async def list_page(
        self,
        *,
        tags: Mapping[str, str],
        instance_id: str = "",
        max_results: int = paging.PAGE_SIZE,
        next_token: str = "",
    ) -> ecs_model.Page[Disk]: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Health of a volume, for people."""

    abnormal: bool
    message: str


class Lister:
    """Lists the volumes this driver made."""

    def __init__(self, disks: DiskApi, config: settings.DiskSettings) -> None:
        self._disks = disks
        self._config = config

    async def list(self, *, max_entries: int, starting_token: str) -> paging.Listed[Disk]:
        """Disks with our tag (and our cluster's, when CLUSTER_ID is known), 0 = all of them.

        Raises paging.BadToken.
        """
        wanted = {tags.CREATED_BY: tags.CREATED_BY_US}
        if self._config.cluster_id:
            wanted[tags.CLUSTER] = self._config.cluster_id

        async def fetch(token: str) -> ecs_model.Page[Disk]:
            return await self._disks.list_page(
                tags=wanted, max_results=paging.PAGE_SIZE, next_token=token
            )

        return await paging.collect(
            fetch,
            max_entries=max_entries,
            starting_token=starting_token,
            keep=is_volume,
            identify=lambda disk: disk.disk_id,
        )

    async def get(self, volume_id: str) -> Disk:
        """The disk, whoever made it. Raises NotFound."""
        disk = await self._disks.read(volume_id)
        if disk is None or not is_volume(disk):
            raise errors.NotFound(f"volume {volume_id} not found")
        return disk


def is_volume(disk: Disk) -> bool:
    """Whether *disk* can be a volume: system disks are not. Pure."""
    return disk.disk_type == "data"


def published_instances(disk: Disk) -> tuple[str, ...]:
    """Instances that have *disk*, in a stable order. Pure."""
    return tuple(sorted(attach_plan.instances_of(disk)))


def choose_condition(disk: Disk) -> Condition:
    """How *disk* is, as far as the cloud tells. Pure."""
    holders = ", ".join(published_instances(disk))
    match disk.state:
        case State.REINITING:
            return Condition(abnormal=True, message="the disk's content is being replaced")
        case State.UNKNOWN:
            return Condition(abnormal=True, message="the disk is in a state we do not know")
        case State.IN_USE | State.DETACHING if holders:
            return Condition(abnormal=False, message=f"{disk.state} by {holders}")
        case _:
            return Condition(abnormal=False, message=str(disk.state))
