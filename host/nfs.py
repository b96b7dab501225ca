"""NFS on the node: mounting, asking whether a server answers, what an error of a mount means.

Everything that might wait for a server happens in a process of its own that can be killed, or has
a time limit. Blocking; call in a thread. Who looks into a mount is `host.looks`.
"""

import dataclasses
import errno
import os
import pathlib
import socket
from collections.abc import Sequence

from core import errors
from host import mounts, run

PORT = 2049
_NO_ANSWER = (errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNREFUSED)
_BROKEN = (errno.EIO, errno.ENOTCONN)
_SAID = {
    errno.ETIMEDOUT: "Connection timed out",
    errno.EHOSTDOWN: "Host is down",
    errno.EHOSTUNREACH: "No route to host",
    errno.ECONNREFUSED: "Connection refused",
    errno.EIO: "Input/output error",
    errno.ENOTCONN: "Transport endpoint is not connected",
}
"""In the words of glibc; musl has others."""


class NoSuchDirectory(errors.NotFound):
    """The server has no such directory."""


class AccessDenied(errors.Precondition):
    """The server does not let this node in; NAS says so for a missing directory too."""


class WrongVersion(errors.Precondition):
    """The server, or this kernel, does not have that version of NFS, or an option."""


class NoAnswer(errors.Unavailable):
    """Nobody answers at the server's address."""


class DeadMount(errors.Unavailable):
    """A mount that is of no use as it is: stale, broken, or its server does not answer."""


class StaleMount(DeadMount):
    """What is mounted does not exist on the server any more."""


class BrokenMount(DeadMount):
    """The client gave up: the answers are errors."""


class SilentMount(DeadMount):
    """The server does not answer; when it comes back, so does the mount."""


class OddMount(errors.Internal):
    """A look into a mount gave an error that is not one of those above."""


_REFUSALS: tuple[tuple[tuple[str, ...], type[errors.Error], str], ...] = (
    (("no such file or directory",), NoSuchDirectory, "there is no such directory"),
    (
        ("access denied by server",),
        AccessDenied,
        "the server does not let this node in; look at the permission group of the mount target",
    ),
    (
        ("unknown filesystem type", "/sbin/mount.<type>", "no such device"),
        errors.Precondition,
        "this node has no NFS client; install Debian package nfs-common or nfs-utils",
    ),
    (
        ("protocol not supported", "requested nfs version", "incorrect mount option"),
        WrongVersion,
        "server or kernel do not have this NFS version or option",
    ),
    (
        ("failed to resolve", "name or service not known", "temporary failure in name"),
        errors.Unavailable,
        "the server's name cannot be resolved; look at the node's DNS",
    ),
    (
        ("connection refused", "timed out", "no route to host", "network is unreachable"),
        NoAnswer,
        "the server does not answer; look at network, security groups and the mount target's state",
    ),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a file system holds and can hold."""

    total_bytes: int
    used_bytes: int
    available_bytes: int
    total_inodes: int
    used_inodes: int
    free_inodes: int


def mount(source: str, target: pathlib.Path, options: Sequence[str]) -> None:
    """Mount *source*, `host:/path`, at *target*.

    Raises NoSuchDirectory, AccessDenied, WrongVersion, NoAnswer, Precondition or Unavailable with
    what to do, CommandFailed otherwise, CommandTimeout.
    """
    try:
        mounts.mount(source, target, fs_type="nfs", options=options)
    except run.CommandFailed as e:
        raise refusal(source, f"{e.result.stderr} {e.result.stdout}") or e from e


def refusal(source: str, said: str) -> errors.Error | None:
    """What mount's words mean, None when they are not known. Pure."""
    low = said.lower()
    for texts, kind, meaning in _REFUSALS:
        if any(text in low for text in texts):
            return kind(f"{source} cannot be mounted: {meaning} ({' '.join(said.split())})")
    return None


def require_port(host: str, *, timeout_s: float, port: int = PORT) -> None:
    """Return when *host* takes connections on the NFS port. Raises NoAnswer."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except OSError as e:
        raise NoAnswer(
            f"NFS server {host} does not answer on TCP port {port} within {timeout_s:g} s ({e}); "
            "look at network, security groups and the mount target's state"
        ) from e


def answers(host: str, *, timeout_s: float, port: int = PORT) -> bool:
    """Whether *host* takes connections on the NFS port."""
    try:
        require_port(host, timeout_s=timeout_s, port=port)
    except errors.Unavailable:
        return False
    return True


def usage_of(numbers: Sequence[int]) -> Usage:
    """From blocks, free and available ones, a block's bytes, inodes and free ones. Pure."""
    total, free, available, size, inodes, free_inodes = numbers
    return Usage(
        total_bytes=total * size,
        used_bytes=(total - free) * size,
        available_bytes=available * size,
        total_inodes=inodes,
        used_inodes=inodes - free_inodes,
        free_inodes=free_inodes,
    )


def look_failed(path: pathlib.Path, code: int) -> errors.Error:
    """What error number *code* means, that a look into *path* got. Pure."""
    if code == errno.ENOENT:
        return errors.NotFound(f"{path} does not exist")
    if code == errno.EACCES:
        return errors.Unavailable(f"{path} is closed to this node's root user")
    if code == errno.ESTALE:
        return StaleMount(f"{path} is stale: its directory on the server is gone or another")
    said = _SAID.get(code) or os.strerror(code)
    if code in _NO_ANSWER:
        return SilentMount(f"{path}: its server does not answer ({said})")
    if code in _BROKEN:
        return BrokenMount(f"{path} cannot be read ({said})")
    return OddMount(f"{path} cannot be looked into: {said}")


def set_read_ahead(device: str, kib: int) -> None:
    """Read-ahead of the mount with number *device*, such as `0:52`, in KiB."""
    pathlib.Path(f"/sys/class/bdi/{device}/read_ahead_kb").write_text(str(kib), encoding="ascii")
