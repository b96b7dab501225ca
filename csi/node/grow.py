"""Growing a file system to the size of its device, for stage and expand.

ext3 and ext4 grow while mounted only by a process with CAP_SYS_RESOURCE (Linux
fs/ext4/resize.c, `ext4_resize_begin`); xfs needs only CAP_SYS_ADMIN. A privileged container has
both. A hardened one that lacks the first can still grow a file system that nobody uses yet.
"""

import pathlib
import re

import structlog

from core import call, errors
from host import filesystem, run

log = structlog.get_logger()

_CAP_SYS_RESOURCE = 24
"""Source: capability.h."""
_STATUS = pathlib.Path("/proc/self/status")
_E2FSCK_UNCORRECTED = 4
_TIMEOUT_S = 1800.0


class CannotGrowMounted(errors.Precondition):
    """The kernel lets this process grow the file system only while it is not mounted."""

    def __init__(self, source: pathlib.Path, fs_type: str) -> None:
        super().__init__(
            f"{fs_type} on {source} cannot grow while it is mounted, because this process lacks "
            "CAP_SYS_RESOURCE; run the node plug-in privileged, or restart the pod: the file "
            "system grows when the volume is staged next"
        )


def grow_mounted(
    source: pathlib.Path, fs_type: str, mount_point: pathlib.Path | None, *, seen_at: pathlib.Path
) -> bool:
    """Grow the file system on *source* if its device is larger; whether it had to grow.

    mount_point: a writable mount of it, None = there is none. seen_at: any mount of it.
    Raises CannotGrowMounted, or Precondition without a writable mount.
    """
    if not filesystem.needs_resize(source, seen_at, fs_type):
        return False
    if mount_point is None:
        raise errors.Precondition(
            f"the file system on {source} is mounted read-only, so it cannot grow now; it "
            "will when the volume is next staged for writing"
        )
    if fs_type in filesystem.EXT and not may_grow_ext():
        raise CannotGrowMounted(source, fs_type)
    call.doing(f"growing the file system on {source}")
    filesystem.resize(source, mount_point, fs_type)
    log.info("file system grown", device=str(source), mount_point=str(mount_point))
    return True


def grow_unmounted(source: pathlib.Path, fs_type: str) -> None:
    """Grow an ext3 or ext4 that is mounted nowhere, when it could not be grown once mounted.

    resize2fs wants a full check first, which takes its time; so only where there is no other way.
    """
    if fs_type not in filesystem.EXT or may_grow_ext():
        return
    if not filesystem.needs_resize(source, source, fs_type):
        return
    call.doing(f"growing the file system on {source}")
    argv = ["e2fsck", "-f", "-p", str(source)]
    result = run.run(argv, timeout_s=_TIMEOUT_S, check=False)
    if result.returncode >= _E2FSCK_UNCORRECTED:
        raise filesystem.CheckFailed(source, fs_type, result.stdout + result.stderr)
    run.run(["resize2fs", str(source)], timeout_s=_TIMEOUT_S)
    log.info("file system grown before its mount", device=str(source))


def may_grow_ext() -> bool:
    """Whether the kernel lets this process grow a mounted ext3 or ext4."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", _STATUS.read_text(), re.MULTILINE)
    return match is not None and bool(int(match[1], 16) >> _CAP_SYS_RESOURCE & 1)
