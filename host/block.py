"""Block devices of this node: finding, measuring, partitions, settings in sysfs."""

import contextlib
import fcntl
import os
import pathlib
import re
import stat
import time

from core import errors
from host import run

_SYS_DEV_BLOCK = pathlib.Path("/sys/dev/block")
_SYS_BDI = pathlib.Path("/sys/class/bdi")
_SYS_BLOCK = "block"
_SECTOR_BYTES = 512
_VIRTIO_SERIAL_MAX = 20
"""VIRTIO_BLK_ID_BYTES: the kernel shows no more of a virtio disk's serial number."""
_LINK_PREFIXES = ("virtio-", "nvme-Alibaba_Cloud_Elastic_Block_Storage_")
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
_LOCK_WAIT_S = 10.0
_LOCK_LOOK_S = 0.1
_COMMAND_TIMEOUT_S = 30.0

BY_ID_DIR = pathlib.Path("/dev/disk/by-id")
SYSFS = pathlib.Path("/sys")


def find_device(
    serial: str, *, by_id_dir: pathlib.Path = BY_ID_DIR, sysfs: pathlib.Path = SYSFS
) -> pathlib.Path | None:
    """The whole-disk device with serial number *serial*, links followed; None when there is none.

    Looks at the two link names Alibaba Cloud's images make, then at any link that ends with the
    serial number as a word, then at sysfs. Source: spec/csi-driver.md 2.13.
    """
    if not serial or "/" in serial:
        raise errors.InvalidField("serialNumber", "is not a serial number", value=serial)
    for prefix in _LINK_PREFIXES:
        found = _device_behind(by_id_dir / f"{prefix}{serial}")
        if found is not None:
            return found
    return _by_any_link(serial, by_id_dir) or find_in_sysfs(serial, sysfs=sysfs)


def find_in_sysfs(serial: str, *, sysfs: pathlib.Path = SYSFS) -> pathlib.Path | None:
    """The whole-disk device that the kernel says has *serial*; None when there is none."""
    with contextlib.suppress(FileNotFoundError):
        for entry in sorted((sysfs / _SYS_BLOCK).iterdir()):
            nvme = entry.name.startswith("nvme")
            told = _read(entry / "device" / "serial" if nvme else entry / "serial")
            if told and is_serial(told, serial):
                found = _device_behind(pathlib.Path("/dev") / entry.name.replace("!", "/"))
                if found is not None:
                    return found
    return None


def is_serial(told: str, serial: str) -> bool:
    """Whether the kernel means *serial* by *told*: a virtio disk shows its first 20 bytes."""
    return told == serial or (len(told) == _VIRTIO_SERIAL_MAX and serial.startswith(told))


def path_of(link: str | os.PathLike[str]) -> pathlib.Path:
    """The device behind *link*, links followed. Raises Precondition for anything else."""
    device_number(link)
    return pathlib.Path(os.path.realpath(link))


def is_block_device(path: str | os.PathLike[str]) -> bool:
    """Whether *path*, links followed, is a block device; False when missing."""
    try:
        return stat.S_ISBLK(pathlib.Path(path).stat().st_mode)
    except OSError:
        return False


def device_number(path: str | os.PathLike[str]) -> str:
    """Number of block device *path* as "major:minor". Raises Precondition for anything else."""
    try:
        found = pathlib.Path(path).stat()
    except FileNotFoundError as e:
        raise errors.Precondition(f"device {os.fspath(path)} does not exist") from e
    if not stat.S_ISBLK(found.st_mode):
        raise errors.Precondition(f"{os.fspath(path)} is not a block device")
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def numbers_of(path: str | os.PathLike[str]) -> set[str]:
    """Numbers of block device *path*, and of the disk it is a partition of."""
    number = device_number(path)
    entry = _SYS_DEV_BLOCK / number
    if not (entry / "partition").is_file():
        return {number}
    return {number, (entry.resolve().parent / "dev").read_text().strip()}


def size_bytes(path: str | os.PathLike[str]) -> int:
    """Size of block device *path* as the kernel knows it now."""
    return int((_SYS_DEV_BLOCK / device_number(path) / "size").read_text()) * _SECTOR_BYTES


def written_sectors(path: str | os.PathLike[str]) -> int:
    """Sectors of *path* that were written or discarded since it came; not yet what is in memory.

    Source: Documentation/block/stat.rst, write sectors and discard sectors; the latter are not told
    before Linux 4.18.
    """
    told = (_SYS_DEV_BLOCK / device_number(path) / "stat").read_text().split()
    return sum(int(told[i]) for i in (6, 13) if i < len(told))


