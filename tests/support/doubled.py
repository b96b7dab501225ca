"""A directory that is seen at two paths, as kubelet's is on ACK's nodes.

There `/var/lib/kubelet` is a bind of `/var/lib/container/kubelet`, and the mounts of both are one
peer group: what is mounted below one path is mounted below the other too.
"""

import contextlib
import pathlib
from collections.abc import Iterator

from host import mounts
from tests.support.machine import Machine, run

_MAKE = (
    'mount -t tmpfs data "$1"; mount --make-shared "$1"; mkdir "$1/kubelet";'
    'mount --bind "$1/kubelet" "$2"'
)


@contextlib.contextmanager
def doubled(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Have *path*, an empty directory or none, be seen a second time; that path.

    Whatever is mounted below goes at the end.
    """
    data = _data(path)
    run("sh", "-ec", _MAKE, "-", data, path)
    try:
        yield data / "kubelet"
    finally:
        for each in (path, data):
            if mounts.is_mount_point(each):  # a test's own end may take away what is around it
                run("umount", "--recursive", "--lazy", each)
        with contextlib.suppress(FileNotFoundError):
            data.rmdir()


def double_in(machine: Machine, path: pathlib.Path) -> None:
    """The same in *machine*, for as long as that lives."""
    machine.run("sh", "-ec", _MAKE, "-", _data(path), path)


def _data(path: pathlib.Path) -> pathlib.Path:
    path.mkdir(parents=True, exist_ok=True)
    data = path.with_name(f"{path.name}-data")
    data.mkdir()
    return data
