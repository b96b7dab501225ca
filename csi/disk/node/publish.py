"""NodePublishVolume and NodeUnpublishVolume: from the staging path to a pod's path, and back.

Which second publish is allowed is the table of spec/conformance.md b.4; what is published already
is read from the kernel's mount table, so a restart forgets nothing.
"""

import contextlib
import pathlib

import structlog

from core import call, errors, executor
from csi import requests
from csi.disk.node import device, node_requests, node_settings, stage
from csi.node import at_path, node_mounts
from host import cgroup, files, mountinfo, mounts

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
    """Publishes and unpublishes; the callers hold the volume's lock."""

    def __init__(
        self,
        settings: node_settings.NodeSettings,
        devices: device.Devices,
        stager: stage.Stager,
        workers: executor.BoundedExecutor,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._stager = stager
        self._workers = workers

    async def publish(self, want: node_requests.Publishing) -> None:
        """Bring *want* about. Doing it again changes nothing."""
        staging = want.staging
        disk = await self._devices.wait(staging.volume_id, staging.serial)
        call.doing(f"publishing {staging.volume_id}")
        if await self._workers.run(self._is_published, want, disk):
            return
        if not await self._workers.run(self._is_staged, staging):
            log.info("staging was lost, doing it again", volume_id=staging.volume_id)
            await self._stager.stage(staging, may_make=False)
        await self._workers.run(self._publish, want, disk)

    async def unpublish(self, at: at_path.AtPath) -> None:
        """Remove what `publish` made at *at*. Nothing there is fine."""
        call.doing(f"unpublishing {at.volume_id}")
        await self._workers.run(at_path.unpublish, at)

    def _is_published(self, want: node_requests.Publishing, disk: device.Disk) -> bool:
        """Whether *want* is in place. Raises when something else is, or when it is not allowed."""
        table = mountinfo.snapshot()
        there = node_mounts.top_mount(want.target_path, table)
        numbers = self._devices.numbers(disk)
        if there is not None:
            why = published_difference(there, want, numbers)
            if why:
                raise PublishedDifferently(want.staging.volume_id, want.target_path, why)
            return True
        if want.exclusive:
            other = node_mounts.published_elsewhere(
                table,
                numbers,
                kubelet_root=self._settings.real_kubelet_root,
                staging_target_path=want.staging.staging_target_path,
                target_path=want.target_path,
            )
            if other is not None:
                raise PublishedElsewhere(want.staging.volume_id, other)
        return False

    def _is_staged(self, staging: node_requests.Staging) -> bool:
        return node_mounts.top_mount(_staged_path(staging)) is not None

    def _publish(self, want: node_requests.Publishing, disk: device.Disk) -> None:
        staging = want.staging
        source = _staged_path(staging)
        self._check_staged(source, staging, disk)
        if want.io_limits is not None:
            cgroup.set_io_limits(want.pod_uid, disk.number, want.io_limits)
        is_block = staging.access is requests.AccessType.BLOCK
        with contextlib.ExitStack() as undo:
            undo.callback(_remove_target, want.target_path)
            if is_block:
                files.ensure_file(want.target_path)
            else:
                files.ensure_dir(want.target_path)
            options = () if is_block else node_mounts.per_mount(staging.mount_flags)
            mounts.bind(source, want.target_path, read_only=want.read_only, options=options)
            undo.pop_all()

    def _check_staged(
        self, source: pathlib.Path, staging: node_requests.Staging, disk: device.Disk
    ) -> None:
        """Check by device number that what is staged is this very disk."""
        self._devices.confirm(disk, staging.serial)
        there = node_mounts.top_mount(source)
        if there is None or not node_mounts.holds(there, self._devices.numbers(disk)):
            found = "nothing" if there is None else f"device {there.device}"
            raise errors.Precondition(
                f"{found} is staged at {source}, and volume {staging.volume_id} is device "
                f"{disk.number}; unstage it and stage it again"
            )


def published_difference(
    there: mountinfo.Mount, want: node_requests.Publishing, numbers: tuple[str, ...]
) -> str:
    """How the mount at the target path differs from *want*, "" when it does not."""
    is_block = want.staging.access is requests.AccessType.BLOCK
    if node_mounts.is_device_file(there) != is_block:
        return "it is a file system" if is_block else "it is a raw block device"
    if not node_mounts.holds(there, numbers):
        return "it is another device"
    flags = () if is_block else want.staging.mount_flags
    return node_mounts.mount_difference(there, read_only=want.read_only, flags=flags)


def _remove_target(path: pathlib.Path) -> None:
    """Take back a target that could not be mounted; the caller tells why it could not."""
    with contextlib.suppress(errors.Error, OSError):
        files.remove_empty(path)


def _staged_path(staging: node_requests.Staging) -> pathlib.Path:
    if staging.access is requests.AccessType.BLOCK:
        return staging.staging_target_path / staging.volume_id
    return staging.staging_target_path
