"""Answers that every driver gives in the same shape. Pure."""

from collections.abc import Iterable

from csi._pb import csi_pb2

_ControllerRpc = csi_pb2.ControllerServiceCapability.RPC
_NodeRpc = csi_pb2.NodeServiceCapability.RPC


def controller_capabilities(
    types: Iterable[csi_pb2.ControllerServiceCapability.RPC.Type],
) -> csi_pb2.ControllerGetCapabilitiesResponse:
    """ControllerGetCapabilities: what the controller offers."""
    return csi_pb2.ControllerGetCapabilitiesResponse(
        capabilities=[
            csi_pb2.ControllerServiceCapability(rpc=_ControllerRpc(type=each)) for each in types
        ]
    )


def node_capabilities(
    types: Iterable[csi_pb2.NodeServiceCapability.RPC.Type],
) -> csi_pb2.NodeGetCapabilitiesResponse:
    """NodeGetCapabilities: what the node offers."""
    return csi_pb2.NodeGetCapabilitiesResponse(
        capabilities=[csi_pb2.NodeServiceCapability(rpc=_NodeRpc(type=each)) for each in types]
    )


def validated(
    request: csi_pb2.ValidateVolumeCapabilitiesRequest, refusal: str
) -> csi_pb2.ValidateVolumeCapabilitiesResponse:
    """ValidateVolumeCapabilities. refusal: why the volume cannot be used so; "" = it can."""
    if refusal:
        return csi_pb2.ValidateVolumeCapabilitiesResponse(message=refusal)
    return csi_pb2.ValidateVolumeCapabilitiesResponse(
        confirmed=csi_pb2.ValidateVolumeCapabilitiesResponse.Confirmed(
            volume_context=request.volume_context,
            volume_capabilities=request.volume_capabilities,
            parameters=request.parameters,
            mutable_parameters=request.mutable_parameters,
        )
    )
