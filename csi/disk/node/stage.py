"""NodeStageVolume: from a device to a mounted file system, or to a device file.

Every step can be repeated: a call that was killed half way is finished by the next one. What to do
with a device's content is decided in `device_content`; the way back is `unstage`.
"""

import contextlib
import pathlib

import structlog

from core import call, errors, executor
from csi import requests
from csi.disk.node import device, node_requests, node_settings
from csi.node import device_content, device_state, disk_mark, grow, node_mounts
from host import block, files, filesystem, mountinfo, mounts

log = structlog.get_logger()

_GUEST_OWNED = "tmpfs"
"""runD puts this at the staging path when a guest has the disk. Source: spec/csi-driver.md 2.13."""


class StagedDifferently(errors.Exists):
    """Something incompatible is at the staging path."""

    def __init__(self, volume_id: str, path: pathlib.Path, why: str) -> None:
        super().__init__(
            f"volume {volume_id} is staged at {path}, but not as asked for: {why}; "
            "unstage it first, or ask for what is there"
        )


class Stager:
    """Stages; the callers hold the volume's lock."""

    def __init__(
        self,
        settings: node_settings.NodeSettings,
        devices: device.Devices,
        workers: executor.BoundedExecutor,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._workers = workers

    async def stage(self, want: node_requests.Staging, *, may_make: bool = True) -> None:
        """Bring *want* about. Doing it again changes nothing.

        may_make: an empty device may get a file system; else it is a Precondition.
        """
        if await self._workers.run(self._is_guest_owned, want.staging_target_path):
            return
        disk = await self._devices.wait(want.volume_id, want.serial)
        call.doing(f"staging {want.volume_id}")
        await self._workers.run(self._stage, want, disk, may_make=may_make)

    def _is_guest_owned(self, path: pathlib.Path) -> bool:
        there = node_mounts.top_mount(path)
        return there is not None and there.fs_type == _GUEST_OWNED

    def _stage(self, want: node_requests.Staging, disk: device.Disk, *, may_make: bool) -> None:
        self._devices.check_not_system(disk)
        disk_mark.mark_managed(disk.path, want.volume_id)
        files.ensure_dir(want.staging_target_path)
        for key, value in want.sys_config:
            block.set_sysfs(disk.path, key, value)
        if want.access is requests.AccessType.BLOCK:
            self._stage_block(want, disk)
        else:
            self._stage_filesystem(want, disk, may_make=may_make)

    def _check_used_alike(self, want: node_requests.Staging, disk: device.Disk) -> None:
        """Raise StagedDifferently when the disk is at another path as the other kind of volume.

        Looked at before the first mount: what a pod does with its device is its affair.
        """
        clash = node_mounts.other_kind_at(
            mountinfo.read(),
            self._devices.numbers(disk),
            staging_target_path=want.staging_target_path,
            is_block=want.access is requests.AccessType.BLOCK,
            read_only=want.read_only,
        )
        if clash is not None:
            kind = "a file system" if want.access is requests.AccessType.BLOCK else "a raw device"
            raise StagedDifferently(want.volume_id, clash, f"it is {kind} there")

    def _stage_filesystem(
        self, want: node_requests.Staging, disk: device.Disk, *, may_make: bool
    ) -> None:
        path = want.staging_target_path
        if node_mounts.top_mount(path / want.volume_id) is not None:
            raise StagedDifferently(want.volume_id, path, "it is there as a raw block device")
        source = self._devices.source(disk)
        there = self._live_mount(path, want.serial)
        if there is None:
            self._check_used_alike(want, disk)
            content = self._make_ready(want, disk, source, may_make=may_make)
            there = self._mount(want, disk, source, content)
        else:
            self._check_staged(want, source, there)
        if not want.read_only:
            _grow(source, there)

    def _make_ready(
        self,
        want: node_requests.Staging,
        disk: device.Disk,
        source: device_content.Source,
        *,
        may_make: bool,
    ) -> device_content.Content:
        """What to mount, with the file system made or checked."""
        options = want.filesystem
        used_at = mountinfo.mounts_of(source.number)
        content = self._devices.content(source, options.fs_type, read_only=want.read_only)
        if used_at:
            # A second staging path. The kernel shares the mounted file system; hands off.
            return content
        if device_state.is_claimed(source.path):
            raise errors.Busy(
                f"device {source.path} is in use by another program, perhaps an mkfs that outlived "
                "a killed driver; retry when it has ended"
            )
        if content.make:
            if not may_make:
                raise errors.Precondition(
                    f"device {source.path} of volume {want.volume_id} is empty, so it was never "
                    "staged; call NodeStageVolume first"
                )
            self._devices.confirm(disk, want.serial)
            call.doing(f"making {content.fs_type} on {source.path}")
            filesystem.make(source.path, content.fs_type, options.mkfs_options, over=content.over)
            log.info("file system made", device=str(source.path), fs_type=content.fs_type)
        elif not want.read_only:
            if self._settings.check_filesystem and not options.skip_check:
                call.doing(f"checking the file system on {source.path}")
                filesystem.check(source.path, content.fs_type)
            grow.grow_unmounted(source.path, content.fs_type)
        return content

    def _mount(
        self,
        want: node_requests.Staging,
        disk: device.Disk,
        source: device_content.Source,
        content: device_content.Content,
    ) -> mountinfo.Mount:
        """Mount *source*, and take it back when the device turns out to be another by now."""
        path = want.staging_target_path
        options = ["ro" if want.read_only else "rw", *want.mount_flags]
        if content.fs_type == "xfs" and "nouuid" not in options:
            # A disk restored from a snapshot has its origin's UUID, and both may be on one node.
            options.append("nouuid")
        # A kubelet that was killed meanwhile does not know of the mount, nor ask to undo it.
        call.require_wanted(f"mounting {source.path} at {path}")
        with contextlib.ExitStack() as undo:
            mounts.mount(source.path, path, fs_type=content.fs_type, options=options)
            undo.callback(mounts.unmount, path)
            self._devices.confirm(disk, want.serial)
            there = node_mounts.top_mount(path)
            if there is None or there.device != source.number:
                raise errors.Unavailable(f"{path} was mounted over by someone else; retry")
            undo.pop_all()
        return there

    def _check_staged(
        self, want: node_requests.Staging, source: device_content.Source, there: mountinfo.Mount
    ) -> None:
        """Check that what was mounted before is this volume, as asked for."""
        if there.device != source.number:
            why = f"device {there.device} is mounted there, and the volume's is {source.number}"
        else:
            why = node_mounts.mount_difference(
                there,
                read_only=want.read_only,
                flags=want.mount_flags,
                fs_type=want.filesystem.fs_type,
            )
        if why:
            raise StagedDifferently(want.volume_id, want.staging_target_path, why)

    def _stage_block(self, want: node_requests.Staging, disk: device.Disk) -> None:
        path = want.staging_target_path
        if node_mounts.top_mount(path) is not None:
            raise StagedDifferently(want.volume_id, path, "it is there as a mounted file system")
        file = path / want.volume_id
        there = self._live_mount(file, want.serial)
        if there is None:
            self._check_used_alike(want, disk)
            files.ensure_file(file)
            self._devices.set_read_only(disk.number, read_only=want.read_only)
            self._devices.confirm(disk, want.serial)
            mounts.bind(disk.path, file, read_only=want.read_only)
            there = node_mounts.top_mount(file)
        if there is None or not node_mounts.holds(there, {disk.number}):
            raise StagedDifferently(want.volume_id, path, "another device is there")
        if node_mounts.is_read_only(there) != want.read_only:
            why = "it is read-only" if node_mounts.is_read_only(there) else "it is writable"
            raise StagedDifferently(want.volume_id, path, why)
        # An unstage that was killed before its unmount made the device writable.
        self._devices.set_read_only(disk.number, read_only=want.read_only)

    def _live_mount(self, path: pathlib.Path, serial: str) -> mountinfo.Mount | None:
        """The mount at *path*. One of a device that is gone is removed: nothing can use it.

        A kernel keeps a device's number as long as its file system is mounted, so a number that is
        in use cannot belong to another disk; that of a device file can.
        """
        there = node_mounts.top_mount(path)
        if there is None:
            return None
        number, left_over = there.device, False
        if node_mounts.is_device_file(there):
            number = block.device_number(path)
            left_over = self._devices.is_left_over(there, serial)
        if not left_over and (not node_mounts.has_device(number) or self._devices.is_alive(number)):
            return there
        log.warning("removing the mount of a device that is gone", path=str(path), device=number)
        mounts.ensure_unmounted(path)
        return None


def _grow(source: device_content.Source, there: mountinfo.Mount) -> None:
    """Make the file system as large as its device, as after a restore to a larger disk."""
    path = pathlib.Path(there.mount_point)
    try:
        grow.grow_mounted(source.path, there.fs_type, path, seen_at=path)
    except grow.CannotGrowMounted as e:
        # It was mounted before this call. NodeExpandVolume will tell the CO; the volume works.
        log.warning("file system stays smaller than its device", error=str(e))
