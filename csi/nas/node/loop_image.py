"""The file system in an image: made, checked, grown, mounted. Blocking."""

import contextlib
import os
import pathlib
import tempfile

import structlog

from core import errors
from csi.nas.node import node_requests
from host import files, filesystem, loop_lease, mountinfo, mounts, run

log = structlog.get_logger()

_FS_TYPE = "ext4"
_FAILED = "resize2fs_failed.txt"
"""Beside the image: it is checked before the next mount. Source: spec/csi-driver.md 3.7."""
_CHECK_TIMEOUT_S = 1800.0


def make_image(image: pathlib.Path, size_bytes: int, want: node_requests.Publishing) -> None:
    """Make the empty *image*; one that another node made meanwhile stays. Raises Precondition."""
    if want.read_only or not size_bytes:
        raise errors.Precondition(
            f"volume {want.volume_id} has no image in {want.volume.place}, and none can be made: "
            "that takes loopImageSize and a publish that may write"
        )
    # A name of its own: to another node that makes the image now, it never shows half made.
    fd, new = tempfile.mkstemp(prefix=".image-", dir=image.parent)
    with contextlib.ExitStack() as undo:
        undo.callback(pathlib.Path(new).unlink, missing_ok=True)
        with os.fdopen(fd, "wb") as file:
            file.truncate(size_bytes)
        with contextlib.suppress(FileExistsError):
            image.hardlink_to(new)


def prepare(device: pathlib.Path, directory: pathlib.Path, want: node_requests.Publishing) -> None:
    """A file system that is well and fills its image: made on an empty one, checked on another."""
    found = filesystem.probe(device)
    if found.empty and not want.read_only:
        filesystem.make(device, _FS_TYPE)
        return
    if found.fs_type not in filesystem.EXT:
        raise errors.Precondition(
            f"the image of volume {want.volume_id} holds {found.fs_type or 'nothing'}, not ext4"
        )
    if want.read_only:
        return
    marker = directory / _FAILED
    is_small = filesystem.needs_resize(device, want.target_path, found.fs_type)
    if is_small or os.path.lexists(marker):
        # e2fsck would not look closer at a file system that seems clean, as resize2fs wants it.
        argv = ["e2fsck", "-f", "-p", str(device)]
        run.run(argv, timeout_s=_CHECK_TIMEOUT_S, check=False)
    filesystem.check(device, found.fs_type)
    if is_small:
        filesystem.resize(device, want.target_path, found.fs_type)
    marker.unlink(missing_ok=True)


def mount(device: pathlib.Path, want: node_requests.Publishing) -> None:
    """Mount *device* at the target of *want*, perhaps beside other pods of this node.

    Raises Precondition for a writer beside readers, whose device nobody can write to.
    """
    if not want.read_only and loop_lease.is_read_only(device):
        # mount(8) would make the writer a reader, and call that success.
        raise errors.Precondition(
            f"the image of volume {want.volume_id} is used read-only by another pod of this node; "
            "when that pod is gone it can be used for writing"
        )
    there = [each.mount_point for each in mountinfo.read() if each.source == str(device)]
    if want.read_only and there and not loop_lease.is_read_only(device):
        # The kernel has a file system once, and this one is writable: only this mount is not.
        mounts.bind(there[0], want.target_path, read_only=True)
        return
    options = ["ro"] if want.read_only else []
    mounts.mount(device, want.target_path, fs_type=_FS_TYPE, options=options)


def grow(device: pathlib.Path, mount_point: pathlib.Path, directory: pathlib.Path) -> None:
    """Let the file system fill *device*. A failure is noted for the next mount to check."""
    marker = directory / _FAILED
    try:
        if filesystem.needs_resize(device, mount_point, _FS_TYPE):
            filesystem.resize(device, mount_point, _FS_TYPE)
    except errors.Error as e:
        _note_failure(marker, e)
        raise
    marker.unlink(missing_ok=True)


def _note_failure(marker: pathlib.Path, failure: errors.Error) -> None:
    """Write *marker*; what others may have put there is left alone, and has the same effect."""
    try:
        with files.opened_plain(marker, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            os.write(fd, f"{failure}\n".encode())
    except (errors.Error, OSError) as e:
        log.warning("a failed expansion cannot be noted", marker=str(marker), error=str(e))