def instance(path: str | os.PathLike[str]) -> str:
    """What tells the disk at *path* from others that had its path or its number before.

    No more than its number before Linux 5.15. Source: Documentation/ABI/stable/sysfs-block,
    diskseq.
    """
    number = device_number(path)
    entry = (_SYS_DEV_BLOCK / number).resolve()
    disk = entry.parent if (entry / "partition").is_file() else entry
    return f"{number} {_read(disk / 'diskseq')}".strip()


def mapper_uuid(path: str | os.PathLike[str]) -> str:
    """What device-mapper calls the device at *path* for good, "" = it is none of its devices.

    Of a logical volume: `LVM-`, and the ids of group and volume without hyphens.
    """
    return _read(_SYS_DEV_BLOCK / device_number(path) / "dm" / "uuid")


def partitions(device: pathlib.Path) -> list[pathlib.Path]:
    """Partitions of whole disk *device* that the kernel knows, by number."""
    entry = _SYS_DEV_BLOCK / device_number(device)
    found = []
    for child in entry.iterdir():
        number = child / "partition"
        if number.is_file():
            found.append((int(number.read_text()), child.name))
    return [pathlib.Path("/dev") / name.replace("!", "/") for _, name in sorted(found)]


def partition_number(partition: pathlib.Path) -> int:
    """Number of *partition* on its disk."""
    return int((_SYS_DEV_BLOCK / device_number(partition) / "partition").read_text())


def _lock(fd: int, device: pathlib.Path) -> None:
    """Take the device's lock. Raises Busy when somebody else holds it for too long."""
    give_up_s = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up_s:
                raise errors.Busy(
                    f"{device} is locked by another process for more than {_LOCK_WAIT_S:g} s"
                ) from None
            time.sleep(_LOCK_LOOK_S)
        else:
            return


def grow_partition(device: pathlib.Path, partition: pathlib.Path | int) -> None:
    """Let the last partition of *device* reach the end of the disk. Again changes nothing.

    Under the lock udev and systemd honour, so that nobody re-reads a half-written table.
    """
    number = partition if isinstance(partition, int) else partition_number(partition)
    with device.open("rb", buffering=0) as disk:
        _lock(disk.fileno(), device)
        result = run.run(
            ["sfdisk", "--no-reread", "--no-tell-kernel", "-N", str(number), "--", str(device)],
            timeout_s=_COMMAND_TIMEOUT_S,
            stdin=b",+\n",
            check=False,
        )
        if result.returncode != 0 and "no free" not in result.stderr.lower():
            raise run.CommandFailed(["sfdisk", "-N", str(number), str(device)], result)
        run.run(
            ["partx", "--update", "--nr", str(number), str(device)], timeout_s=_COMMAND_TIMEOUT_S
        )


def set_sysfs(device: pathlib.Path, key: str, value: str) -> None:
    """Write *value* to setting *key* of *device*, e.g. `queue/read_ahead_kb`, `bdi/min_ratio`.

    Raises InvalidField for a key that would leave the device's own directory or does not exist,
    and for a value the kernel refuses.
    """
    if not _KEY.fullmatch(key) or ".." in key.split("/"):
        raise errors.InvalidField("sysConfig", "is not a sysfs key", value=key)
    number = device_number(device)
    base, rest = _SYS_DEV_BLOCK / number, key
    if key.startswith("bdi/"):
        base, rest = _SYS_BDI / number, key.removeprefix("bdi/")
    path = base / rest
    real_base = os.path.realpath(base)
    if not os.path.realpath(path).startswith(real_base + "/") or not path.is_file():
        raise errors.InvalidField("sysConfig", f"is no setting of {device}", value=key)
    if path.read_text().strip() == value:
        return
    try:
        path.write_text(value)
    except OSError as e:
        raise errors.InvalidField(
            f"sysConfig[{key}]", f"is refused by the kernel ({e.strerror})", value=value
        ) from e


def _device_behind(link: pathlib.Path) -> pathlib.Path | None:
    return pathlib.Path(os.path.realpath(link)) if is_block_device(link) else None


def _by_any_link(serial: str, by_id_dir: pathlib.Path) -> pathlib.Path | None:
    """A link whose name ends with *serial* as a whole word: never one of a longer serial number."""
    word = re.compile(rf"(?:.*[-_])?{re.escape(serial)}")
    with contextlib.suppress(FileNotFoundError):
        for link in sorted(by_id_dir.iterdir()):
            if word.fullmatch(link.name):
                found = _device_behind(link)
                if found is not None:
                    return found
    return None


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
