"""A directory that is seen at two paths, as kubelet's is on ACK's nodes.

There `/var/lib/kubelet` is a bind of `/var/lib/container/kubelet`, and the mounts of both are one
peer group: what is mounted below one path is mounted below the other too.
"""

import contextlib
import pathlib
from collections.abc import Iterator

from host import mounts
from tests.support.machine import Machine, run

_MAKE = 'mount -t tmpfs data "$1"; mount --make-shared "$1"; mkdir -p "$2"; mount --bind "$2" "$3"'


@contextlib.contextmanager
def doubled(path: pathlib.Path, *, onto_itself: bool = False) -> Iterator[None]:
    """Have *path*, an empty directory or none, be seen a second time.

    onto_itself: at the same path, hidden; what is mounted below is in the table twice all the same.
    Whatever is mounted below goes at the end.
    """
    data = path if onto_itself else _data(path)
    path.mkdir(exist_ok=True)
    run("sh", "-ec", _MAKE, "-", data, path if onto_itself else data / "kubelet", path)
    try:
        yield
    finally:
        for each in (path, data):
            while mounts.is_mount_point(each):  # a test's own end may have taken away some
                run("umount", "--recursive", "--lazy", each)
        if not onto_itself:
            with contextlib.suppress(FileNotFoundError):
                data.rmdir()


def double_in(machine: Machine, path: pathlib.Path) -> None:
    """The same in *machine*, for as long as that lives. Its directories are those outside."""
    share = 'mount --bind "$1" "$1"; mount --make-shared "$1"; mount --bind "$1" "$2"'
    machine.run("sh", "-ec", share, "-", path, _data(path))


def _data(path: pathlib.Path) -> pathlib.Path:
    path.mkdir(parents=True, exist_ok=True)
    data = path.with_name(f"{path.name}-data")
    data.mkdir()
    return data
