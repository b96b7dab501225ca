"""A lock on a directory: of all that use it, in this process and in others."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def hold(directory: pathlib.Path) -> Iterator[None]:
    """Wait until nobody else holds *directory*, and hold it. A holder that dies lets go.

    A thread that holds it and asks again waits for ever. Source: flock(2).
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
