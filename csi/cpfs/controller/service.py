"""The Controller service of the CPFS driver: parse, lock, service, respond."""

from typing import Any, Protocol

from cloud import errors as cloud_errors
from cloud import nas_model
from core import errors, keyed_lock
from csi import answers, requests, values
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.cpfs import handles, node_ids, volume_context
from csi.cpfs.controller import attach, filesets, params

_Rpc = csi_pb2.ControllerServiceCapability.RPC

CAPABILITIES = (
    _Rpc.CREATE_DELETE_VOLUME,
    _Rpc.PUBLISH_UNPUBLISH_VOLUME,
    _Rpc.EXPAND_VOLUME,
    _Rpc.SINGLE_NODE_MULTI_WRITER,
)
FS_TYPE = "bmcpfs"


class FileSystemApi(Protocol):
    """What is needed of `cloud.nas_file_systems.FileSystems`."""

    async def read(self, file_system_id: str) -> nas_model.FileSystem | None: ...


class ControllerServicer(csi_pb2_grpc.ControllerServicer):
    """Makes, publishes, grows and deletes volumes; one call per volume and node at a time."""

    def __init__(
        self, do: filesets.Filesets, links: attach.Attachments, file_systems: FileSystemApi
    ) -> None:
        self._do = do
        self._links = links
        self._file_systems = file_systems
        self._locks = keyed_lock.KeyedLock()

    async def CreateVolume(
        self, request: csi_pb2.CreateVolumeRequest, context: Any
    ) -> csi_pb2.CreateVolumeResponse:
        name = values.directory_name("name", requests.name(request.name))
        _require_supported(requests.capabilities(request.volume_capabilities))
        required_bytes, limit_bytes = requests.capacity_range(request.capacity_range)
        wish = params.parse(requests.string_map("parameters", request.parameters))
        requests.check_secrets(request.secrets)
        requests.require_empty_volume(request)
        size_bytes = params.choose_size_bytes(required_bytes, limit_bytes)
        with self._locks.hold(f"volume {name}"):
            await self._require_file_system(wish.file_system_id)
            made = await self._do.create(name, size_bytes, wish)
        return csi_pb2.CreateVolumeResponse(
            volume=csi_pb2.Volume(
                volume_id=str(handles.Handle(wish.file_system_id, made.fileset_id)),
                capacity_bytes=size_bytes,
                volume_context={
                    **wish.context,
                    volume_context.PATH: made.path.rstrip("/"),
                    volume_context.FILESET_ID: made.fileset_id,
                    volume_context.VOLUME_TYPE: volume_context.VOLUME_TYPE_VALUE,
                },
            )
        )

    async def DeleteVolume(
        self, request: csi_pb2.DeleteVolumeRequest, context: Any
    ) -> csi_pb2.DeleteVolumeResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        requests.check_secrets(request.secrets)
        handle = handles.Handle.parse(volume_id)
        if handle is None:
            return csi_pb2.DeleteVolumeResponse()  # never was one of ours
        if not handle.fileset_id:
            raise errors.Precondition(
                f"volume {volume_id} is a whole file system and is not deleted by this driver; set "
                "the PersistentVolume's reclaim policy to Retain, and delete the file system in "
                "the console if it is to go"
            )
        with self._locks.hold(f"volume {volume_id}"):
            await self._do.delete(handle)
        return csi_pb2.DeleteVolumeResponse()

    async def ControllerPublishVolume(
        self, request: csi_pb2.ControllerPublishVolumeRequest, context: Any
    ) -> csi_pb2.ControllerPublishVolumeResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        node_id = requests.node_id(request.node_id)
        _require_supported((requests.capability(request.volume_capability),))
        requests.check_secrets(request.secrets)
        told = volume_context.parse(requests.string_map("volume_context", request.volume_context))
        file_system, fileset = await self._find(volume_id)
        node = node_ids.NodeId.parse(node_id)
        if node is None:
            raise errors.NotFound(
                f"node {node_id} is none of this driver's, whose ids begin with "
                f"{', '.join(f'{each}:' for each in node_ids.Reach)}"
            )
        if fileset is not None:
            volume_context.require_in_fileset(volume_id, told.path, fileset.path)
        want = attach.Publishing(file_system=file_system, node=node, volume=told)
        with self._locks.hold(f"volume {volume_id} on {node_id}"):
            answer = await self._links.publish(want)
        return csi_pb2.ControllerPublishVolumeResponse(publish_context=answer)

    async def ControllerUnpublishVolume(
        self, request: csi_pb2.ControllerUnpublishVolumeRequest, context: Any
    ) -> csi_pb2.ControllerUnpublishVolumeResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        node_id = requests.optional("node_id", request.node_id, max_bytes=256)
        requests.check_secrets(request.secrets)
        handle, node = handles.Handle.parse(volume_id), node_ids.NodeId.parse(node_id)
        if handle is not None and node is not None:
            with self._locks.hold(f"volume {volume_id} on {node_id}"):
                await self._links.unpublish(handle.file_system_id, node)
        return csi_pb2.ControllerUnpublishVolumeResponse()

    async def ControllerExpandVolume(
        self, request: csi_pb2.ControllerExpandVolumeRequest, context: Any
    ) -> csi_pb2.ControllerExpandVolumeResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        required_bytes, limit_bytes = requests.required_capacity_range(request)
        requests.check_secrets(request.secrets)
        if request.HasField("volume_capability"):
            _require_supported((requests.capability(request.volume_capability),))
        handle = _require_known(volume_id)
        if not handle.fileset_id:
            raise errors.Precondition(
                f"volume {volume_id} is a whole file system, which has no quota; only filesets grow"
            )
        with self._locks.hold(f"volume {volume_id}"):
            size_bytes = await self._do.expand(handle, required_bytes, limit_bytes)
        return csi_pb2.ControllerExpandVolumeResponse(
            capacity_bytes=size_bytes, node_expansion_required=False
        )

    async def ValidateVolumeCapabilities(
        self, request: csi_pb2.ValidateVolumeCapabilitiesRequest, context: Any
    ) -> csi_pb2.ValidateVolumeCapabilitiesResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        capabilities = requests.capabilities(request.volume_capabilities)
        requests.check_secrets(request.secrets)
        await self._find(volume_id)
        try:
            _require_supported(capabilities)
        except errors.InvalidField as e:
            return answers.validated(request, str(e))
        return answers.validated(request, "")

    async def ControllerGetCapabilities(
        self, request: csi_pb2.ControllerGetCapabilitiesRequest, context: Any
    ) -> csi_pb2.ControllerGetCapabilitiesResponse:
        return answers.controller_capabilities(CAPABILITIES)

    async def close(self) -> None:
        """Take no more calls."""
        await self._links.close()

    async def _find(self, volume_id: str) -> tuple[nas_model.FileSystem, nas_model.Fileset | None]:
        """The volume's file system, and its fileset if it is one. Raises NotFound without them."""
        handle = _require_known(volume_id)
        file_system = await self._read(handle.file_system_id)
        fileset = await self._do.read(handle) if file_system and handle.fileset_id else None
        if file_system is None or (handle.fileset_id and fileset is None):
            raise errors.NotFound(f"volume {volume_id} does not exist")
        return file_system, fileset

    async def _require_file_system(self, file_system_id: str) -> None:
        if await self._read(file_system_id) is None:
            raise errors.InvalidField(
                "parameters[bmcpfsId]", "does not exist in this region", value=file_system_id
            )

    async def _read(self, file_system_id: str) -> nas_model.FileSystem | None:
        try:
            return await self._file_systems.read(file_system_id)
        except cloud_errors.CloudNotFound:
            return None


def _require_known(volume_id: str) -> handles.Handle:
    """Raises NotFound: what is no id of ours is no volume of ours."""
    handle = handles.Handle.parse(volume_id)
    if handle is None:
        raise errors.NotFound(f"volume {volume_id} does not exist; ids are bmcpfs-…[+fset-…]")
    return handle


def _require_supported(capabilities: tuple[requests.VolumeCapability, ...]) -> None:
    requests.require_mount(capabilities, "CPFS")
    for capability in capabilities:
        if capability.fs_type not in ("", FS_TYPE):
            raise errors.InvalidField(
                "volume_capability.mount.fs_type",
                "is not what CPFS is",
                value=capability.fs_type,
                allowed=f"none, or {FS_TYPE}",
            )
