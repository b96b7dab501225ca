"""`python -m host.transplant`: put a living mount where a dead one is, in another mount namespace.

A process of its own: only one without threads may enter a mount namespace. Reads one JSON object:
`pid` of a process in the namespace; `living`, path of the living mount, in ours; `mounts`, the dead
ones, each with `point`, `root` (what of the file system it shows) and `read_only`. Exit status 0 =
all are replaced; else the first fault is on stderr. Source: open_tree(2), move_mount(2), setns(2).
"""

import ctypes
import json
import os
import pathlib
import sys
from typing import Any

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
"""System call numbers, the same on all architectures."""
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 1
_CLONE_NEWNS = 0x00020000
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def main() -> int:
    """Do what standard input says."""
    asked = json.load(sys.stdin)
    try:
        transplant(int(asked["pid"]), pathlib.Path(asked["living"]), asked["mounts"])
    except OSError as e:
        print(f"{e.filename or 'transplant'}: {e.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def transplant(pid: int, living: pathlib.Path, dead: list[dict[str, Any]]) -> None:
    """Replace *dead* in the namespace of *pid*. The calling process stays in it."""
    copies = [
        (row["point"], _copy(living / row["root"].lstrip("/"), read_only=row["read_only"]))
        for row in dead
    ]
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    _check(_libc.setns(namespace, _CLONE_NEWNS), f"/proc/{pid}/ns/mnt")
    for point, copy in copies:
        where = os.fsencode(point)
        _check(_libc.umount2(where, _MNT_DETACH), point)
        _check(
            _libc.syscall(_MOVE_MOUNT, copy, b"", _AT_FDCWD, where, _MOVE_MOUNT_F_EMPTY_PATH),
            point,
        )


def _copy(path: pathlib.Path, *, read_only: bool) -> int:
    """A descriptor of a mount like that at *path*, which is not mounted anywhere yet."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC
    copy: int = _libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)
    _check(copy, str(path))
    if read_only:
        attributes = _MountAttr(attr_set=_MOUNT_ATTR_RDONLY)
        done = _libc.syscall(
            _MOUNT_SETATTR,
            copy,
            b"",
            _AT_EMPTY_PATH,
            ctypes.byref(attributes),
            ctypes.sizeof(attributes),
        )
        _check(done, str(path))
    return copy


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


if __name__ == "__main__":
    sys.exit(main())
