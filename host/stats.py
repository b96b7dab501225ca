"""How full a file system is."""

import dataclasses
import os


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FsUsage:
    """As df(1) tells it: `available` leaves out what is reserved for root."""

    total_bytes: int
    used_bytes: int
    available_bytes: int
    total_inodes: int
    used_inodes: int
    free_inodes: int


def usage(path: str | os.PathLike[str]) -> FsUsage:
    """Usage of the file system at *path*. May hang on a lost server: call it with a time limit.

    Raises OSError, FileNotFoundError when *path* is missing.
    """
    found = os.statvfs(path)
    return FsUsage(
        total_bytes=found.f_blocks * found.f_frsize,
        used_bytes=(found.f_blocks - found.f_bfree) * found.f_frsize,
        available_bytes=found.f_bavail * found.f_frsize,
        total_inodes=found.f_files,
        used_inodes=found.f_files - found.f_ffree,
        free_inodes=found.f_ffree,
    )
