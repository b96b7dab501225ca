"""FUSE mounts of which no record tells: left by a mounter that lost its records.

One that is dead is removed. One that lives may have users, so it stays until its volume is wanted
again; then it makes room, and its client ends with its last user. FUSE pods of the reference mount
in the same directory, each with its socket beside the mount: what such a socket answers for is
theirs.
"""

import asyncio
import contextlib
import pathlib
from collections.abc import Collection

import structlog

from csi.mounter import fuse_mount, probes
from host import mountinfo

log = structlog.get_logger()

_SOCKET = "mounter.sock"
_CONNECT_S = 1.0


async def clean(
    work_dir: pathlib.Path,
    known: Collection[pathlib.Path],
    probing: probes.Probes,
    timeout_s: float,
) -> None:
    """Remove dead mounts below *work_dir* that are not at one of the *known* targets."""
    found = {pathlib.Path(row.mount_point) for row in mountinfo.read() if _is_fuse(row)}
    strange = [path for path in found if path.is_relative_to(work_dir) and path not in known]
    await asyncio.gather(*(_clean(path, probing, timeout_s) for path in strange))


async def is_one(target: pathlib.Path, work_dir: pathlib.Path) -> bool:
    """Whether what is mounted at *target* is nobody's any more. The caller knows no record."""
    there = fuse_mount.mounted(target)
    if there is None or not _is_fuse(there) or not target.is_relative_to(work_dir):
        return False
    return not await _is_served(target.parent / _SOCKET)


async def _clean(target: pathlib.Path, probing: probes.Probes, timeout_s: float) -> None:
    if await probing.is_dead(target, timeout_s=timeout_s):
        log.warning("removing a dead mount that nobody knows", target=str(target))
        await fuse_mount.discard(target)


async def _is_served(socket: pathlib.Path) -> bool:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_unix_connection(socket)
        writer.close()
        return True
    return False


def _is_fuse(row: mountinfo.Mount) -> bool:
    return row.fs_type.startswith("fuse")
