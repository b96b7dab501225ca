"""volumeAs=filesystem: a file system of its own for each volume.

The file system carries the volume's name in a tag from its first moment, so whoever retries finds
it; a client token covers the time until the tag can be seen. Source: spec/csi-driver.md 3.4.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from cloud import errors as cloud_errors
from cloud import nas_model
from core import clock, errors, units
from csi import token_chain
from csi.nas import topology
from csi.nas.controller import filesystem_plan, made, params, settings, tags

log = structlog.get_logger()

FileSystem = nas_model.FileSystem
Type = nas_model.FileSystemType

_LOOKS = 3
"""A file system made by somebody else shows up in lists within seconds."""
_EXTREME_PATH = "/share"
_NOT_EMPTY = ("OperationDenied.MountTargetNotEmpty", "InvalidFileSystem.MountTargetExists")


class FileSystemApi(Protocol):
    """What is needed of `cloud.nas_file_systems.FileSystems`."""

    async def create(self, new: nas_model.NewFileSystem, *, client_token: str) -> str: ...

    async def read(self, file_system_id: str) -> FileSystem | None: ...

    async def find(self, *, tags: Mapping[str, str | None]) -> list[FileSystem]: ...

    async def tag(self, file_system_id: str, tags: Mapping[str, str]) -> None: ...

    async def wait(
        self, file_system_id: str, done: Callable[[FileSystem | None], bool], *, what: str
    ) -> FileSystem | None: ...

    async def create_mount_target(
        self, file_system_id: str, new: nas_model.NewMountTarget
    ) -> str: ...

    async def delete_mount_target(self, file_system_id: str, domain: str) -> None: ...

    async def grow(self, file_system_id: str, capacity_gib: int, *, client_token: str) -> None: ...

    async def delete(self, file_system_id: str) -> None: ...


class AccessPointApi(Protocol):
    """What is needed of `cloud.nas_access_points.AccessPoints`."""

    async def find(self, *, file_system_id: str = "") -> list[nas_model.AccessPoint]: ...


class Zones(Protocol):
    """Finds a zone for a new file system."""

    async def of_vswitch(self, vswitch_id: str) -> str: ...


class Filesystems:
    """Makes, grows and deletes such volumes."""

    def __init__(
        self,
        *,
        api: FileSystemApi,
        points: AccessPointApi,
        zones: Zones,
        time: clock.Clock,
        config: settings.NasSettings,
    ) -> None:
        self._api = api
        self._points = points
        self._clock = time
        self._zones = zones
        self._config = config

    async def create(
        self, want: made.VolumeRequest, parameters: params.FilesystemParameters
    ) -> made.Made:
        """The volume, made now or before, with an active mount target.

        Raises Exists when it was made otherwise; OutOfRange for a size it cannot have.
        """
        capacity_gib = filesystem_plan.choose_capacity_gib(want, parameters)
        size_bytes = units.gib_to_bytes(capacity_gib) or want.required_bytes or want.limit_bytes
        found = await self.find(want.name)
        if found is None:
            vswitch_id, zone_id = await self._choose_vswitch(want, parameters)
            if self._config.topology:
                topology.require_reachable(zone_id, want.zone_ids)
            new = filesystem_plan.new_file_system(
                want.name,
                parameters,
                size_bytes=size_bytes,
                zone_id=zone_id,
                vswitch_id=vswitch_id,
                cluster_id=self._config.cluster_id,
            )
            found = await self._create(want.name, new)
        filesystem_plan.require_same(found, want.name, parameters, size_bytes)
        target = await self._mount_target(found, want, parameters)
        return made.Made(
            want.name,
            size_bytes,
            {
                **parameters.context,
                "fileSystemId": found.file_system_id,
                "fileSystemType": found.type.value,
                "server": target.domain,
                "path": _EXTREME_PATH if found.type is Type.EXTREME else "/",
                "deleteVolume": "true" if parameters.delete else "false",
                **filesystem_plan.version(want),
            },
            zone_id=found.zone_id,
        )

    async def find(self, name: str) -> FileSystem | None:
        """The file system that was made for volume *name*, None when there is none (yet).

        Raises Internal when several carry its name: deleting one would be a guess.
        """
        found = await self._api.find(tags={tags.VOLUME_NAME: name})
        if len(found) > 1:
            ids = ", ".join(sorted(each.file_system_id for each in found))
            raise errors.Internal(
                f"file systems {ids} all carry the tag {tags.VOLUME_NAME}={name}; remove it from "
                "all but one"
            )
        return found[0] if found else None

    async def adopt(
        self, name: str, file_system_id: str, *, delete: bool, capacity_bytes: int
    ) -> FileSystem | None:
        """Note that another driver made the file system for volume *name*; None when it is gone.

        Raises Precondition for another volume's; and, when it is to be deleted, for one that holds
        volumes as directories, or carries no tag of any driver: it may be somebody's own.
        """
        found = await self._api.read(file_system_id) if file_system_id else None
        if found is None:
            return None
        other = found.tags.get(tags.VOLUME_NAME, name)
        if other != name:
            raise errors.Precondition(
                f"file system {file_system_id} of volume {name} is volume {other}'s"
            )
        if delete:
            _require_no_directories(found)
        if delete and tags.MANAGED not in found.tags:
            raise errors.Precondition(
                f"file system {file_system_id} of volume {name} does not carry the tag "
                f"{tags.MANAGED}, so it may not have been made for a volume; delete it yourself, "
                "or set the tag to true"
            )
        wanted = {
            tags.VOLUME_NAME: name,
            tags.DELETE_VOLUME: "true" if delete else "false",
            tags.CAPACITY: str(capacity_bytes),
        }
        await self._api.tag(file_system_id, wanted)
        return dataclasses.replace(found, tags={**found.tags, **wanted})

    async def delete(self, found: FileSystem) -> None:
        """Delete the file system, if its class said so, with its mount targets; else keep it.

        Raises Precondition when another volume is on it: as a directory, or as an access point.
        """
        file_system_id = found.file_system_id
        if found.tags.get(tags.DELETE_VOLUME) != "true":
            log.info("file system kept: deleteVolume is not true", file_system_id=file_system_id)
            return
        tags.require_own(
            f"file system {file_system_id}", found.tags, cluster_id=self._config.cluster_id
        )
        _require_no_directories(found)
        await self._require_no_access_points(found)
        for target in found.mount_targets:
            await self._api.delete_mount_target(file_system_id, target.domain)
        if found.mount_targets:
            await self._api.wait(
                file_system_id,
                lambda seen: seen is None or not seen.mount_targets,
                what=f"the mount targets of file system {file_system_id} to go",
            )
        try:
            await self._api.delete(file_system_id)
        except cloud_errors.CloudError as e:
            if e.code in _NOT_EMPTY:
                raise errors.Busy(
                    f"file system {file_system_id} still has mount targets; retry later: {e}"
                ) from e
            raise
        await self._api.wait(
            file_system_id,
            lambda seen: seen is None,
            what=f"file system {file_system_id} to be deleted",
        )

    async def expand(self, found: FileSystem, want: made.ExpandRequest) -> int:
        """Size in bytes afterwards. General-purpose NAS has no size: what was asked for is told."""
        if found.type is not Type.EXTREME:
            return want.required_bytes or want.limit_bytes
        size_gib = max(found.capacity_gib, units.ceil_gib(want.required_bytes))
        made.require_within(want, units.gib_to_bytes(size_gib))
        if size_gib > found.capacity_gib:
            file_system_id = found.file_system_id
            await self._api.grow(
                file_system_id,
                size_gib,
                client_token=token_chain.client_token(file_system_id, str(size_gib)),
            )
            await self._api.wait(
                file_system_id,
                lambda seen: seen is None or seen.capacity_gib >= size_gib,
                what=f"file system {file_system_id} to have {size_gib} GiB",
            )
        return units.gib_to_bytes(size_gib)

    async def _require_no_access_points(self, found: FileSystem) -> None:
        """Raise Precondition before its mount targets go: without them nobody reaches the files.

        Raises Denied when we may not look: to go on would be a guess.
        """
        if found.type is not Type.STANDARD:
            return  # no other type has any, and the API need not know what is asked for
        file_system_id = found.file_system_id
        try:
            there = await self._points.find(file_system_id=file_system_id)
        except cloud_errors.CloudNotFound:
            return  # with the file system
        except cloud_errors.CloudDenied as e:
            raise errors.Denied(
                f"file system {file_system_id} is kept: whether other volumes are access points "
                f"of it cannot be told; allow nas:DescribeAccessPoints by the RAM policy: {e}"
            ) from e
        if there:
            told = ", ".join(sorted(each.access_point_id for each in there))
            raise errors.Precondition(
                f"file system {file_system_id} has access points: {told}; delete them first"
            )

    async def _create(self, name: str, new: nas_model.NewFileSystem) -> FileSystem:
        """The file system made as *new* says, once, whatever gets lost on the way."""
        return await token_chain.make(
            name,
            kind="volume",
            wish=f"{new.type}/{new.storage_type}/{new.zone_id}/{new.capacity_gib}",
            create=lambda token: self._api.create(new, client_token=token),
            is_spent=lambda e: isinstance(e, cloud_errors.CloudExists),
            find=lambda: token_chain.look(lambda: self.find(name), self._clock, times=_LOOKS),
            read=lambda made: self._read_made(name, made),
        )

    async def _read_made(self, name: str, file_system_id: str) -> FileSystem | None:
        """The file system that a token led to, None when it was deleted since.

        Raises Unavailable while lists do not show it: to take it for deleted would make another.
        """
        found = await token_chain.look(
            lambda: self._api.read(file_system_id), self._clock, times=_LOOKS
        )
        if found is not None:
            return found
        try:
            # What changes a file system does not lag behind; and the tag is there already.
            await self._api.tag(file_system_id, {tags.VOLUME_NAME: name})
        except cloud_errors.CloudNotFound:
            return None
        raise errors.Unavailable(
            f"file system {file_system_id} of volume {name} does not show up yet; retry"
        )

    async def _mount_target(
        self, found: FileSystem, want: made.VolumeRequest, parameters: params.FilesystemParameters
    ) -> nas_model.MountTarget:
        """An active mount target in the class's VPC, made when there is none at all."""
        file_system_id = found.file_system_id
        ready = await self._api.wait(
            file_system_id,
            lambda seen: seen is None or seen.status.lower() != "pending",
            what=f"file system {file_system_id} to be made",
        )
        if ready is None:
            raise errors.Unavailable(f"file system {file_system_id} was deleted meanwhile; retry")
        if not ready.mount_targets:
            vswitch_id, _ = await self._choose_vswitch(want, parameters)
            await self._api.create_mount_target(
                file_system_id,
                nas_model.NewMountTarget(
                    vpc_id=parameters.vpc_id,
                    vswitch_id=vswitch_id,
                    access_group=parameters.access_group,
                ),
            )

        def is_ready(seen: FileSystem | None) -> bool:
            return seen is None or choose(seen) is not None

        def choose(seen: FileSystem) -> nas_model.MountTarget | None:
            return filesystem_plan.choose_mount_target(seen, want.name, parameters.vpc_id)

        ready = await self._api.wait(
            file_system_id,
            is_ready,
            what=f"a mount target of file system {file_system_id} to become Active",
        )
        target = None if ready is None else choose(ready)
        if target is None:
            raise errors.Unavailable(f"file system {file_system_id} was deleted meanwhile; retry")
        return target

    async def _choose_vswitch(
        self, want: made.VolumeRequest, parameters: params.FilesystemParameters
    ) -> tuple[str, str]:
        """(vSwitch, zone) for the file system."""
        zone_of = {each: await self._zones.of_vswitch(each) for each in parameters.vswitch_ids}
        wanted = (parameters.zone_id,) if parameters.zone_id else want.zone_ids
        return filesystem_plan.choose_vswitch(zone_of, wanted, parameters.zone_id)


def _require_no_directories(found: FileSystem) -> None:
    """Raise Precondition for a file system that is the server of other volumes."""
    if tags.SUBPATHS in found.tags:
        raise errors.Precondition(
            f"file system {found.file_system_id} holds volumes as directories; when nobody needs "
            f"them, remove its tags {tags.SUBPATHS}…, or delete it yourself"
        )
