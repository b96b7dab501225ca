"""Binds by the kernel's newer mount calls: a mount that is complete before it can be seen.

In our own process, without a command. Nothing here asks the file system,
so one whose server is gone holds nobody up. Source: open_tree(2), mount_setattr(2), move_mount(2).
"""

import ctypes
import errno
import os
from collections.abc import Iterable

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
"""System call numbers, the same on all architectures."""
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
ATTRIBUTES = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8}
"""Mount options that :func:`restrict` can set."""
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_MS_RDONLY, _MS_REMOUNT, _MS_BIND = 1, 32, 4096

_libc = ctypes.CDLL(None, use_errno=True)

StrPath = str | os.PathLike[str]


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def copy(path: StrPath) -> int:
    """A descriptor of a mount that shows what *path* shows, and is not mounted anywhere yet.

    The caller closes it. Raises OSError; ENOSYS before Linux 5.2.
    """
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC
    made: int = _libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)
    return _check(made, path)


def restrict(mount: int, options: Iterable[str]) -> bool:
    """Set *options*, keys of ATTRIBUTES, on the mount of :func:`copy`.

    False before Linux 5.12, which cannot. Raises OSError.
    """
    attributes = _MountAttr(attr_set=sum(ATTRIBUTES[option] for option in set(options)))
    done = _libc.syscall(
        _MOUNT_SETATTR,
        mount,
        b"",
        _AT_EMPTY_PATH,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
    )
    if done < 0 and ctypes.get_errno() == errno.ENOSYS:
        return False
    _check(done, "mount_setattr")
    return True


def attach(mount: int, path: StrPath) -> None:
    """Mount the mount of :func:`copy` at *path*. Raises OSError."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH
    _check(_libc.syscall(_MOVE_MOUNT, mount, b"", _AT_FDCWD, os.fsencode(path), flags), path)


def restrict_at(path: StrPath) -> None:
    """Make the bind at *path* read-only, in older kernels. Raises OSError."""
    flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY
    _check(_libc.mount(None, os.fsencode(path), None, flags, None), path)


def detach(path: StrPath) -> None:
    """Take the mount at *path* out of sight. Raises OSError."""
    _check(_libc.umount2(os.fsencode(path), _MNT_DETACH), path)


def unmount(path: StrPath) -> None:
    """Unmount the topmost mount at *path*. Raises OSError; EBUSY while it is used.

    Of a bind whose file system is mounted elsewhere too: the last unmount writes back, and may
    take as long as the disk.
    """
    _check(_libc.umount2(os.fsencode(path), _UMOUNT_NOFOLLOW), path)


def enter(namespace: int) -> None:
    """Enter a mount namespace; of processes without threads only. Raises OSError."""
    clone_newns = 0x00020000
    _check(_libc.setns(namespace, clone_newns), "setns")


def _check(result: int, what: StrPath) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fspath(what))
    return result
