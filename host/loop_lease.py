"""Loop devices that free themselves, and that hold the lock of their file's server meanwhile.

A loop device keeps the open file it was given. A flock(2) taken on that file before belongs to the
open file too: so the lock lasts exactly as long as the device, through any restart of this process,
and goes with the last mount (`LO_FLAGS_AUTOCLEAR`). NFS carries flock to the server. When the node
dies, the server drops the lock with the node's lease; when the node was only cut off, its writes
fail afterwards (NFS_LOCK_LOST). So never two nodes write one image. Source: loop(4), flock(2),
fs/nfs/nfs4state.c; tried in Linux 6.1, 2026-11-24.
"""

import contextlib
import errno
import fcntl
import os
import pathlib
import struct
from collections.abc import Iterator

from core import errors
from host import files

_CONTROL = "/dev/loop-control"
_GET_FREE = 0x4C82
_CONFIGURE = 0x4C0A
_SET_CAPACITY = 0x4C07
_READ_ONLY, _AUTOCLEAR = 1, 4
_NAME_BYTES = 64
_CONFIG = struct.Struct(f"=II 5Q 4I {_NAME_BYTES}s 64s 32s 2Q 8Q")
"""struct loop_config of <linux/loop.h>, since Linux 5.8."""
_TRIES = 20


class LockHeld(errors.Busy):
    """Somebody else holds the lock of the file."""


@contextlib.contextmanager
def opened(file: pathlib.Path, *, read_only: bool, lock: bool) -> Iterator[int]:
    """A descriptor of *file*, with its lock when *lock*.

    Raises LockHeld, FileNotFoundError, Precondition for anything but a regular file.
    """
    # A lock over NFS needs a descriptor that may write, also for readers.
    flags = os.O_RDONLY if read_only and not lock else os.O_RDWR
    with files.opened_plain(file, flags) as fd:
        if lock:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as e:
                if e.errno in (errno.EWOULDBLOCK, errno.EACCES):
                    raise LockHeld(f"{file} is locked by another node") from e
                if e.errno == errno.ENOLCK:
                    raise errors.Precondition(
                        f"{file} cannot be locked: the server or rpc.statd does not answer; mount "
                        "with vers=4.0, or with nolock"
                    ) from e
                raise
        yield fd


@contextlib.contextmanager
def attached(fd: int, file: pathlib.Path, *, read_only: bool) -> Iterator[pathlib.Path]:
    """The loop device of the open file *fd*; mount it in the block, or it is free again."""
    for _ in range(_TRIES):
        number = _free_number()
        path = pathlib.Path(f"/dev/loop{number}")
        device = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
        try:
            if _configure(device, fd, file, read_only=read_only):
                yield path
                return
        finally:
            os.close(device)
    raise errors.Busy("no loop device is free; others are taking them")


def grow(device: pathlib.Path) -> None:
    """Let *device* have the size its file has now."""
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _SET_CAPACITY)
    finally:
        os.close(fd)


def backing_file(device: str) -> pathlib.Path | None:
    """File of *device*, such as `/dev/loop0`; None when it has none."""
    entry = pathlib.Path("/sys/block") / pathlib.Path(device).name / "loop/backing_file"
    try:
        return pathlib.Path(entry.read_text().rstrip("\n"))
    except OSError:
        return None


def is_read_only(device: pathlib.Path) -> bool:
    """Whether nobody can write to *device*, such as `/dev/loop0`."""
    told = pathlib.Path("/sys/block") / device.name / "ro"
    return told.read_text(encoding="ascii").strip() == "1"


def find(file: pathlib.Path) -> pathlib.Path | None:
    """The loop device of *file*, None when there is none.

    file: without symbolic links. It is not looked at, because its server may be gone.
    """
    for entry in pathlib.Path("/sys/block").glob("loop*"):
        if backing_file(entry.name) == file:
            return pathlib.Path("/dev") / entry.name
    return None


def _free_number() -> int:
    try:
        control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        raise errors.Precondition(f"{_CONTROL} cannot be opened ({e}); load module loop") from e
    try:
        return fcntl.ioctl(control, _GET_FREE)
    finally:
        os.close(control)


def _configure(device: int, fd: int, file: pathlib.Path, *, read_only: bool) -> bool:
    """Give *fd* to the open loop *device*; False when another process was faster."""
    flags = _AUTOCLEAR | (_READ_ONLY if read_only else 0)
    name = os.fsencode(file.name)[: _NAME_BYTES - 1]
    told = _CONFIG.pack(fd, 0, *(0,) * 5, 0, 0, 0, flags, name, b"", b"", *(0,) * 2, *(0,) * 8)
    try:
        fcntl.ioctl(device, _CONFIGURE, told)
    except OSError as e:
        if e.errno == errno.EBUSY:
            return False
        raise errors.Internal(f"a loop device cannot take {file}: {e}") from e
    return True
