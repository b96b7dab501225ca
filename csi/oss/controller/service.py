"""The Controller service of the OSS driver: parse, lock, service, respond."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cloud import metadata as cloud_metadata
from core import errors, keyed_lock
from csi import answers, requests
from csi import cnfs as csi_cnfs
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.oss import bucket_space, cnfs, credentials, volume_context
from csi.oss.controller import params, storage, volumes
from kube import api as kube_api

_Rpc = csi_pb2.ControllerServiceCapability.RPC
_EIB = 1 << 60

T = TypeVar("T")

CAPABILITIES = (
    _Rpc.CREATE_DELETE_VOLUME,
    _Rpc.GET_CAPACITY,
    _Rpc.SINGLE_NODE_MULTI_WRITER,
)
"""Nothing is attached: there are no FUSE pods, and csi-mounter runs on each node."""


class ControllerServicer(csi_pb2_grpc.ControllerServicer):
    """Tells where volumes are, and makes buckets and directories when it is asked to."""

    def __init__(
        self,
        do: volumes.Volumes,
        kubernetes: kube_api.Api,
        metadata: cloud_metadata.Metadata,
    ) -> None:
        self._do = do
        self._kubernetes = kubernetes
        self._metadata = metadata
        self._locks = keyed_lock.KeyedLock()

    async def CreateVolume(
        self, request: csi_pb2.CreateVolumeRequest, context: Any
    ) -> csi_pb2.CreateVolumeResponse:
        name = requests.name(request.name)
        capabilities = requests.capabilities(request.volume_capabilities)
        required_bytes, limit_bytes = requests.capacity_range(request.capacity_range)
        key = _key(request.secrets)
        requests.require_empty_volume(request)
        requests.require_mount(capabilities, "OSS")
        size_bytes = required_bytes or limit_bytes
        plan = await self._parse(
            requests.string_map("parameters", request.parameters),
            lambda told: self._do.plan(name, size_bytes, params.parse(told)),
        )
        with self._locks.hold(f"volume {name}"):
            made = await self._do.create(plan, key)
        return csi_pb2.CreateVolumeResponse(
            volume=csi_pb2.Volume(
                volume_id=made.volume_id,
                capacity_bytes=made.capacity_bytes,
                volume_context=made.context,
            )
        )

    async def DeleteVolume(
        self, request: csi_pb2.DeleteVolumeRequest, context: Any
    ) -> csi_pb2.DeleteVolumeResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        key = _key(request.secrets)
        with self._locks.hold(f"volume {volume_id}"):
            await self._do.delete(volume_id, key)
        return csi_pb2.DeleteVolumeResponse()

    async def ValidateVolumeCapabilities(
        self, request: csi_pb2.ValidateVolumeCapabilitiesRequest, context: Any
    ) -> csi_pb2.ValidateVolumeCapabilitiesResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        capabilities = requests.capabilities(request.volume_capabilities)
        key = _key(request.secrets)
        told = requests.string_map("volume_context", request.volume_context)
        # A static volume is known by its attributes alone.
        if not told and not await self._do.exists(volume_id, key):
            raise errors.NotFound(f"volume {volume_id} is not known, and has no volume_context")
        try:
            requests.require_mount(capabilities, "OSS")
            if told:
                await self._parse(told, volume_context.parse)
        except (errors.InvalidField, errors.Unsupported) as e:
            return answers.validated(request, str(e))
        return answers.validated(request, "")

    async def GetCapacity(
        self, request: csi_pb2.GetCapacityRequest, context: Any
    ) -> csi_pb2.GetCapacityResponse:
        params.parse(requests.string_map("parameters", request.parameters))
        return csi_pb2.GetCapacityResponse(available_capacity=_EIB)

    async def ControllerGetCapabilities(
        self, request: csi_pb2.ControllerGetCapabilitiesRequest, context: Any
    ) -> csi_pb2.ControllerGetCapabilitiesResponse:
        return answers.controller_capabilities(CAPABILITIES)

    async def _parse(self, told: Mapping[str, str], parse: Callable[[Mapping[str, str]], T]) -> T:
        """What *parse* makes of *told* with the names that other things tell.

        What is wrong with *told* itself is told before a ContainerNetworkFileSystem or the
        metadata service is asked for.
        """
        name = cnfs.name_in(told)
        if name:
            parse(cnfs.complete(told, cnfs.stand_in(told)))
            found = await csi_cnfs.read(self._kubernetes, name, field=cnfs.KEY)
            told = cnfs.complete(told, found)
        checked = bucket_space.stand_in(told)
        if checked == told:
            return parse(told)
        parse(checked)
        return parse(await bucket_space.resolve(self._metadata, told))

    async def close(self) -> None:
        """Take no more calls."""
        await self._do.close()


def _key(secrets: Mapping[str, str]) -> storage.Secret | None:
    """The access key of a request's secrets; None = this process's own. Raises InvalidField."""
    requests.check_secrets(secrets)
    found = credentials.read(secrets)
    if found is None:
        return None
    return storage.Secret(key_id=found.key_id, secret=found.secret, token=found.token)
