"""Requests that name a volume and one of its paths, and the undoing of a publish."""

import dataclasses
import pathlib

from core import errors
from csi import requests
from csi._pb import csi_pb2
from host import files, mountinfo, mounts, paths

_UNMOUNT_TIMEOUT_S = 30.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AtPath:
    """A volume and one of its paths, which is below kubelet's directory."""

    volume_id: str
    path: pathlib.Path


def parse_unstage(request: csi_pb2.NodeUnstageVolumeRequest, root: pathlib.Path) -> AtPath:
    """NodeUnstageVolume. root: kubelet's directory. Raises InvalidField for a path outside."""
    volume_id = requests.require("volume_id", request.volume_id)
    staging = requests.path("staging_target_path", request.staging_target_path)
    return AtPath(
        volume_id=volume_id, path=paths.resolve_under(root, staging, "staging_target_path")
    )


def parse_unpublish(request: csi_pb2.NodeUnpublishVolumeRequest, root: pathlib.Path) -> AtPath:
    """NodeUnpublishVolume. root: kubelet's directory. Raises InvalidField for a path outside."""
    volume_id = requests.require("volume_id", request.volume_id)
    target = requests.path("target_path", request.target_path)
    return AtPath(volume_id=volume_id, path=paths.resolve_under(root, target, "target_path"))


def parse_stats(request: csi_pb2.NodeGetVolumeStatsRequest, root: pathlib.Path) -> AtPath:
    """NodeGetVolumeStats of what may hang. Raises NotFound for a path nothing is mounted at."""
    return mounted(request.volume_id, request.volume_path, root)


def mounted(volume_id: str, text: str, root: pathlib.Path) -> AtPath:
    """A volume at volume_path *text*, where something is mounted. Raises NotFound.

    The mount table is asked, never the file system: its server may be gone.
    """
    requests.require("volume_id", volume_id)
    told = requests.path("volume_path", text)
    if told.startswith("/"):
        path = paths.resolve_under(root, told, "volume_path")
        if mountinfo.mounts_at(path):
            return AtPath(volume_id=volume_id, path=path)
    raise errors.NotFound(f"volume {volume_id} is not at {told}: nothing is mounted there")


def unpublish(at: AtPath) -> None:
    """Unmount *at* and remove the directory or file there. Blocking; may be repeated.

    Raises Precondition for a directory with something in it: that is not ours to remove.
    """
    mounts.ensure_unmounted(at.path, timeout_s=_UNMOUNT_TIMEOUT_S)
    files.remove_empty(at.path)
