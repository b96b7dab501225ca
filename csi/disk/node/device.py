"""From a disk's serial number to the device its data is on, without ever mistaking one for another.

`choose_source` and `check_not_system` are pure, as is `device_content`; `Devices` looks at the
node. What happens to the device then is in `stage`, `publish` and `expand`.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

import structlog

from core import call, clock, errors, executor
from csi import node_options
from csi.disk import disk_options
from csi.disk.node import node_settings
from csi.node import device_content, device_state
from host import block, filesystem, mountinfo, remnants, run

log = structlog.get_logger()

_COMMAND_TIMEOUT_S = 10.0


class DeviceMissing(errors.Unavailable):
    """No device with that serial number is there (yet)."""

    def __init__(self, volume_id: str, serial: str, waited_s: float) -> None:
        super().__init__(
            f"no device with serial number {serial} for volume {volume_id} after {waited_s:.0f} s; "
            "is the disk attached to this node, and is /dev of the host mounted in this container?"
        )
        self.volume_id = volume_id
        self.serial = serial


class SystemDevice(errors.Precondition):
    """The device carries the node itself."""

    def __init__(self, disk: pathlib.Path, mount_point: str) -> None:
        super().__init__(
            f"device {disk} is mounted at {mount_point}, which holds kubelet's own directory; "
            "it is the node's disk and is never used for a volume"
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A whole disk. number: "major:minor" of its device at the time of the look."""

    path: pathlib.Path
    number: str


class Devices:
    """Finds devices on this node."""

    def __init__(
        self,
        settings: node_settings.NodeSettings,
        workers: executor.BoundedExecutor,
        time: clock.Clock,
    ) -> None:
        self._settings = settings
        self._workers = workers
        self._clock = time

    async def wait(self, volume_id: str, serial: str) -> Disk:
        """The disk with *serial*; looks at once, then every half second for at most 10 s.

        Raises Precondition when the serial is not known, DeviceMissing when time is up.
        """
        if not serial:
            raise errors.Precondition(
                f"publish_context[{disk_options.SERIAL_KEY}] of volume {volume_id} is missing; "
                "call ControllerPublishVolume first and pass its publish_context on"
            )
        call.doing(f"waiting for the device of {volume_id}")
        started_s = self._clock.monotonic_s()
        limit_s = min(node_settings.DEVICE_WAIT_S, call.remaining_s(node_settings.DEVICE_WAIT_S))
        while True:
            disk = await self._workers.run(self.find, serial)
            if disk is not None:
                return disk
            waited_s = self._clock.monotonic_s() - started_s
            if waited_s >= limit_s:
                raise DeviceMissing(volume_id, serial, waited_s)
            await self._clock.sleep(min(node_settings.DEVICE_POLL_S, limit_s - waited_s))

    def find(self, serial: str) -> Disk | None:
        """The disk with *serial* as things are now.

        A link that udev has not yet removed may lead to the next disk that got the same name, so
        the kernel's own word on the serial number, where it has one, must agree.
        """
        settings = self._settings
        path = block.find_device(serial, by_id_dir=settings.by_id_dir, sysfs=settings.sysfs)
        if path is not None and not self.may_be(block.device_number(path), serial):
            log.warning("link leads to another disk", serial=serial, device=str(path))
            path = block.find_in_sysfs(serial, sysfs=settings.sysfs)
        return None if path is None else Disk(path=path, number=block.device_number(path))

    def may_be(self, number: str, serial: str) -> bool:
        """Whether the kernel does not say that "major:minor" is another disk than *serial*."""
        told = self._kernel_serial(number)
        return not told or block.is_serial(told, serial)

    def is_left_over(self, mount: mountinfo.Mount, serial: str) -> bool:
        """Whether *mount* is the device file of a disk that was taken away, as far as we know.

        serial: of the disk whose device file it was, "" = unknown.
        A device file that is bound somewhere holds nothing. Detached behind our back, the disk is
        gone, and its number goes to the next disk: what the file leads to then is that one.
        """
        told = self._kernel_serial(block.device_number(mount.mount_point)) if serial else ""
        # The disk may have come back with its number: then the old file leads to it again.
        return not block.is_serial(told, serial) if told else mount.deleted

    def confirm(self, disk: Disk, serial: str) -> None:
        """Check that *serial* still means *disk*; device names are used again after a detach.

        Raises Unavailable otherwise.
        """
        now = self.find(serial)
        if now != disk:
            raise errors.Unavailable(
                f"device {disk.path} changed while it was prepared: serial number {serial} is now "
                f"{'nowhere' if now is None else now.path}; retry"
            )

    def source(self, disk: Disk) -> device_content.Source:
        """The device of *disk* that its file system is on or goes to.

        Raises SystemDevice or Precondition when no device of the disk may be used.
        """
        partitions = block.partitions(disk.path)
        numbers = [disk.number, *(block.device_number(p) for p in partitions)]
        check_not_system(disk, numbers, mountinfo.read(), self._settings.real_kubelet_root)
        if not partitions:
            return device_content.Source(path=disk.path, number=disk.number)
        if not self._settings.accept_partition:
            raise errors.Precondition(
                f"device {disk.path} has partitions, which DISK_PARTITION_ENABLE=false refuses; "
                "nothing was changed"
            )
        return choose_source(
            disk,
            filesystem.probe(disk.path),
            [(p, block.device_number(p), filesystem.probe(p)) for p in partitions[:2]],
        )

    def check_not_system(self, disk: Disk) -> None:
        """Raise SystemDevice when *disk* carries kubelet's directory."""
        check_not_system(
            disk, self.numbers(disk), mountinfo.read(), self._settings.real_kubelet_root
        )

    def numbers(self, disk: Disk) -> tuple[str, ...]:
        """Device numbers of *disk* and of its partitions."""
        return (disk.number, *(block.device_number(p) for p in block.partitions(disk.path)))

    def content(
        self, source: device_content.Source, wanted: node_options.FsType | None, *, read_only: bool
    ) -> device_content.Content:
        """What to do with *source*. Raises Precondition when its data does not fit the request."""
        probe = filesystem.probe(source.path)
        unfinished = probe.fs_type == "xfs" and device_state.is_unfinished_xfs(source.path)
        if unfinished:
            log.warning("file system was never finished, making it anew", device=str(source.path))
        content = device_content.choose_content(
            source,
            probe,
            wanted,
            default=self._settings.default_fs_type,
            read_only=read_only,
            unfinished=unfinished,
        )
        if content.make and not unfinished:
            remnants.require_no_copies(source.path)
        return content

    def _kernel_serial(self, number: str) -> str:
        """Serial number of disk "major:minor" in sysfs, "" = none."""
        base = self._settings.sysfs / "dev/block" / number
        for name in ("serial", "device/serial"):
            with contextlib.suppress(OSError):
                return (base / name).read_text().strip()
        return ""

    def is_alive(self, number: str) -> bool:
        """Whether the device "major:minor" still exists; after a detach it does not."""
        return (self._settings.sysfs / "dev/block" / number).exists()

    def is_lost(self, mount: mountinfo.Mount, volume_id: str) -> bool:
        """`is_left_over`, of a volume."""
        return self.is_left_over(mount, disk_options.serial_of(volume_id))

    def set_read_only(self, number: str, *, read_only: bool) -> None:
        """Let the whole device refuse writes, or not.

        A read-only bind mount of a device file does not: Linux asks the device, not the mount. So
        a mode that lets nobody write is kept by the device itself.
        """
        now = (self._settings.sysfs / "dev/block" / number / "ro").read_text().strip()
        if (now == "1") != read_only:
            flag = "--setro" if read_only else "--setrw"
            run.run(["blockdev", flag, str(self.path_of(number))], timeout_s=_COMMAND_TIMEOUT_S)

    def path_of(self, number: str) -> pathlib.Path:
        """Device node of "major:minor". Raises Unavailable when the device is gone."""
        link = self._settings.sysfs / "dev/block" / number
        try:
            name = link.readlink().name
        except OSError as e:
            raise errors.Unavailable(
                f"device {number} is gone; was the disk detached while it was in use?"
            ) from e
        return _node(name)

    def whole_disk(self, number: str) -> tuple[Disk, int | None]:
        """The disk that device "major:minor" is or is a partition of, and the partition's number.

        Raises Unavailable when the device is gone.
        """
        path = self.path_of(number)
        directory = (self._settings.sysfs / "dev/block" / number).resolve()
        try:
            partition = int((directory / "partition").read_text())
        except FileNotFoundError:
            return Disk(path=path, number=number), None
        whole = _node(directory.parent.name)
        return Disk(path=whole, number=block.device_number(whole)), partition


