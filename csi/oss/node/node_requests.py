"""The node service's requests, parsed and checked: protobuf in, plain frozen values out."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping

from core import errors
from csi import fuse_type, requests
from csi._pb import csi_pb2
from csi.oss import client_options, credentials, other_options, runtime, volume_context
from csi.oss.node import roles
from csi.oss.node import settings as node_settings
from host import paths
from kube import events

SOCKET = "mountPorxySocket"
"""Key of the publish context, misspelt as in the reference."""
_FS_TYPES = ("", *fuse_type.FuseType)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """NodePublishVolume. read_only: for this pod. options: of the client, for all pods.

    exclusive: no other path of the node may have the volume. pod_token: of the pod's service
    account, for authType rrsa. pod: whom to tell of trouble, None = not told.
    """

    volume_id: str
    target_path: pathlib.Path
    global_path: pathlib.Path
    socket: pathlib.Path
    volume: volume_context.OssVolume
    source: str
    options: tuple[str, ...]
    read_only: bool
    exclusive: bool
    pod_token: str = dataclasses.field(repr=False)
    credential: credentials.Credential | None = dataclasses.field(repr=False)
    pod: events.Target | None = None

    @property
    def secrets(self) -> Mapping[str, str]:
        """Of the request to the mounter."""
        if self.credential is None:
            return {}
        return self.credential.for_mounter(self.volume.fuse_type, self.volume.bucket)


def parse_publish(
    request: csi_pb2.NodePublishVolumeRequest,
    settings: node_settings.NodeSettings,
    *,
    region_id: str,
    context: Mapping[str, str],
    secrets: Mapping[str, str],
) -> Publishing:
    """NodePublishVolume. region_id: of this node, for endpoints that do not tell theirs.

    context, secrets: the request's, with what Kubernetes objects tell.
    """
    volume_id = requests.require("volume_id", request.volume_id)
    target = requests.path("target_path", request.target_path)
    capability = parse_capability(request.volume_capability)
    requests.check_secrets(secrets)
    volume = volume_context.parse(context, fs_type=capability.fs_type, over_vpc=settings.over_vpc)
    if volume.sign_v4 and not volume.region:
        volume = dataclasses.replace(volume, region=region_id)
    told = requests.string_map("publish_context", request.publish_context)
    runtime.require_container(
        direct=False, socket=SOCKET in told, skip_global_mount=settings.skip_global_mount
    )
    flags = _flags(capability)
    volume_read_only = capability.mode.reader_only or client_options.wants_read_only(volume, flags)
    return Publishing(
        volume_id=volume_id,
        target_path=paths.resolve_under(settings.kubelet_root, target, "target_path"),
        global_path=global_path(settings.work_dir, volume_id),
        socket=_socket(told, settings),
        volume=volume,
        source=client_options.source(volume),
        options=client_options.plan(
            volume,
            read_only=volume_read_only,
            flags=flags,
            admin=settings.admin_options[volume.fuse_type],
            imds=settings.imds,
        ),
        read_only=request.readonly or volume_read_only,
        exclusive=capability.mode is requests.AccessMode.SINGLE_NODE_SINGLE_WRITER,
        pod_token=roles.parse_token(context, secrets) if volume.rrsa else "",
        credential=credentials.parse(volume, secrets, fallback=settings.fallback),
        pod=events.pod(context),
    )


def parse_capability(message: csi_pb2.VolumeCapability) -> requests.VolumeCapability:
    """A capability that object storage can have. Raises InvalidField."""
    capability = requests.capability(message)
    requests.require_mount((capability,), "OSS")
    if capability.fs_type.lower() not in _FS_TYPES:
        raise errors.InvalidField(
            "volume_capability.mount.fs_type",
            "is not a client of OSS",
            value=capability.fs_type,
            allowed=f"none, {', '.join(fuse_type.FuseType)}",
        )
    return capability


def global_path(work_dir: pathlib.Path, volume_id: str) -> pathlib.Path:
    """Where a volume is mounted once for all pods of the node."""
    digest = hashlib.sha256(volume_id.encode()).hexdigest()
    return work_dir / digest / "globalmount"


def _flags(capability: requests.VolumeCapability) -> tuple[str, ...]:
    words = [word for flag in capability.mount_flags for word in flag.split(",") if word.strip()]
    return other_options.check("volume_capability.mount.mount_flags", words)


def _socket(told: Mapping[str, str], settings: node_settings.NodeSettings) -> pathlib.Path:
    """The mounter's: of a FUSE pod that the reference's controller started, or ours."""
    text = told.get(SOCKET, "")
    if not text:
        return settings.socket
    field = f"publish_context[{SOCKET}]"
    return paths.resolve_under(settings.work_dir, text, field)
