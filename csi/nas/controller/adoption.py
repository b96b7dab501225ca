"""Volumes that the existing driver made, taken over when they are to grow or to go.

Nothing in the cloud tells of them; their PersistentVolumes do, which are there as long as anybody
may ask. What is told is noted in the cloud first, and from then on the volume is one of ours.
Source: spec/csi-driver.md 3.2, 3.4, 3.5.
"""

from collections.abc import Mapping

import structlog

from cloud import nas_model
from core import errors
from csi import values
from csi.nas import cnfs, layout, paths, server, volume_context
from csi.nas.controller import accesspoint, filesystem, params, search, sharepath, subpath
from kube import api as kube_api
from kube import cnfs as kube_cnfs
from kube import volumes as kube_volumes

log = structlog.get_logger()

VolumeAs = params.VolumeAs
Found = search.Found | nas_model.FileSystem | list[nas_model.AccessPoint] | sharepath.Shared


class Adoption:
    """Finds volumes by their PersistentVolumes. driver_name: whose volumes they must be."""

    def __init__(
        self,
        *,
        kubernetes: kube_api.Api,
        driver_name: str,
        subpaths: subpath.Subpaths,
        filesystems: filesystem.Filesystems,
        accesspoints: accesspoint.Accesspoints,
    ) -> None:
        self._kubernetes = kubernetes
        self._driver_name = driver_name
        self._subpaths = subpaths
        self._filesystems = filesystems
        self._accesspoints = accesspoints

    async def adopt(self, volume_id: str) -> Found | None:
        """The volume; None when no provisioner made one of that id, or nothing is left of it.

        Raises InvalidField for a PersistentVolume that does not say which part of its server is
        the volume, and what the API server and the cloud say.
        """
        volume = await self._read(volume_id)
        if volume is None:
            return None
        context = volume.volume_context
        match _volume_as(context):
            case VolumeAs.SUBPATH:
                found: Found | None = await self._adopt_directory(volume)
            case VolumeAs.FILESYSTEM:
                found = await self._filesystems.adopt(
                    volume.name,
                    volume_context.value(context, "fileSystemId"),
                    delete=_boolean(context, "deleteVolume", default="false"),
                    capacity_bytes=volume.capacity_bytes,
                )
            case VolumeAs.ACCESSPOINT:
                found = await self._adopt_accesspoint(volume)
            case VolumeAs.SHAREPATH:
                return sharepath.Shared()  # nothing of it is the volume's own, so nothing is noted
            case _:
                return None
        if found is not None:
            log.info("volume of the existing driver taken over", volume_id=volume_id)
        return found

    async def knows(self, volume_id: str) -> bool:
        """Whether a provisioner made one of that id. Changes nothing, and asks no cloud."""
        return await self._read(volume_id) is not None

    async def _read(self, volume_id: str) -> kube_volumes.PersistentVolume | None:
        if not layout.is_name(volume_id):  # an id of ours, which tells where the volume is
            return None
        try:
            volume = await kube_volumes.read(self._kubernetes, volume_id)
        except kube_api.NotConfigured:
            return None
        return volume if volume is not None and self._is_ours(volume, volume_id) else None

    def _is_ours(self, volume: kube_volumes.PersistentVolume, volume_id: str) -> bool:
        """What a person wrote, nobody deletes but that person."""
        return (
            volume.driver == self._driver_name
            and volume.provisioned_by == self._driver_name
            and volume.volume_id == volume_id
        )

    async def _adopt_directory(self, volume: kube_volumes.PersistentVolume) -> search.Found | None:
        host, file_system_id = await self._server(volume)
        path = paths.parse(
            "volume_context[path]", volume_context.value(volume.volume_context, "path") or "/"
        )
        base, _, name = path.rpartition("/")
        if name != volume.volume_id:
            raise errors.InvalidField(
                "volume_context[path]",
                f"does not end in the volume's id {volume.volume_id}; what it names may not be the "
                "volume's own, and is left alone",
                value=path,
            )
        told = await kube_volumes.class_parameters(self._kubernetes, volume.storage_class)
        # A class that is gone says nothing, and then nothing is deleted.
        archive = _boolean(told or {}, "archiveOnDelete", default="true")
        return await self._subpaths.adopt(
            name,
            server.Place(host=host, base=base or "/"),
            file_system_id,
            layout.Record(archive=archive, capacity_bytes=volume.capacity_bytes),
        )

    async def _adopt_accesspoint(
        self, volume: kube_volumes.PersistentVolume
    ) -> list[nas_model.AccessPoint] | None:
        """The existing driver tells the file system by its object only."""
        context = volume.volume_context
        file_system_id = volume_context.value(context, "fileSystemId")
        if not file_system_id and volume_context.value(context, cnfs.KEY):
            file_system_id = (await self._object(volume)).file_system_id
        return await self._accesspoints.adopt(
            file_system_id, volume_context.value(context, "accesspointId")
        )

    async def _object(self, volume: kube_volumes.PersistentVolume) -> kube_cnfs.Cnfs:
        """The ContainerNetworkFileSystem of *volume*. Raises Precondition when there is none."""
        name = volume_context.value(volume.volume_context, cnfs.KEY)
        found = await kube_cnfs.read(self._kubernetes, name)
        if found is None:
            raise errors.Precondition(
                f"volume {volume.volume_id} is of ContainerNetworkFileSystem {name}, which is not "
                "there"
            )
        return found

    async def _server(self, volume: kube_volumes.PersistentVolume) -> tuple[str, str]:
        """Server and file system, "" for a server of one's own."""
        told = volume.volume_context
        host, file_system_id = (
            volume_context.value(told, "server"),
            volume_context.value(told, "fileSystemId"),
        )
        if not host and volume_context.value(told, cnfs.KEY):
            found = await self._object(volume)
            host, _ = cnfs.server_and_client(found)
            file_system_id = file_system_id or found.file_system_id
        host = server.parse_host("volume_context[server]", host)
        return host, file_system_id or server.file_system_id(host)


def _volume_as(context: Mapping[str, str]) -> VolumeAs | None:
    """None for a kind that the existing driver does not have."""
    try:
        return VolumeAs(volume_context.value(context, "volumeAs") or VolumeAs.SUBPATH)
    except ValueError:
        return None


def _boolean(told: Mapping[str, str], key: str, *, default: str) -> bool:
    return values.boolean(key, told.get(key, "") or default)
