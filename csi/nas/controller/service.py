"""The Controller service of the NAS driver: parse, lock, service, respond."""

from typing import Any

from core import errors, keyed_lock
from csi import answers, requests
from csi import cnfs as csi_cnfs
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.nas import cnfs, layout, topology, volume_context
from csi.nas.controller import made, params, parse_params, volumes
from kube import api as kube_api
from kube import volumes as kube_volumes

_Rpc = csi_pb2.ControllerServiceCapability.RPC
_WHAT = "NFS"

CAPABILITIES = (
    _Rpc.CREATE_DELETE_VOLUME,
    _Rpc.EXPAND_VOLUME,
    _Rpc.SINGLE_NODE_MULTI_WRITER,
)


class ControllerServicer(csi_pb2_grpc.ControllerServicer):
    """Makes, grows and deletes volumes; one call per volume at a time.

    zonal: tell the zones of file systems. kubernetes: has ContainerNetworkFileSystem objects.
    """

    def __init__(self, do: volumes.Volumes, *, zonal: bool, kubernetes: kube_api.Api) -> None:
        self._do = do
        self._kubernetes = kubernetes
        self._zonal = zonal
        self._locks = keyed_lock.KeyedLock()

    async def prepare(self) -> None:
        """Remove what the last process left mounted, beside the first calls."""
        self._do.clean_up()

    async def CreateVolume(
        self, request: csi_pb2.CreateVolumeRequest, context: Any
    ) -> csi_pb2.CreateVolumeResponse:
        want, parameters = _parse_create(request), await self._parameters(request)
        with self._locks.hold(*volumes.lock_keys_of_new(want.name, parameters)):
            volume = await self._do.create(want, parameters)
        return csi_pb2.CreateVolumeResponse(
            volume=csi_pb2.Volume(
                volume_id=volume.volume_id,
                capacity_bytes=volume.capacity_bytes,
                volume_context=volume.context,
                accessible_topology=_topology(volume.zone_id if self._zonal else ""),
            )
        )

    async def DeleteVolume(
        self, request: csi_pb2.DeleteVolumeRequest, context: Any
    ) -> csi_pb2.DeleteVolumeResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        requests.check_secrets(request.secrets)
        with self._locks.hold(*volumes.lock_keys(volume_id)):
            await self._do.delete(volume_id)
        return csi_pb2.DeleteVolumeResponse()

    async def ControllerExpandVolume(
        self, request: csi_pb2.ControllerExpandVolumeRequest, context: Any
    ) -> csi_pb2.ControllerExpandVolumeResponse:
        want = _parse_expand(request)
        with self._locks.hold(*volumes.lock_keys(want.volume_id)):
            capacity_bytes = await self._do.expand(want)
        return csi_pb2.ControllerExpandVolumeResponse(
            capacity_bytes=capacity_bytes,
            node_expansion_required=await self._may_be_image(want.volume_id),
        )

    async def ValidateVolumeCapabilities(
        self, request: csi_pb2.ValidateVolumeCapabilitiesRequest, context: Any
    ) -> csi_pb2.ValidateVolumeCapabilitiesResponse:
        volume_id = requests.require("volume_id", request.volume_id)
        capabilities = requests.capabilities(request.volume_capabilities)
        requests.check_secrets(request.secrets)
        context = requests.string_map("volume_context", request.volume_context)
        # Nothing in the cloud tells of a shared directory's volume that the reference made.
        shared = context.get("volumeAs") == params.VolumeAs.SHAREPATH
        if not shared and not await self._do.exists(volume_id):
            raise errors.NotFound(f"volume {volume_id} has no record on any file system")
        try:
            requests.require_mount(capabilities, _WHAT)
        except errors.InvalidField as e:
            return answers.validated(request, str(e))
        return answers.validated(request, "")

    async def ControllerGetCapabilities(
        self, request: csi_pb2.ControllerGetCapabilitiesRequest, context: Any
    ) -> csi_pb2.ControllerGetCapabilitiesResponse:
        return answers.controller_capabilities(CAPABILITIES)

    async def _may_be_image(self, volume_id: str) -> bool:
        """Whether a node must make the volume larger: an ext4 in a file of its directory.

        Its PersistentVolume says; where nobody can be asked, a node finds out.
        """
        if not layout.is_name(volume_id):
            return True
        try:
            found = await kube_volumes.read(self._kubernetes, volume_id)
        except errors.Error:
            return True
        return found is None or volume_context.value(found.volume_context, "mountType") == "losetup"

    async def _parameters(self, request: csi_pb2.CreateVolumeRequest) -> params.Parameters:
        """Of a class, with what the ContainerNetworkFileSystem says that they name.

        What is wrong with them is told before the object is asked for.
        """
        told = requests.string_map("parameters", request.parameters)
        name = told.get(cnfs.KEY, "")
        if not name:
            return parse_params.parse(told)
        cnfs.require_alone(told)
        parse_params.parse(cnfs.complete(told, csi_cnfs.stand_in("nas")))
        found = await csi_cnfs.read(self._kubernetes, name, field=f"parameters[{cnfs.KEY}]")
        return parse_params.parse(cnfs.complete(told, found))

    async def close(self) -> None:
        """Take no more calls."""
        await self._do.close()


def _parse_create(request: csi_pb2.CreateVolumeRequest) -> made.VolumeRequest:
    """All but its parameters."""
    name = requests.name(request.name)
    capabilities = requests.capabilities(request.volume_capabilities)
    required_bytes, limit_bytes = requests.capacity_range(request.capacity_range)
    requests.check_secrets(request.secrets)
    requests.require_empty_volume(request)
    requests.require_mount(capabilities, _WHAT)
    return made.VolumeRequest(
        name=name,
        required_bytes=required_bytes,
        limit_bytes=limit_bytes,
        capabilities=capabilities,
        zone_ids=_zones(request.accessibility_requirements),
    )


def _parse_expand(request: csi_pb2.ControllerExpandVolumeRequest) -> made.ExpandRequest:
    volume_id = requests.require("volume_id", request.volume_id)
    required_bytes, limit_bytes = requests.required_capacity_range(request)
    requests.check_secrets(request.secrets)
    if request.HasField("volume_capability"):
        requests.require_mount((requests.capability(request.volume_capability),), _WHAT)
    return made.ExpandRequest(
        volume_id=volume_id, required_bytes=required_bytes, limit_bytes=limit_bytes
    )


def _topology(zone_id: str) -> list[csi_pb2.Topology]:
    return [csi_pb2.Topology(segments={topology.ZONE: zone_id})] if zone_id else []


def _zones(message: csi_pb2.TopologyRequirement) -> tuple[str, ...]:
    """Zones of the nodes the volume is for, preferred ones first."""
    terms = [*message.preferred, *message.requisite]
    found = (term.segments.get(key, "") for term in terms for key in topology.KEYS)
    return tuple(dict.fromkeys(zone_id for zone_id in found if zone_id))
