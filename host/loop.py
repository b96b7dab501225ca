"""Loop devices: a file as a block device."""

import os
import pathlib

from core import errors
from host import run

_TIMEOUT_S = 30.0


def attach(file: pathlib.Path) -> pathlib.Path:
    """The loop device of *file*, made when there is none. The kernel chooses the number."""
    there = find(file)
    if there is not None:
        return there
    if not file.is_file():
        raise errors.Precondition(f"{file} is not a file")
    result = run.run(["losetup", "--find", "--show", "--", str(file)], timeout_s=_TIMEOUT_S)
    return pathlib.Path(result.stdout.strip())


def detach(device: pathlib.Path) -> None:
    """Free *device*; a free one is fine. One in use is freed by the kernel at its last close."""
    if _backing_file(device.name) is None:
        return
    run.run(["losetup", "--detach", str(device)], timeout_s=_TIMEOUT_S)


def refresh_capacity(device: pathlib.Path) -> None:
    """Let *device* have the size its file has now."""
    run.run(["losetup", "--set-capacity", str(device)], timeout_s=_TIMEOUT_S)


def find(file: pathlib.Path) -> pathlib.Path | None:
    """The loop device of *file*, None when there is none."""
    wanted = os.path.realpath(file)
    for entry in sorted(pathlib.Path("/sys/block").glob("loop*")):
        if _backing_file(entry.name) == wanted:
            return pathlib.Path("/dev") / entry.name
    return None


def _backing_file(name: str) -> str | None:
    try:
        return pathlib.Path(f"/sys/block/{name}/loop/backing_file").read_text().rstrip("\n")
    except OSError:
        return None
