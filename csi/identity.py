"""The Identity service, the same for every driver and every role of one driver."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from google.protobuf import wrappers_pb2

from core import errors
from csi._pb import csi_pb2, csi_pb2_grpc

Ready = Callable[[], Awaitable[None]]
"""Returns when the plug-in can work; raises Unavailable while starting, anything else when ill."""

log = structlog.get_logger()

_PASSING = frozenset({errors.Kind.UNAVAILABLE, errors.Kind.DEADLINE, errors.Kind.BUSY})
_Service = csi_pb2.PluginCapability.Service
_Expansion = csi_pb2.PluginCapability.VolumeExpansion


class IdentityService(csi_pb2_grpc.IdentityServicer):
    """Tells name, version and capabilities; probes for real.

    services: Service.Type values, the sum over controller and node instances of this version.
    """

    def __init__(
        self,
        *,
        driver_name: str,
        version: str,
        services: "Sequence[csi_pb2.PluginCapability.Service.Type]",
        expansions: "Sequence[csi_pb2.PluginCapability.VolumeExpansion.Type]",
        ready: Ready,
    ) -> None:
        self._driver_name = driver_name
        self._version = version
        self._services = services
        self._expansions = expansions
        self._ready = ready

    async def GetPluginInfo(self, request: Any, context: Any) -> csi_pb2.GetPluginInfoResponse:
        return csi_pb2.GetPluginInfoResponse(name=self._driver_name, vendor_version=self._version)

    async def GetPluginCapabilities(
        self, request: Any, context: Any
    ) -> csi_pb2.GetPluginCapabilitiesResponse:
        capability = csi_pb2.PluginCapability
        return csi_pb2.GetPluginCapabilitiesResponse(
            capabilities=[
                *(capability(service=_Service(type=t)) for t in self._services),
                *(capability(volume_expansion=_Expansion(type=t)) for t in self._expansions),
            ]
        )

    async def Probe(self, request: Any, context: Any) -> csi_pb2.ProbeResponse:
        """Ready true when the plug-in can do its work now.

        ready=false means "wait for me" (the cloud or the metadata service is not reachable yet);
        FAILED_PRECONDITION means a person must act, as with wrong credentials.
        """
        try:
            await self._ready()
        except errors.Error as e:
            if e.kind in _PASSING:
                return csi_pb2.ProbeResponse(ready=wrappers_pb2.BoolValue(value=False))
            raise errors.Precondition(f"{self._driver_name} cannot work: {e}") from e
        return csi_pb2.ProbeResponse(ready=wrappers_pb2.BoolValue(value=True))
