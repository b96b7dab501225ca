"""Mounting and unmounting, by mount(8) and umount(8) in a process of their own.

A call that hangs in the kernel then hangs that process and not ours. A bind, and its end while the
file system is mounted elsewhere, wait for nothing: our own process does them.
"""

import os
import re
from collections.abc import Sequence

import structlog

from core import errors
from host import mount_api, mountinfo, run

log = structlog.get_logger()

_MOUNT_TIMEOUT_S = 60.0
_BIND_TIMEOUT_S = 30.0
_FORCE_TIMEOUT_S = 10.0
_QUOTED = re.compile(r'[^",]*(="[^"]*")?')
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_BUSY = ("target is busy", "device is busy")
"""umount(8) says the first, and its helper for NFS the second."""
_NOT_MOUNTED = ("not mounted", "no mount point", "not found", "no such file")
_MAX_STACKED = 64
_NFS = "nfs"
_BY_HELPER = (_NFS, "lustre")

StrPath = str | os.PathLike[str]


def mount(source: StrPath, target: StrPath, *, fs_type: str, options: Sequence[str] = ()) -> None:
    """Mount *source* at *target*.

    options: one mount option each; an option may not bring a second one along.
    Raises CommandFailed with mount's own words, InvalidField for a bad option.
    """
    words = ["-o", _joined(options)] if options else []
    what = [os.fspath(source), os.fspath(target)]
    if fs_type in _BY_HELPER:
        # What mount(8) would start; it wants its words in this order, and has no "--".
        argv = [f"mount.{fs_type}", *what, *words]
    else:
        argv = ["mount", "-t", fs_type, *words, "--", *what]
    run.run(argv, timeout_s=_MOUNT_TIMEOUT_S)
    log.info("mounted", source=os.fspath(source), target=os.fspath(target), fs_type=fs_type)


def bind(source: StrPath, target: StrPath, *, read_only: bool, options: Sequence[str] = ()) -> None:
    """Make *source*, a directory or a file, visible at *target* too.

    options: per-mount options such as noexec. The bind has them all before anybody can see it:
    one that was to be read-only was never writable, also when its maker is killed.
    Kernels before 5.12, and options that only mount(8) knows: it binds and restricts in two steps,
    in a process of its own that goes on when ours is killed.
    """
    words = [*options, *(["ro"] if read_only else [])]
    wanted = _joined(["bind", *words])
    if mount_api.ATTRIBUTES.keys() >= set(words) and _bind_by_call(source, target, words):
        return
    run.run(
        ["mount", "-o", wanted, "--", os.fspath(source), os.fspath(target)],
        timeout_s=_BIND_TIMEOUT_S,
    )
    there = mountinfo.mounts_at(target)
    if read_only and not (there and "ro" in there[-1].options):
        unmount(target)
        raise errors.Internal(f"{target} stayed writable after a read-only bind")


def _bind_by_call(source: StrPath, target: StrPath, options: Sequence[str]) -> bool:
    """Whether the kernel did it; mount(8) tells better why not."""
    try:
        copy = mount_api.copy(source)
        try:
            if options and not mount_api.restrict(copy, options):
                return False
            mount_api.attach(copy, target)
        finally:
            os.close(copy)
    except OSError as e:
        log.info("binding by mount(8)", target=os.fspath(target), error=str(e))
        return False
    return True


def is_mount_point(path: StrPath) -> bool:
    """Whether something is mounted at exactly *path*; asks the table, never the file system."""
    return bool(mountinfo.mounts_at(path))


