"""The node service's requests, parsed and checked: protobuf in, plain frozen values out."""

import dataclasses
import pathlib
from collections.abc import Mapping

from core import errors
from csi import requests
from csi._pb import csi_pb2
from csi.nas import clients, mount_options, volume_context
from csi.nas.node import access_keys
from csi.nas.node import settings as node_settings
from csi.node import at_path
from host import paths
from kube import events

Mode = requests.AccessMode


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """NodePublishVolume. mounting: of the directory; of an image, where the image is.

    key: for clients that prove who they are; None = the node's own RAM role.
    pod: who it is for; None = not told.
    """

    volume_id: str
    target_path: pathlib.Path
    volume: volume_context.NasVolume
    mounting: clients.Mounting
    read_only: bool
    exclusive: bool
    key: access_keys.AccessKey | None = None
    pod: events.Target | None = None


def parse_target(
    request: csi_pb2.NodePublishVolumeRequest, settings: node_settings.NodeSettings
) -> tuple[str, pathlib.Path]:
    """Volume and path of a NodePublishVolume, the path as the mount table has it."""
    volume_id = requests.require("volume_id", request.volume_id)
    target = requests.path("target_path", request.target_path)
    return volume_id, paths.resolve_under(settings.kubelet_root, target, "target_path")


def parse_publish(
    request: csi_pb2.NodePublishVolumeRequest,
    settings: node_settings.NodeSettings,
    *,
    resolved: Mapping[str, str] | None = None,
) -> Publishing:
    """NodePublishVolume. resolved: volume_context with what Kubernetes tells; None = as it is."""
    volume_id, target = parse_target(request, settings)
    capability = requests.capability(request.volume_capability)
    requests.require_mount((capability,), "NFS")
    requests.check_secrets(request.secrets)
    told = request.volume_context if resolved is None else resolved
    context = requests.string_map("volume_context", told)
    volume = volume_context.parse(context)
    if volume.loop is not None and not settings.losetup:
        raise errors.Precondition("volumes with an image are switched off: NAS_LOSETUP_ENABLE")
    key, mount_flags = access_keys.take(volume.client, request.secrets, capability.mount_flags)
    read_only = request.readonly or capability.mode.reader_only
    options = mount_options.choose(
        host=volume.place.host,
        version=volume.version,
        options=volume.options,
        mount_flags=mount_flags,
        # The image's directory is mounted for writing in any case: its lock is there.
        read_only=read_only and volume.loop is None,
        more=settings.more_options,
    )
    if volume.loop is not None and "ro" in options:
        read_only, options = True, tuple(word for word in options if word != "ro")
    mounting = clients.mounting(
        volume.client,
        source=volume.place.export,
        options=options,
        volume_id=volume_id,
        pod_uid=context.get(volume_context.POD_UID, ""),
        file_system_type=volume.file_system_type,
        by_protocol=volume.by_protocol,
        accesspoint=volume.accesspoint,
    )
    return Publishing(
        volume_id=volume_id,
        target_path=target,
        volume=volume,
        mounting=mounting,
        read_only=read_only or mounting.read_only,
        exclusive=capability.mode is Mode.SINGLE_NODE_SINGLE_WRITER,
        key=key,
        pod=events.pod(context),
    )


def parse_expand(
    request: csi_pb2.NodeExpandVolumeRequest, root: pathlib.Path
) -> tuple[at_path.AtPath, int]:
    """NodeExpandVolume: (where, bytes that are required). Raises NotFound as `at_path.mounted`."""
    at = at_path.mounted(request.volume_id, request.volume_path, root)
    required_bytes, _ = requests.capacity_range(request.capacity_range)
    return at, required_bytes
