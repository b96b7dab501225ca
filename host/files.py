"""Directories and files that mounts are put on."""

import contextlib
import errno
import os
import pathlib
import stat
from collections.abc import Iterator

from core import errors
from host import mountinfo

_DIR_MODE = 0o750
_FILE_MODE = 0o600


def ensure_dir(path: pathlib.Path) -> None:
    """Make directory *path*; its parent must exist. A directory that is there is fine."""
    try:
        path.mkdir(mode=_DIR_MODE)
    except FileExistsError as e:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise errors.Exists(f"{path} is there and is not a directory") from e
    except FileNotFoundError as e:
        raise errors.Precondition(f"{path.parent} does not exist") from e


def ensure_dirs_below(root: pathlib.Path, below: pathlib.PurePath, *, mode: int) -> None:
    """Make directory *below* *root* with its parents; directories that are there stay.

    Follows no symbolic link below *root*, where others may put some.
    Raises Precondition for anything but a directory on the way, OSError.
    """
    inside = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    at = os.open(root, inside)
    try:
        for part in below.parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, mode, dir_fd=at)
            try:
                inner = os.open(part, inside | os.O_NOFOLLOW, dir_fd=at)
            except OSError as e:
                if e.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise errors.Precondition(
                        f"{part!r} of {below} is there and is not a directory"
                    ) from e
                raise
            os.close(at)
            at = inner
    finally:
        os.close(at)


def ensure_file(path: pathlib.Path) -> None:
    """Make the empty file *path*, for a device to be bound to. A file or device there is fine."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        os.close(os.open(path, flags, _FILE_MODE))
    except FileExistsError as e:
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise errors.Exists(f"{path} is there and is not a file") from e
    except FileNotFoundError as e:
        raise errors.Precondition(f"{path.parent} does not exist") from e


@contextlib.contextmanager
def opened_plain(path: pathlib.Path, flags: int, *, mode: int = _FILE_MODE) -> Iterator[int]:
    """Descriptor of the regular file *path*, in a directory where others can put what they like.

    No link is followed, and no pipe waited for. flags: as of open(2). mode: of a new file.
    Raises Precondition for anything but a regular file, OSError.
    """
    careful = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        fd = os.open(path, flags | careful, mode)
    except OSError as e:
        if e.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise _not_plain(path) from e
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _not_plain(path)
        os.set_blocking(fd, True)
        yield fd
    finally:
        os.close(fd)


def _not_plain(path: pathlib.Path) -> errors.Precondition:
    return errors.Precondition(f"{path} is not a regular file; look who put it there, remove it")


def remove_empty(path: pathlib.Path) -> None:
    """Remove *path*, an empty directory or an empty file without a mount on it; missing is fine.

    Raises Precondition when there is something in it: that is data, and not ours.
    """
    if mountinfo.mounts_at(path):
        raise errors.Busy(f"{path} is still mounted")
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            _remove_dir(path)
        elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
            path.unlink()
        else:
            raise errors.Precondition(f"{path} is not an empty directory or file; not removed")


def _remove_dir(path: pathlib.Path) -> None:
    try:
        path.rmdir()
    except OSError as e:
        if e.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise errors.Precondition(
                f"{path} is not mounted and has files in it; look at them and move them away"
            ) from e
        if e.errno == errno.EBUSY:
            raise errors.Busy(f"{path} is in use") from e
        raise
