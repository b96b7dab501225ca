"""What the kernel's mount table says about one volume. Pure, but for the `stat` of device files.

A restarted driver knows nothing, so whether a volume is staged, published, where, and how, is read
from here each time.
"""

import contextlib
import pathlib
from collections.abc import Collection, Iterable

from core import errors
from csi import node_options
from host import block, mountinfo

_KUBELET_CSI_DIR = pathlib.PurePath("plugins/kubernetes.io/csi")
_GLOBAL_MOUNT = "globalmount"
_DEVICE_FILE_SYSTEMS = frozenset({"devtmpfs", "tmpfs"})
"""Where device files live: the host's /dev, or a container's own."""
_BROKEN = frozenset({"emergency_ro", "shutdown"})
"""What ext4 shows in its super block options after an error. Source: Linux fs/ext4/super.c."""
_COMPARED = ("nosuid", "nodev", "noexec", "noatime", "nodiratime")
"""Flags of a mount point that the kernel shows exactly as they were asked for."""


def top_mount(
    path: pathlib.Path, mounts: Iterable[mountinfo.Mount] | None = None
) -> mountinfo.Mount | None:
    """The mount seen at *path*, None when it is no mount point."""
    there = mountinfo.mounts_at(path, mounts)
    return there[-1] if there else None


def has_device(number: str) -> bool:
    """Whether "major:minor" is a block device's; file systems without one have major number 0."""
    return not number.startswith("0:")


def is_device_file(mount: mountinfo.Mount) -> bool:
    """Whether *mount* is a device file bound somewhere, as raw block volumes are."""
    return mount.fs_type in _DEVICE_FILE_SYSTEMS and block.is_block_device(_path(mount))


def holds(mount: mountinfo.Mount, numbers: Collection[str]) -> bool:
    """Whether *mount* gives access to a device of *numbers*, as a file system or as a file."""
    return mount.device in numbers or number_behind(mount) in numbers


def number_behind(mount: mountinfo.Mount) -> str:
    """Number, "major:minor", of the device file that *mount* is, else of its file system.

    The table is of some moments ago: what was unmounted since is no device file.
    """
    if mount.fs_type in _DEVICE_FILE_SYSTEMS:
        with contextlib.suppress(errors.Precondition, OSError):
            return block.device_number(_path(mount))
    return mount.device


def is_read_only(mount: mountinfo.Mount) -> bool:
    """Whether this mount point refuses writes."""
    return "ro" in mount.options


def is_broken(mount: mountinfo.Mount) -> bool:
    """Whether the file system stopped accepting writes by itself, after an error."""
    if _BROKEN.intersection(mount.super_options):
        return True
    return "ro" in mount.super_options and "ro" not in mount.options


def mount_difference(
    mount: mountinfo.Mount, *, read_only: bool, flags: Iterable[str], fs_type: str | None = None
) -> str:
    """How *mount* differs from what is wanted, "" when it does not.

    Only what the kernel shows as asked for is compared; it hides defaults of file systems.
    """
    if fs_type is not None and mount.fs_type != fs_type:
        return f"its file system is {mount.fs_type}, not {fs_type}"
    if is_read_only(mount) != read_only:
        return "it is read-only" if is_read_only(mount) else "it is writable"
    wanted = set(flags)
    for flag in _COMPARED:
        if (flag in mount.options) != (flag in wanted):
            return f"it has {flag}" if flag in mount.options else f"it lacks {flag}"
    return ""


def per_mount(flags: Iterable[str]) -> tuple[str, ...]:
    """Those of *flags* that a bind mount can have; the others belong to the file system."""
    return tuple(f for f in flags if f in node_options.PER_MOUNT_FLAGS)


def published_elsewhere(
    mounts: Iterable[mountinfo.Mount],
    numbers: Collection[str],
    *,
    kubelet_root: pathlib.Path,
    staging_target_path: pathlib.Path,
    target_path: pathlib.Path | None = None,
    root: str | None = None,
) -> pathlib.Path | None:
    """A path below *kubelet_root*, other than *target_path*, where the volume is published.

    root: of a volume that is a directory, its path inside the file system; None = all of that.
    """
    for mount in mounts:
        path = _path(mount)
        if (
            path == target_path
            or not path.is_relative_to(kubelet_root)
            or path.is_relative_to(staging_target_path)
            or is_staging_path(path, kubelet_root)
        ):
            continue
        if holds(mount, numbers) and (root is None or is_inside(mount, root)):
            return path
    return None


def other_kind_at(
    mounts: Iterable[mountinfo.Mount],
    numbers: Collection[str],
    *,
    staging_target_path: pathlib.Path,
    is_block: bool,
    read_only: bool,
) -> pathlib.Path | None:
    """A path where a volume is raw that is to be staged as a file system, or the other way round.

    Two PersistentVolumes may name one volume, and kubelet stages the kinds at different paths; or
    the node itself has it mounted. Who writes to the raw device destroys the file system.
    numbers: of its device, and of what is on that. is_block, read_only: how it is wanted at
    *staging_target_path*, which does not count. For readers both together are fine.
    """
    for mount in mounts:
        path = _path(mount)
        if mount.deleted or path.is_relative_to(staging_target_path):
            continue
        number = number_behind(mount)
        if number not in numbers:
            continue
        readers = read_only and is_read_only(mount)
        if (number != mount.device) != is_block and not readers:
            return path
    return None


def is_inside(mount: mountinfo.Mount, root: str) -> bool:
    """Whether *mount* shows directory *root* of its file system, or what is below it."""
    return pathlib.PurePath(mount.root).is_relative_to(root)


def is_staging_path(path: pathlib.Path, kubelet_root: pathlib.Path) -> bool:
    """Whether kubelet stages volumes at *path*: any of its layouts, whichever release made it.

    `plugins/kubernetes.io/csi/pv/<pv>/globalmount`, `…/csi/<driver>/<sha256>/globalmount`,
    `…/csi/volumeDevices/staging/<pv>/…`. Source: spec/csi-driver.md 2.13, Kubernetes 1.34.
    """
    base = kubelet_root / _KUBELET_CSI_DIR
    if not path.is_relative_to(base):
        return False
    parts = path.relative_to(base).parts
    return parts[-1:] == (_GLOBAL_MOUNT,) or parts[:2] == ("volumeDevices", "staging")


def staging_mounts(
    mounts: Iterable[mountinfo.Mount], numbers: Collection[str], roots: Iterable[pathlib.Path]
) -> list[pathlib.Path]:
    """Every staging path of every layout below *roots* at which a device of *numbers* is."""
    roots = tuple(roots)
    return [
        _path(mount)
        for mount in mounts
        if any(is_staging_path(_path(mount), root) for root in roots) and holds(mount, numbers)
    ]


def locate(volume_id: str, volume_path: pathlib.Path) -> mountinfo.Mount:
    """The volume's mount at *volume_path*, which may be a staging or a target path.

    A raw block volume is staged at a file in its staging directory.
    Raises NotFound when no volume is mounted there.
    """
    mounts = mountinfo.snapshot()
    found = top_mount(volume_path, mounts)
    if found is None and "/" not in volume_id:
        found = top_mount(volume_path / volume_id, mounts)
    if found is None:
        raise errors.NotFound(f"volume {volume_id} is not at {volume_path}: nothing is mounted")
    return found


def _path(mount: mountinfo.Mount) -> pathlib.Path:
    return pathlib.Path(mount.mount_point)
