"""The node service's requests, parsed and checked: protobuf in, plain frozen values out.

Required fields are checked first and in the order volume id, paths, capability, because a CO may
send nothing else. Secrets are never looked at. Source: spec/conformance.md a.5 and b.3.

Paths are looked at with lstat(2), on the event loop but for statistics. That does not hang on a
dead disk: what is looked at are directories of the node's own disk, and the root of the volume's
file system, which the kernel keeps in memory while it is mounted. A network's would hang.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

from core import errors
from csi import node_options, requests
from csi._pb import csi_pb2
from csi.disk import disk_options
from csi.node import at_path
from host import cgroup, paths

Mode = requests.AccessMode


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """What NodeStageVolume is to reach.

    serial: of the disk's device, "" = unknown.
    read_only: the mode lets nobody write, so neither do we.
    mount_flags: checked one by one, without ro and rw.
    """

    volume_id: str
    serial: str
    staging_target_path: pathlib.Path
    access: requests.AccessType
    read_only: bool
    mount_flags: tuple[str, ...]
    filesystem: node_options.FilesystemOptions
    sys_config: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """What NodePublishVolume is to reach.

    staging: what must be in place before; done again when a reboot lost it.
    exclusive: nobody else on this node may have the volume at another path.
    """

    staging: Staging
    target_path: pathlib.Path
    read_only: bool
    exclusive: bool
    io_limits: cgroup.IoLimits | None
    pod_uid: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """What NodeExpandVolume is to reach. required_bytes: 0 = as large as the device."""

    volume_id: str
    volume_path: pathlib.Path
    required_bytes: int


def parse_stage(request: csi_pb2.NodeStageVolumeRequest, root: pathlib.Path) -> Staging:
    """NodeStageVolume."""
    volume_id = requests.require("volume_id", request.volume_id)
    staging = requests.path("staging_target_path", request.staging_target_path)
    capability = _capability(request.volume_capability)
    return _staging(
        volume_id,
        paths.resolve_under(root, staging, "staging_target_path"),
        capability,
        requests.string_map("publish_context", request.publish_context),
        requests.string_map("volume_context", request.volume_context),
    )


def parse_publish(request: csi_pb2.NodePublishVolumeRequest, root: pathlib.Path) -> Publishing:
    """NodePublishVolume. Raises Precondition without a staging path, which the CSI spec wants."""
    volume_id = requests.require("volume_id", request.volume_id)
    target = requests.path("target_path", request.target_path)
    capability = _capability(request.volume_capability)
    if not request.staging_target_path:
        raise errors.Precondition("staging_target_path is required: call NodeStageVolume first")
    staging = requests.path("staging_target_path", request.staging_target_path)
    volume_context = requests.string_map("volume_context", request.volume_context)
    target_path = paths.resolve_under(root, target, "target_path")
    staging_path = paths.resolve_under(root, staging, "staging_target_path")
    if target_path == staging_path:
        raise errors.InvalidField("target_path", "is the staging_target_path too", value=target)
    limits = node_options.parse_io_limits(volume_context)
    return Publishing(
        staging=_staging(
            volume_id,
            staging_path,
            capability,
            requests.string_map("publish_context", request.publish_context),
            volume_context,
        ),
        target_path=target_path,
        read_only=request.readonly or _wants_read_only(capability),
        exclusive=capability.mode is Mode.SINGLE_NODE_SINGLE_WRITER,
        io_limits=limits,
        pod_uid="" if limits is None else node_options.parse_pod_uid(volume_context),
    )


def parse_stats(request: csi_pb2.NodeGetVolumeStatsRequest, root: pathlib.Path) -> at_path.AtPath:
    """NodeGetVolumeStats. Raises NotFound for a path no volume can be at."""
    volume_id = requests.require("volume_id", request.volume_id)
    return at_path.AtPath(
        volume_id=volume_id, path=_volume_path(volume_id, request.volume_path, root)
    )


def parse_expand(request: csi_pb2.NodeExpandVolumeRequest, root: pathlib.Path) -> Expansion:
    """NodeExpandVolume. Raises NotFound for a path no volume can be at."""
    volume_id = requests.require("volume_id", request.volume_id)
    volume_path = requests.path("volume_path", request.volume_path)
    required_bytes, _ = requests.capacity_range(request.capacity_range)
    return Expansion(
        volume_id=volume_id,
        volume_path=_volume_path(volume_id, volume_path, root),
        required_bytes=required_bytes,
    )


def _capability(message: csi_pb2.VolumeCapability) -> requests.VolumeCapability:
    capability = requests.capability(message)
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


def _staging(
    volume_id: str,
    staging_target_path: pathlib.Path,
    capability: requests.VolumeCapability,
    publish_context: Mapping[str, str],
    volume_context: Mapping[str, str],
) -> Staging:
    if capability.access is requests.AccessType.BLOCK and not _is_file_name(volume_id):
        raise errors.InvalidField(
            "volume_id", "cannot name the file a device is staged at", value=volume_id
        )
    flags = node_options.parse_mount_flags(capability.mount_flags)
    return Staging(
        volume_id=volume_id,
        serial=disk_options.parse_serial(volume_id, publish_context),
        staging_target_path=staging_target_path,
        access=capability.access,
        read_only=_wants_read_only(capability),
        mount_flags=tuple(flag for flag in flags if flag not in {"ro", "rw"}),
        filesystem=node_options.parse_filesystem(capability, volume_context),
        sys_config=disk_options.parse_sys_config(volume_context.get("sysConfig", "")),
    )


def _is_file_name(text: str) -> bool:
    return "/" not in text and text not in {".", ".."}


def _volume_path(volume_id: str, text: str, root: pathlib.Path) -> pathlib.Path:
    """*text* as a path below *root*; a relative or missing one holds no volume."""
    path = pathlib.PurePath(requests.path("volume_path", text))
    if not path.is_absolute() or not _exists(path):
        raise errors.NotFound(f"volume {volume_id} is not at {text}: there is no such path")
    return paths.resolve_under(root, text, "volume_path")


def _exists(path: pathlib.PurePath) -> bool:
    """Whether something is at *path*, be it a file system so ill that it cannot be looked at."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
