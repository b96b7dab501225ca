"""The node service's requests, parsed and checked: protobuf in, plain frozen values out.

Secrets are read only where a volume is encrypted, and never logged.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

from core import errors
from csi import node_options, requests, values
from csi._pb import csi_pb2
from csi.lvm import names
from csi.node import at_path
from host import cgroup, paths

Mode = requests.AccessMode
KEY_OF_SECRET = "luksPassphrase"  # noqa: S105  # the name of a key
"""Key of the node-stage secret."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """What NodeStageVolume is to reach. read_only: the mode lets nobody write.

    group: where a logical volume says that it is. encrypted: in a container that key opens.

    mount_flags: checked one by one, without ro and rw.
    """

    volume_id: str
    staging_target_path: pathlib.Path
    access: requests.AccessType
    read_only: bool
    mount_flags: tuple[str, ...]
    filesystem: node_options.FilesystemOptions
    group: str = ""
    encrypted: bool = False
    key: bytes = dataclasses.field(default=b"", repr=False)

    @property
    def is_block(self) -> bool:
        """Whether the workload gets a device."""
        return self.access is requests.AccessType.BLOCK

    @property
    def staged_path(self) -> pathlib.Path:
        """Where the file system, or the device file, is."""
        path = self.staging_target_path
        return path / self.volume_id if self.is_block else path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """What NodePublishVolume is to reach. exclusive: only at one path of this node."""

    staging: Staging
    target_path: pathlib.Path
    read_only: bool
    exclusive: bool
    io_limits: cgroup.IoLimits | None
    pod_uid: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """What NodeExpandVolume is to reach. required_bytes: 0 = as large as the device."""

    at: at_path.AtPath
    required_bytes: int
    limit_bytes: int


def parse_stage(request: csi_pb2.NodeStageVolumeRequest, root: pathlib.Path) -> Staging:
    """NodeStageVolume."""
    volume_id = requests.require("volume_id", request.volume_id)
    staging = requests.path("staging_target_path", request.staging_target_path)
    capability = _capability(request.volume_capability)
    return _staging(
        volume_id,
        paths.resolve_under(root, staging, "staging_target_path"),
        capability,
        requests.string_map("volume_context", request.volume_context),
        key=_key(request.secrets),
    )


def parse_publish(request: csi_pb2.NodePublishVolumeRequest, root: pathlib.Path) -> Publishing:
    """NodePublishVolume. Raises Precondition without a staging path, which the CSI spec wants."""
    volume_id = requests.require("volume_id", request.volume_id)
    target = requests.path("target_path", request.target_path)
    capability = _capability(request.volume_capability)
    if not request.staging_target_path:
        raise errors.Precondition("staging_target_path is required: call NodeStageVolume first")
    staging = requests.path("staging_target_path", request.staging_target_path)
    context = requests.string_map("volume_context", request.volume_context)
    target_path = paths.resolve_under(root, target, "target_path")
    staging_path = paths.resolve_under(root, staging, "staging_target_path")
    if target_path == staging_path:
        raise errors.InvalidField("target_path", "is the staging_target_path too", value=target)
    limits = node_options.parse_io_limits(context)
    return Publishing(
        staging=_staging(volume_id, staging_path, capability, context),
        target_path=target_path,
        read_only=request.readonly or _wants_read_only(capability),
        exclusive=capability.mode is Mode.SINGLE_NODE_SINGLE_WRITER,
        io_limits=limits,
        pod_uid="" if limits is None else node_options.parse_pod_uid(context),
    )


def parse_ephemeral(
    request: csi_pb2.NodePublishVolumeRequest, root: pathlib.Path
) -> tuple[Staging, cgroup.IoLimits | None, str]:
    """NodePublishVolume of an inline volume: to be staged at its target; limits, pod's uid."""
    volume_id = requests.require("volume_id", request.volume_id)
    target = requests.path("target_path", request.target_path)
    capability = _capability(request.volume_capability)
    if capability.access is requests.AccessType.BLOCK:
        raise errors.InvalidField("volume_capability.access_type", "is mount for inline volumes")
    if request.readonly:
        raise errors.InvalidField("readonly", "makes no sense for an inline volume", value=True)
    context = requests.string_map("volume_context", request.volume_context)
    at = paths.resolve_under(root, target, "target_path")
    limits = node_options.parse_io_limits(context)
    uid = "" if limits is None else node_options.parse_pod_uid(context)
    return _staging(volume_id, at, capability, context), limits, uid


def parse_expand(request: csi_pb2.NodeExpandVolumeRequest, root: pathlib.Path) -> Expansion:
    """NodeExpandVolume. Raises NotFound for a path no volume is at."""
    volume_id = requests.require("volume_id", request.volume_id)
    text = requests.path("volume_path", request.volume_path)
    required_bytes, limit_bytes = requests.capacity_range(request.capacity_range)
    return Expansion(
        at=at_path.AtPath(volume_id=volume_id, path=volume_path(volume_id, text, root)),
        required_bytes=required_bytes,
        limit_bytes=limit_bytes,
    )


def parse_stats(request: csi_pb2.NodeGetVolumeStatsRequest, root: pathlib.Path) -> at_path.AtPath:
    """NodeGetVolumeStats. Raises NotFound for a path no volume is at."""
    volume_id = requests.require("volume_id", request.volume_id)
    text = requests.path("volume_path", request.volume_path)
    return at_path.AtPath(volume_id=volume_id, path=volume_path(volume_id, text, root))


def volume_path(volume_id: str, text: str, root: pathlib.Path) -> pathlib.Path:
    """*text* as a path below *root*; a relative one holds no volume. Raises NotFound."""
    if not text.startswith("/"):
        raise errors.NotFound(f"volume {volume_id} is not at {text}: there is no such path")
    return paths.resolve_under(root, text, "volume_path")


def _staging(
    volume_id: str,
    staging_target_path: pathlib.Path,
    capability: requests.VolumeCapability,
    context: Mapping[str, str],
    *,
    key: bytes = b"",
) -> Staging:
    if not names.can_be_ours(volume_id):
        raise errors.NotFound(f"there is no volume {volume_id} on this node")
    if not capability.fs_type and context.get("fsType"):
        capability = dataclasses.replace(capability, fs_type=context["fsType"])
    flags = node_options.parse_mount_flags(capability.mount_flags)
    return Staging(
        volume_id=volume_id,
        staging_target_path=staging_target_path,
        access=capability.access,
        read_only=_wants_read_only(capability),
        mount_flags=tuple(flag for flag in flags if flag not in {"ro", "rw"}),
        filesystem=node_options.parse_filesystem(capability, context),
        group=context.get("vgName", ""),
        encrypted=values.boolean("volume_context[encrypted]", context.get("encrypted", "")),
        key=key,
    )


def _key(secrets: Mapping[str, str]) -> bytes:
    """The key of an encrypted volume, b"" = none."""
    requests.check_secrets(secrets)
    return secrets.get(KEY_OF_SECRET, "").encode()


def _capability(message: csi_pb2.VolumeCapability) -> requests.VolumeCapability:
    capability = requests.capability(message)
    if capability.mode.multi_node:
        raise errors.InvalidField(
            "volume_capability.access_mode", "is not supported", value=str(capability.mode)
        )
    if capability.mount_group:
        raise errors.InvalidField(
            "volume_capability.volume_mount_group",
            "is not supported",
            value=capability.mount_group,
            allowed="none; kubelet applies fsGroup itself",
        )
    return capability


def _wants_read_only(capability: requests.VolumeCapability) -> bool:
    return capability.mode.reader_only or "ro" in capability.mount_flags
