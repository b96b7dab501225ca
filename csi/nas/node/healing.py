"""What to do about a mount at a target path that is not well.

A hard mount whose server is silent comes back by itself, with the writes that pods wait for: to
replace it would fail them. Only what cannot come back is replaced.
"""

import enum
import socket

import structlog

from core import errors
from csi.node import network_mounts
from host import mountinfo, nfs

log = structlog.get_logger()


class Remedy(enum.StrEnum):
    """What the next publish does."""

    KEEP = "keep"
    WAIT = "wait"  # the server is away; so is a new mount
    REPLACE = "replace"


def choose_remedy(ill: errors.Error | None, *, server_answers: bool, has_moved: bool) -> Remedy:
    """What to do about a mount of which *ill* is known. Pure.

    server_answers: at the address that the mount uses. has_moved: the server's name leads to other
    addresses now, where it answers.
    """
    if ill is None:
        return Remedy.KEEP
    if isinstance(ill, nfs.SilentMount):
        return Remedy.REPLACE if has_moved and not server_answers else Remedy.WAIT
    if isinstance(ill, nfs.StaleMount):
        return Remedy.REPLACE
    # A soft mount tells errors while its server is away, too.
    return Remedy.REPLACE if server_answers or has_moved else Remedy.WAIT


def diagnose(
    ill: errors.Error | None, mount: mountinfo.Mount, host: str, port: int
) -> tuple[Remedy, str]:
    """(what to do, why) about *mount* of *host*, an NFS one, of which *ill* is known.

    Takes seconds when it is not well.
    """
    if ill is None or isinstance(ill, nfs.StaleMount):
        return choose_remedy(ill, server_answers=False, has_moved=False), str(ill or "")
    limit_s = network_mounts.PROBE_TIMEOUT_S
    address = address_of(mount)
    server_answers = nfs.answers(address or host, timeout_s=limit_s, port=port)
    has_moved = (
        bool(address)
        and not server_answers
        and address not in _addresses(host)
        and nfs.answers(host, timeout_s=limit_s, port=port)
    )
    remedy = choose_remedy(ill, server_answers=server_answers, has_moved=has_moved)
    log.warning("a mount is not well", path=mount.mount_point, why=str(ill), remedy=remedy.value)
    return remedy, str(ill)


def address_of(mount: mountinfo.Mount) -> str:
    """Address of the server that *mount* uses, "" when the kernel does not tell."""
    told = [word for word in mount.super_options if word.startswith("addr=")]
    return told[-1].removeprefix("addr=") if told else ""


def _addresses(host: str) -> set[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {str(each[4][0]) for each in found}
