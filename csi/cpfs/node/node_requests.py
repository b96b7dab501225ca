"""The node service's requests, parsed and checked: protobuf in, plain frozen values out."""

import dataclasses
import pathlib

from core import errors
from csi import requests
from csi._pb import csi_pb2
from csi.cpfs import handles, volume_context
from csi.cpfs.node import mount_options
from host import paths

FS_TYPE = "bmcpfs"
Mode = requests.AccessMode


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """NodePublishVolume. source: `domain:/path`."""

    volume_id: str
    target_path: pathlib.Path
    source: str
    options: tuple[str, ...]
    exclusive: bool

    @property
    def read_only(self) -> bool:
        """Whether the pod may not write."""
        return "ro" in self.options

    @property
    def server(self) -> str:
        """Domain that is mounted."""
        return self.source.partition(":")[0]


def parse_publish(
    request: csi_pb2.NodePublishVolumeRequest, kubelet_root: pathlib.Path
) -> Publishing:
    """NodePublishVolume."""
    volume_id = requests.require("volume_id", request.volume_id)
    target = requests.path("target_path", request.target_path)
    capability = parse_capability(request.volume_capability)
    requests.check_secrets(request.secrets)
    volume = volume_context.parse(requests.string_map("volume_context", request.volume_context))
    _require_path(volume_id, volume)
    told = requests.string_map("publish_context", request.publish_context)
    network_type, domain = _way(told, volume)
    return Publishing(
        volume_id=volume_id,
        target_path=paths.resolve_under(kubelet_root, target, "target_path"),
        source=f"{domain}:{volume.path or '/'}",
        options=mount_options.choose(
            capability.mount_flags,
            network_type=network_type,
            target=domain,
            read_only=request.readonly or capability.mode.reader_only,
        ),
        exclusive=capability.mode is Mode.SINGLE_NODE_SINGLE_WRITER,
    )


def parse_capability(message: csi_pb2.VolumeCapability) -> requests.VolumeCapability:
    """A capability that CPFS for Lingjun can have. Raises InvalidField."""
    capability = parse_mount(message)
    if capability.fs_type not in ("", FS_TYPE):
        raise errors.InvalidField(
            "volume_capability.mount.fs_type",
            "is not what CPFS is",
            value=capability.fs_type,
            allowed=f"none, or {FS_TYPE}",
        )
    return capability


def parse_mount(message: csi_pb2.VolumeCapability) -> requests.VolumeCapability:
    """A capability that no block device is asked for with. Raises InvalidField."""
    capability = requests.capability(message)
    requests.require_mount((capability,), "CPFS")
    return capability


def _require_path(volume_id: str, volume: volume_context.CpfsVolume) -> None:
    """A fileset is never the whole file system; that the path is in it, the controller has seen."""
    handle = handles.Handle.parse(volume_id)
    if handle is not None and handle.fileset_id and not volume.path:
        raise errors.InvalidField(
            f"volume_context[{volume_context.PATH}]",
            f"is the root of the file system, but volume {volume_id} is one fileset of it",
            allowed="the fileset's path, or a directory in it",
        )


def _way(told: dict[str, str], volume: volume_context.CpfsVolume) -> tuple[str, str]:
    """(networkType, domain) as ControllerPublishVolume chose; the volume's own VPC target else."""
    field = f"publish_context[{volume_context.NETWORK_TYPE}]"
    network_type = told.get(volume_context.NETWORK_TYPE, "")
    if not told and volume.vpc_target:
        return volume_context.VPC, volume.vpc_target
    if network_type not in (volume_context.VPC, volume_context.VSC):
        raise errors.InvalidField(
            field,
            "is missing or not known; does the CSIDriver object have attachRequired?",
            value=network_type,
            allowed=f"{volume_context.VPC} or {volume_context.VSC}",
        )
    key = {
        volume_context.VPC: volume_context.VPC_TARGET,
        volume_context.VSC: volume_context.VSC_TARGET,
    }[network_type]
    domain = volume_context.host(f"publish_context[{key}]", told.get(key, ""))
    if not domain:
        raise errors.InvalidField(f"publish_context[{key}]", "is required")
    return network_type, domain
