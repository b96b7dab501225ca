"""NodeUnstageVolume: every staging mount of a volume goes, and only after its data is on the disk.

The disk is detached next, so this is the last moment at which data can be lost.
"""

import contextlib
import pathlib

import structlog

from core import call, errors, executor
from csi.disk import disk_options
from csi.disk.node import device, node_settings
from csi.node import at_path, device_state, node_mounts
from host import block, mountinfo, mounts, run

log = structlog.get_logger()

DRIVER_NAME = "diskplugin.csi.alibabacloud.com"
_UNMOUNT_TIMEOUT_S = 30.0
_FLUSH_TIMEOUT_S = 90.0
"""Less than the 2 minutes kubelet gives an unstage."""


class Unstager:
    """Unstages; the callers hold the volume's lock."""

    def __init__(
        self,
        settings: node_settings.NodeSettings,
        devices: device.Devices,
        workers: executor.BoundedExecutor,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._workers = workers

    async def unstage(self, at: at_path.AtPath) -> None:
        """Undo `stage` at *at*, and at the places other kubelets staged the same volume.

        Raises Busy while the volume is published, or when a process uses a staging mount.
        """
        call.doing(f"unstaging {at.volume_id}")
        await self._workers.run(self._unstage, at)

    def _unstage(self, at: at_path.AtPath) -> None:
        file = at.path / at.volume_id if "/" not in at.volume_id else None
        numbers = self._numbers(at, file)
        table = mountinfo.read()
        if numbers:
            published = node_mounts.published_elsewhere(
                table,
                numbers,
                kubelet_root=self._settings.real_kubelet_root,
                staging_target_path=at.path,
            )
            if published is not None:
                raise errors.Busy(
                    f"volume {at.volume_id} is still published at {published}; unpublish it first"
                )
        alive = [number for number in numbers if self._devices.is_alive(number)]
        # Before the unmount: killed in between, the next call still sees whose device it is. And
        # whatever is mounted: a stage that was killed left the device read-only and no mount.
        for number in alive:
            self._devices.set_read_only(number, read_only=False)
        for path in self._staging_paths(at, file, numbers, table):
            self._flush(path)
            mounts.unmount(path, timeout_s=_UNMOUNT_TIMEOUT_S)
        if file is not None:
            _remove_placeholder(file)
        for number in alive:
            self._report_other_users(at.volume_id, number)

    def _flush(self, path: pathlib.Path) -> None:
        """Write back everything before the unmount, as the disk is detached after it.

        An unmount returns early when another mount namespace has the file system too, or when it
        takes so long that it is made lazy; data on its way would be lost then.
        """
        there = node_mounts.top_mount(path)
        if there is None or not node_mounts.has_device(there.device):
            return
        call.doing(f"writing {path} back")
        argv = ["sync", "--file-system", "--", str(path)]
        result = run.run(argv, timeout_s=_FLUSH_TIMEOUT_S, check=False)
        if result.returncode != 0:
            # The device or the file system is broken. Waiting does not mend it.
            log.error("not everything could be written back", path=str(path), error=result.stderr)

    def _report_other_users(self, volume_id: str, number: str) -> None:
        """Say so when the device is still open: a container with a private copy of the mount."""
        try:
            claimed = device_state.is_claimed(self._devices.path_of(number))
        except (OSError, errors.Unavailable):
            return  # gone or broken meanwhile; the unstage is done all the same
        if claimed:
            log.warning(
                "device is unmounted here, but still in use, perhaps by a container that mounts "
                "kubelet's directory without mountPropagation HostToContainer",
                volume_id=volume_id,
                device=number,
            )

    def _numbers(self, at: at_path.AtPath, file: pathlib.Path | None) -> set[str]:
        """Device numbers of the volume, as its mounts or else its serial number tell."""
        there = node_mounts.top_mount(at.path)
        if there is not None and node_mounts.has_device(there.device):
            return {there.device}
        serial = disk_options.serial_of(at.volume_id)
        if file is not None:
            there = node_mounts.top_mount(file)
            if (
                there is not None
                and block.is_block_device(file)
                and not self._devices.is_left_over(there, serial)
            ):
                return {block.device_number(file)}
        disk = self._devices.find(serial) if serial else None
        return set() if disk is None else set(self._devices.numbers(disk))

    def _staging_paths(
        self,
        at: at_path.AtPath,
        file: pathlib.Path | None,
        numbers: set[str],
        table: list[mountinfo.Mount],
    ) -> list[pathlib.Path]:
        """Every mount point to remove, topmost first."""
        roots = (self._settings.real_kubelet_root, self._settings.ack_kubelet_root)
        import hashlib  # noqa: PLC0415  # six libraries, 0.3 MiB, and an idle node needs none

        hashed = hashlib.sha256(at.volume_id.encode()).hexdigest()
        named = [
            root / "plugins/kubernetes.io/csi" / DRIVER_NAME / hashed / "globalmount"
            for root in roots
        ]
        wanted = {at.path, *named, *node_mounts.staging_mounts(table, numbers, roots)}
        if file is not None:
            wanted.add(file)
        return [
            pathlib.Path(mount.mount_point)
            for mount in reversed(table)
            if pathlib.Path(mount.mount_point) in wanted
        ]


def _remove_placeholder(file: pathlib.Path) -> None:
    """Remove the file a device was bound to. The directory around it is the CO's."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if file.is_file() and file.stat().st_size == 0:
            file.unlink()
