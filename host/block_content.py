"""Content of whole block devices: claimed for us alone, copied, made worthless at its ends."""

import contextlib
import errno
import fcntl
import os
import pathlib
import struct
from collections.abc import Iterator

from core import errors

_CHUNK_BYTES = 4 << 20
_ZEROS = memoryview(bytes(_CHUNK_BYTES))
_BLKZEROOUT = 0x127F
"""Source: <linux/fs.h>. Whole sectors, as sizes of devices are."""
_START_BYTES = 4 << 20
_END_BYTES = 1 << 20
"""Where signatures are; `host.filesystem.probe` looks at the same places."""


@contextlib.contextmanager
def claimed(device: pathlib.Path) -> Iterator[int]:
    """A descriptor of *device* for reading and writing, which nobody else can mount or claim.

    Raises Busy when it is mounted, or somebody else has it so. Source: open(2), O_EXCL.
    """
    try:
        fd = os.open(device, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as e:
        if e.errno == errno.EBUSY:
            raise errors.Busy(f"{device} is in use") from e
        raise errors.Unavailable(f"{device} cannot be opened: {e.strerror}") from e
    try:
        yield fd
    finally:
        os.close(fd)


def is_blank(device: pathlib.Path) -> bool:
    """Whether *device* has nothing but zeros where signatures are. Raises Busy when it is in use.

    Stricter than to know no signature: a database's own disk has none.
    """
    with claimed(device) as fd:
        size_bytes = os.lseek(fd, 0, os.SEEK_END)
        start, end = min(_START_BYTES, size_bytes), max(0, size_bytes - _END_BYTES)
        return _is_zeros(_read(fd, 0, start)) and _is_zeros(_read(fd, end, size_bytes))


def clear_signatures(device: pathlib.Path) -> None:
    """Write zeros where signatures are: what was there is not recognised any more.

    For a device whose content is known to be worthless. Raises Busy when it is in use.
    """
    with claimed(device) as fd:
        size_bytes = os.lseek(fd, 0, os.SEEK_END)
        _clear(fd, 0, min(_START_BYTES, size_bytes))
        _clear(fd, max(0, size_bytes - _END_BYTES), size_bytes)
        os.fsync(fd)


def zero(device: pathlib.Path) -> None:
    """Write zeros over all that is something else. Raises Busy when it is in use, OSError."""
    with claimed(device) as fd:
        _clear(fd, 0, os.lseek(fd, 0, os.SEEK_END))
        os.fsync(fd)


def copy(source: pathlib.Path, target: pathlib.Path, *, skip_zeros: bool) -> None:
    """Copy all of *source* to the start of *target*, and have it on the disk.

    skip_zeros: *target* reads as zeros where it was never written, as a thin volume does.
    Raises Busy when *target* is in use, OSError.
    """
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with claimed(target) as writer:
            position = 0
            while chunk := os.pread(reader, _CHUNK_BYTES, position):
                if not _is_zeros(chunk):
                    _write(writer, chunk, position)
                elif not skip_zeros:
                    _zero_out(writer, position, len(chunk))
                position += len(chunk)
            os.fsync(writer)
    finally:
        os.close(reader)


def _read(fd: int, start: int, end: int) -> bytes:
    """All bytes from *start* to *end*. Raises OSError when one cannot be read."""
    told = bytearray()
    while start < end:
        chunk = os.pread(fd, end - start, start)
        if not chunk:
            raise OSError(errno.EIO, f"nothing at byte {start}")
        told += chunk
        start += len(chunk)
    return bytes(told)


def _clear(fd: int, start: int, end: int) -> None:
    """Zeros from *start* to *end*, written only where something else is."""
    while start < end:
        chunk = os.pread(fd, min(_CHUNK_BYTES, end - start), start)
        if not chunk:
            raise OSError(errno.EIO, f"nothing at byte {start}")
        if not _is_zeros(chunk):
            _write(fd, bytes(len(chunk)), start)
        start += len(chunk)


def _is_zeros(chunk: bytes) -> bool:
    return chunk == _ZEROS[: len(chunk)]


def _zero_out(fd: int, start: int, size_bytes: int) -> None:
    """Zeros by the device's own means, where it has some; the kernel writes them otherwise."""
    fcntl.ioctl(fd, _BLKZEROOUT, struct.pack("=QQ", start, size_bytes))


def _write(fd: int, data: bytes, position: int) -> None:
    while data:
        done = os.pwrite(fd, data, position)
        data, position = data[done:], position + done
