"""NodePublishVolume: from the staging path to a pod's path.

What is published already is read from the kernel's mount table, so a restart forgets nothing.
"""

import contextlib
import pathlib

import structlog

from core import call, errors
from csi.lvm import settings
from csi.lvm.node import node_requests, stage
from csi.node import node_mounts
from host import block, cgroup, files, mountinfo, mounts

log = structlog.get_logger()


class PublishedDifferently(errors.Exists):
    """Something incompatible is at the target path."""

    def __init__(self, volume_id: str, path: pathlib.Path, why: str) -> None:
        super().__init__(
            f"{path} is taken by something else than this publish of volume {volume_id}: {why}; "
            "unpublish it first"
        )


class PublishedElsewhere(errors.Precondition):
    """The mode allows one path on the node, and there is one already."""

    def __init__(self, volume_id: str, path: pathlib.Path) -> None:
        super().__init__(
            f"volume {volume_id} is already published at {path}, and access mode "
            "SINGLE_NODE_SINGLE_WRITER (ReadWriteOncePod) allows one; delete the pod that uses it"
        )


class Publisher:
    """Publishes. Blocking; the callers hold the volume's lock."""

    def __init__(self, config: settings.LocalSettings, stager: stage.Stager) -> None:
        self._root = pathlib.Path(config.kubelet_root).resolve()
        self._stager = stager

    def publish(self, want: node_requests.Publishing) -> None:
        """Bring *want* about. Doing it again changes nothing."""
        staging = want.staging
        call.doing(f"publishing {staging.volume_id}")
        staged = node_mounts.top_mount(staging.staged_path)
        if staged is None:
            log.info("staging was lost, doing it again", volume_id=staging.volume_id)
            self._stager.stage(staging)
            staged = node_mounts.top_mount(staging.staged_path)
        if staged is None:
            raise errors.Unavailable(f"{staging.staged_path} was unmounted by someone; retry")
        if node_mounts.is_device_file(staged) != staging.is_block:
            raise errors.Precondition(
                f"volume {staging.volume_id} is staged at {staging.staged_path} as another kind"
            )
        number = staged.device
        if staging.is_block:
            number = block.device_number(staging.staged_path)
        read_only = want.read_only or node_mounts.is_read_only(staged)
        root = None if staging.is_block else staged.root
        if not self._is_published(want, number, root, read_only=read_only):
            self._publish(want, number, read_only=read_only)

    def _is_published(
        self, want: node_requests.Publishing, number: str, root: str | None, *, read_only: bool
    ) -> bool:
        """Whether *want* is in place. Raises when something else is, or when it is not allowed.

        root: of a file system or directory, where that is on its device; None = a raw device.
        """
        table = mountinfo.read()
        there = node_mounts.top_mount(want.target_path, table)
        volume_id = want.staging.volume_id
        if there is not None:
            why = _difference(there, want, number, root, read_only=read_only)
            if why:
                raise PublishedDifferently(volume_id, want.target_path, why)
            return True
        if want.exclusive:
            other = node_mounts.published_elsewhere(
                table,
                {number},
                kubelet_root=self._root,
                staging_target_path=want.staging.staging_target_path,
                target_path=want.target_path,
                root=root,
            )
            if other is not None:
                raise PublishedElsewhere(volume_id, other)
        return False

    def _publish(self, want: node_requests.Publishing, number: str, *, read_only: bool) -> None:
        if want.io_limits is not None:
            cgroup.set_io_limits(want.pod_uid, number, want.io_limits)
        with contextlib.ExitStack() as undo:
            undo.callback(_remove_target, want.target_path)
            if want.staging.is_block:
                files.ensure_file(want.target_path)
            else:
                files.ensure_dir(want.target_path)
            flags = () if want.staging.is_block else want.staging.mount_flags
            options = node_mounts.per_mount(flags)
            source = want.staging.staged_path
            mounts.bind(source, want.target_path, read_only=read_only, options=options)
            undo.pop_all()


def limit(path: pathlib.Path, pod_uid: str, limits: cgroup.IoLimits) -> None:
    """Apply *limits* to what the pod does on the device mounted at *path*."""
    there = node_mounts.top_mount(path)
    if there is None:
        raise errors.Unavailable(f"{path} was unmounted by someone; retry")
    cgroup.set_io_limits(pod_uid, there.device, limits)


def _difference(
    there: mountinfo.Mount,
    want: node_requests.Publishing,
    number: str,
    root: str | None,
    *,
    read_only: bool,
) -> str:
    """How the mount at the target path differs from *want*, "" when it does not."""
    is_block = want.staging.is_block
    if node_mounts.is_device_file(there) != is_block:
        return "it is a file system" if is_block else "it is a raw block device"
    if not node_mounts.holds(there, {number}):
        return "it is another device"
    if root is not None and there.root != root:
        return f"it is {there.root} of its file system, and the volume is {root}"
    flags = () if is_block else want.staging.mount_flags
    return node_mounts.mount_difference(there, read_only=read_only, flags=flags)


def _remove_target(path: pathlib.Path) -> None:
    """Take back a target that could not be mounted; the caller tells why it could not."""
    with contextlib.suppress(errors.Error, OSError):
        files.remove_empty(path)
