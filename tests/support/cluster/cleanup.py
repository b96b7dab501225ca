"""Removes what a cluster leaves on the machine once its processes have ended."""

import contextlib
import pathlib
import shutil
import subprocess
import sys

from tests.support import processes
from tests.support.cluster import kubectl, layout

_CGROUPS = pathlib.Path("/sys/fs/cgroup")
_DETACHED_S = 20.0
"""A device that is open goes when it is closed, as by udevd."""


def clean(where: layout.Layout) -> None:
    """Devices, namespaces and links of the cloud, control groups, the directory.

    May be repeated. Raises TimeoutError when somebody keeps a node-local volume's loop device.
    """
    if where.cloud.exists():
        argv = [sys.executable, "-m", "sim", "clean", "--state-dir", str(where.cloud)]
        argv += ["--netns-prefix", where.prefix, "--by-id-dir", str(where.state_dir / "by-id")]
        subprocess.run(argv, cwd=processes.ROOT, check=True, capture_output=True)
    for device in (*loop_devices(where.state_dir), *_of_local_files(where)):
        subprocess.run(["losetup", "-d", device], check=False, capture_output=True)
    for top in cgroups(where):
        _remove_groups(top)
    # Without its file nothing tells whose such a device is: its path was its machine's.
    kubectl.wait_until(
        "loop devices of node-local volumes are gone",
        lambda: not _of_local_files(where),
        _DETACHED_S,
    )
    shutil.rmtree(where.state_dir)


def loop_devices(state_dir: pathlib.Path) -> list[str]:
    """Loop devices whose file is below *state_dir*."""
    found = []
    for entry in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if entry.read_text().startswith(f"{state_dir}/"):
                found.append(f"/dev/{entry.parts[3]}")
    return found


def _of_local_files(where: layout.Layout) -> list[str]:
    """Loop devices of node-local volumes: their machine is gone, and their path with it."""
    files = [file for node in layout.NODES for file in where.home(node).glob("local/*.img")]
    return [device for file in files for device in _associated(file)]


def detach_holders(of: pathlib.Path) -> None:
    """End the loop devices that stand on another device; their users have ended."""
    for device in _associated(of):
        subprocess.run(["losetup", "-d", device], check=True, capture_output=True)


def _associated(file: pathlib.Path) -> list[str]:
    argv = ["losetup", "--associated", str(file), "--noheadings", "--output", "NAME"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()


def cgroups(where: layout.Layout) -> list[pathlib.Path]:
    """The cluster's control group in each hierarchy that has it."""
    places = ("", "*/")  # the only hierarchy of version 2, or each of version 1
    found = [path for place in places for path in _CGROUPS.glob(f"{place}{where.prefix}")]
    return [path for path in found if path.is_dir()]


def _remove_groups(top: pathlib.Path) -> None:
    """Remove a control group and those in it, inner ones first. Their processes have ended."""
    for path in sorted((each for each in top.rglob("*") if each.is_dir()), reverse=True):
        path.rmdir()
    top.rmdir()