def unmount(target: StrPath, *, timeout_s: float = 30.0, force: bool = False) -> None:
    """Remove the topmost mount at *target*; nothing there is success.

    A server that does not answer makes umount hang: after *timeout_s* seconds it is forced, then
    made lazy, so that this always returns. force: start there. Where the file system is mounted at
    other paths too, it is only made lazy: to force it would fail what they wait for.
    Raises Busy when a process uses the mount.
    """
    path = os.fspath(target)
    table = mountinfo.read()
    there = mountinfo.mounts_at(path, table)
    if not there:
        return
    if not force:
        if _is_shared(there[-1], table) and _unmount_by_call(path):
            return
        try:
            _umount(path, [], timeout_s)
        except run.CommandTimeout:
            log.warning("unmount hangs; forcing it", target=path, waited_s=timeout_s)
        else:
            log.info("unmounted", target=path)
            return
    for flags in _hard_ways(there[-1]):
        try:
            _umount(path, flags, _FORCE_TIMEOUT_S)
        except (run.CommandTimeout, errors.Busy, run.CommandFailed) as e:
            log.warning("forced unmount failed", target=path, flags=flags, error=str(e))
        else:
            log.warning("unmounted by force", target=path, flags=flags)
            return
    raise errors.Busy(f"{path} cannot be unmounted, not even lazily; its server may be gone")


def _hard_ways(there: mountinfo.Mount) -> Sequence[Sequence[str]]:
    """Flags for umount(8) of *there*, which does not go by itself, to be tried in order.

    `-f` has NFS fail every request of the file system, and all directories of one server are one:
    other pods would lose writes that a hard mount finishes when the server is back.
    """
    return (["-l"],) if mountinfo.others_of(there) else (["-f"], ["-l"])


def detach(target: StrPath) -> None:
    """Take the topmost mount at *target* out of sight; what uses it goes on with it.

    Unlike a forced unmount this fails no write that waits for a server.
    """
    _umount(os.fspath(target), ["-l"], _FORCE_TIMEOUT_S)
    log.info("detached", target=os.fspath(target))


def ensure_unmounted(target: StrPath, *, timeout_s: float = 30.0) -> None:
    """Remove every mount stacked at *target*."""
    for _ in range(_MAX_STACKED):
        if not is_mount_point(target):
            return
        unmount(target, timeout_s=timeout_s)
    raise errors.Busy(f"{target} has more than {_MAX_STACKED} mounts stacked on it")


def _is_shared(mount: mountinfo.Mount, table: Sequence[mountinfo.Mount]) -> bool:
    """Whether the file system of *mount* stays mounted elsewhere, so that no server is asked."""
    if mount.fs_type.startswith(_BY_HELPER):
        return False
    return bool(mountinfo.others_of(mount, table))


def _unmount_by_call(path: str) -> bool:
    """Whether the kernel did it in our own process; umount(8) tells better why not."""
    try:
        mount_api.unmount(path)
    except OSError as e:
        log.info("unmounting by umount(8)", target=path, error=str(e))
        return False
    log.info("unmounted", target=path)
    return True


def _umount(path: str, flags: Sequence[str], timeout_s: float) -> None:
    there = mountinfo.mounts_at(path)
    # The helper of NFS would tell the server, which may be the one that is gone.
    helper = ["--internal-only"] if there and there[-1].fs_type.startswith(_NFS) else []
    argv = ["umount", "--no-canonicalize", *helper, *flags, "--", path]
    result = run.run(argv, timeout_s=timeout_s, check=False)
    if result.returncode == 0 or not is_mount_point(path):
        return
    said = result.stderr.lower()
    if any(text in said for text in _BUSY):
        raise errors.Busy(f"{path} is in use by a process; end it, then retry")
    if any(text in said for text in _NOT_MOUNTED) and not is_mount_point(path):
        return
    raise run.CommandFailed(argv, result)


def _joined(options: Sequence[str]) -> str:
    """Option list of mount(8); a comma outside quotes would start another option."""
    for option in options:
        if not option or _CONTROL.search(option) or not _QUOTED.fullmatch(option):
            raise errors.InvalidField(
                "mount option", "is not one option", value=option, allowed="no comma, no control"
            )
    return ",".join(options)