def _node(name: str) -> pathlib.Path:
    """Device node of a name in sysfs, which writes "/" as "!"."""
    return pathlib.Path("/dev") / name.replace("!", "/")


def check_not_system(
    disk: Disk,
    numbers: Iterable[str],
    mounts: Iterable[mountinfo.Mount],
    kubelet_root: pathlib.Path,
) -> None:
    """Raise SystemDevice when a device of *numbers* is mounted at *kubelet_root* or above it."""
    wanted = set(numbers)
    for mount in mounts:
        if mount.device in wanted and kubelet_root.is_relative_to(mount.mount_point):
            raise SystemDevice(disk.path, mount.mount_point)


def choose_source(
    disk: Disk,
    whole: filesystem.Probe,
    partitions: Sequence[tuple[pathlib.Path, str, filesystem.Probe]],
) -> device_content.Source:
    """The only partition of *disk*, if that is where the file system is.

    partitions: (path, "major:minor", probe) of at least one. Source: spec/csi-driver.md 2.13.
    Raises Precondition: nothing is ever guessed about a disk that somebody partitioned.
    """
    path, number, probe = partitions[0]
    why = ""
    if len(partitions) > 1:
        why = "it has more than one partition"
    elif whole.fs_type is not None:
        why = f"both the disk ({whole.fs_type}) and its partition hold data"
    elif probe.fs_type is None:
        why = f"its partition {path} holds no file system"
    if why:
        raise errors.Precondition(
            f"device {disk.path} cannot be used: {why}; use a disk with one file system, on the "
            "disk itself or on its only partition; nothing was changed"
        )
    return device_content.Source(path=path, number=number, partition=1)
