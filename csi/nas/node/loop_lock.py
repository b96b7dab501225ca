"""Who may use an image: the owner's file beside it, and the server's lock on it.

`loopsetup.nas.csi.alibabacloud.com.lck` holds `node:address`, as the reference writes it. The
reference takes it over when the owner does not answer a ping, which a cut cable brings about too,
and then two nodes write one file system. Here the server decides where it can: over NFS 4 (or 3
with locks) the image's loop device holds a lock, `host.loop_lease`, which the server takes from a
node that is gone. A second file, `….flk`, with the same text tells that the owner does so. Without
that, only the owner or a person takes the file away.
"""

import contextlib
import enum
import os
import pathlib
import tempfile

import structlog

from core import errors
from host import files, mountinfo

log = structlog.get_logger()

IMAGE = "loopsetup.nas.csi.alibabacloud.com.img"
OWNER = "loopsetup.nas.csi.alibabacloud.com.lck"
LEASED = "loopsetup.nas.csi.alibabacloud.com.flk"
_MAX_BYTES = 512


class Claim(enum.StrEnum):
    """What a node may do about an image."""

    TAKE = "take"
    TAKE_OVER = "take over"  # the owner is gone: its lock is
    REFUSE = "refuse"


class ImageInUse(errors.Precondition):
    """Another node has the image, or may have it."""

    def __init__(self, image: pathlib.Path, owner: str) -> None:
        super().__init__(
            f"the image of the volume belongs to node {owner or 'unknown'}, and one node at a time "
            f"may use it. It is released when the volume is unpublished there. When that node is "
            f"gone for good, remove {OWNER} beside the image in the volume's directory; with NFS "
            f"4.0 (vers=4.0) this is not needed, because the server notices. Seen at {image}"
        )


def choose_claim(*, owner: str, leased: str, node: str, server_locks: bool) -> Claim:
    """What *node* may do about an image on which it holds every lock there is. Pure.

    owner, leased: texts of the two files, "" = there is none. server_locks: our lock is one of the
    server, not of this node alone.
    """
    if not owner or owner_node(owner) == node:
        return Claim.TAKE
    # The owner would hold the lock if it lived, and we hold it.
    return Claim.TAKE_OVER if server_locks and leased == owner else Claim.REFUSE


def owner_node(text: str) -> str:
    """Name of the node in an owner's file."""
    return text.partition(":")[0].strip()


def has_server_locks(mount: mountinfo.Mount) -> bool:
    """Whether flock(2) on files of *mount*, an NFS one, is told to the server. Source: nfs(5)."""
    words = mount.super_options
    if any(word in words for word in ("local_lock=all", "local_lock=flock")):
        return False
    return mount.fs_type == "nfs4" or "nolock" not in words


def read(path: pathlib.Path) -> str:
    """Text of an owner's file, "" without one. Raises Precondition for anything but a file.

    What is read is told to people, and others can put a link there to a file of this node.
    """
    try:
        with files.opened_plain(path, os.O_RDONLY) as fd:
            return os.read(fd, _MAX_BYTES).decode(errors="replace").strip()
    except FileNotFoundError:
        return ""


def claim(directory: pathlib.Path, *, node: str, address: str, server_locks: bool) -> None:
    """Note that *node* has the image in *directory*; the caller holds the locks there are.

    Raises ImageInUse.
    """
    owner, leased = read(directory / OWNER), read(directory / LEASED)
    text = f"{node}:{address}"
    what = choose_claim(owner=owner, leased=leased, node=node, server_locks=server_locks)
    if what is Claim.REFUSE:
        raise ImageInUse(directory / IMAGE, owner)
    if what is Claim.TAKE_OVER:
        log.warning("taking an image over: its node is gone", owner=owner, node=node)
    if not owner:
        # Two nodes may see no owner at once; one of them makes the file.
        _write(directory, OWNER, text, replace=False)
        owner = read(directory / OWNER)
        if owner != text:
            raise ImageInUse(directory / IMAGE, owner)
    else:
        _write(directory, OWNER, text, replace=True)
    if server_locks:
        _write(directory, LEASED, text, replace=True)
    else:
        (directory / LEASED).unlink(missing_ok=True)


def release(directory: pathlib.Path, *, node: str) -> None:
    """Take back what `claim` noted; another node's notes stay."""
    for name in (LEASED, OWNER):
        if owner_node(read(directory / name)) == node:
            (directory / name).unlink(missing_ok=True)


def _write(directory: pathlib.Path, name: str, text: str, *, replace: bool) -> None:
    """Write the whole file at once, so that nobody reads half of it."""
    fd, new = tempfile.mkstemp(prefix=".claim-", dir=directory)
    with contextlib.ExitStack() as undo:
        undo.callback(pathlib.Path(new).unlink, missing_ok=True)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            pathlib.Path(new).replace(directory / name)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(new, directory / name)
