"""Volumes of every kind: which kind makes, knows, grows and deletes a volume.

A volume id says nothing about its kind (it is the name of the PersistentVolume, as in the
reference), so the cloud is asked: tags of file systems and access points, records in base
directories. Where the cloud cannot tell, on servers of one's own and for shared directories, the id
does.
"""

import structlog

from cloud import nas_model
from core import errors
from csi.nas import server
from csi.nas.controller import (
    accesspoint,
    adoption,
    filesystem,
    made,
    own_server,
    params,
    search,
    sharepath,
    subpath,
)

log = structlog.get_logger()

Found = adoption.Found


def lock_keys(volume_id: str) -> tuple[str, ...]:
    """What a call about *volume_id* holds, so that it excludes the CreateVolume of its name.

    Raises InvalidField for a broken id.
    """
    own = own_server.parse(volume_id)
    name = sharepath.name_of(volume_id) if own is None else own[1]
    return tuple(dict.fromkeys((f"volume {volume_id}", f"volume {name}")))


def lock_keys_of_new(name: str, parameters: params.Parameters) -> tuple[str, ...]:
    """What a CreateVolume holds: its name, and what a long one becomes in an id.

    Raises InvalidField when no id can be made of it.
    """
    told = name
    match parameters:
        case params.SubpathParameters():
            place = subpath.choose_place(parameters.places, name)
            if not (parameters.file_system_id or server.file_system_id(place.host)):
                told = own_server.short_name(place, name)
        case params.SharepathParameters():
            told = sharepath.name_of(sharepath.volume_id(name))
        case _:
            pass
    return tuple(dict.fromkeys((f"volume {name}", f"volume {told}")))


class Volumes:
    """The four kinds together."""

    def __init__(
        self,
        *,
        subpaths: subpath.Subpaths,
        filesystems: filesystem.Filesystems,
        accesspoints: accesspoint.Accesspoints,
        adoption: adoption.Adoption,
    ) -> None:
        self._adoption = adoption
        self._subpaths = subpaths
        self._filesystems = filesystems
        self._accesspoints = accesspoints
        self._sharepaths = sharepath.Sharepaths()

    def clean_up(self) -> None:
        """Begin to remove what the last process left mounted."""
        self._subpaths.clean_up()

    async def create(self, want: made.VolumeRequest, parameters: params.Parameters) -> made.Made:
        """The volume, made now or before."""
        match parameters:
            case params.SubpathParameters():
                return await self._subpaths.create(want, parameters)
            case params.SharepathParameters():
                return self._sharepaths.create(want, parameters)
            case params.FilesystemParameters():
                return await self._filesystems.create(want, parameters)
            case params.AccesspointParameters():
                return await self._accesspoints.create(want, parameters)

    async def exists(self, volume_id: str) -> bool:
        """Whether there is such a volume. Raises Unsure."""
        if sharepath.is_id(volume_id) or await self.find(volume_id) is not None:
            return True
        return await self._adoption.knows(volume_id)

    async def find(self, volume_id: str) -> Found | None:
        """What the cloud has of the volume, None for nothing. Raises Unsure."""
        unsure: search.Unsure | None = None
        try:
            of_directory = await self._subpaths.find(volume_id)
        except search.Unsure as e:
            of_directory, unsure = None, e
        if of_directory is not None or own_server.is_id(volume_id):
            return of_directory
        file_system = await self._filesystems.find(volume_id)
        if file_system is not None:
            return file_system
        access_points = await self._accesspoints.find(volume_id)
        if not access_points and unsure is not None:
            raise unsure
        return access_points or None

    async def _find_or_adopt(self, volume_id: str) -> Found | None:
        """As `find`; a volume that the existing driver made becomes one of ours."""
        try:
            found = await self.find(volume_id)
        except search.Unsure:
            # Where nobody can look it may not be: its PersistentVolume tells.
            found = await self._adoption.adopt(volume_id)
            if found is None:
                raise
            return found
        return found or await self._adoption.adopt(volume_id)

    async def delete(self, volume_id: str) -> None:
        """Return when the volume is gone as its class said; one that never was is fine."""
        if sharepath.is_id(volume_id):
            self._sharepaths.forget(volume_id)
            return
        match await self._find_or_adopt(volume_id):
            case None:
                # Deleted before; or of the existing driver, and nobody tells of it.
                log.info("no trace of the volume; what it may hold is kept", volume_id=volume_id)
            case sharepath.Shared():
                log.info("the shared directory is kept", volume_id=volume_id)
            case search.Found() as volume:
                await self._subpaths.delete(volume)
            case nas_model.FileSystem() as volume:
                await self._filesystems.delete(volume)
            case volume:
                await self._accesspoints.delete(volume)

    async def expand(self, want: made.ExpandRequest) -> int:
        """Size in bytes afterwards. Raises NotFound, OutOfRange."""
        if sharepath.is_id(want.volume_id):
            return sharepath.size_bytes(want)
        match await self._find_or_adopt(want.volume_id):
            case None:
                raise errors.NotFound(
                    f"volume {want.volume_id} has no record on any file system, and no "
                    "PersistentVolume that a provisioner made tells where it is"
                )
            case sharepath.Shared():
                return sharepath.size_bytes(want)
            case search.Found() as volume:
                return await self._subpaths.expand(volume, want)
            case nas_model.FileSystem() as volume:
                return await self._filesystems.expand(volume, want)
            case volume:
                return await self._accesspoints.expand(volume[0], want)

    async def close(self) -> None:
        """Take no more calls."""
        await self._subpaths.close()
