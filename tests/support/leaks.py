"""Looks for what a run may have left behind: mounts, devices, cloud resources, secrets in logs."""

import pathlib
from collections.abc import Iterable

from tests.support import processes


def left_behind(rig: processes.Rig) -> dict[str, list[str]]:
    """Everything that is still there, by kind; empty when the run was clean."""
    rig.control.wait_gone()
    found = {
        "mounts": rig.mounts(),
        "loop devices": rig.loop_devices(),
        "by-id links": [path.name for path in rig.by_id.iterdir()],
        "disks": list(rig.control.data_disks()),
        "snapshots": list(rig.control.snapshots()),
        "published paths": [str(path) for path in _targets(rig)],
    }
    return {kind: rows for kind, rows in found.items() if rows}


def logs_with(directory: pathlib.Path, words: Iterable[str]) -> list[str]:
    """`file: word` for each of *words* that occurs in a log file below *directory*."""
    found = []
    for log in sorted(directory.rglob("*.log")):
        text = log.read_text(errors="replace")
        found += [f"{log.name}: {word}" for word in words if word in text]
    return found


def _targets(rig: processes.Rig) -> list[pathlib.Path]:
    """Target paths, which the driver makes and must remove."""
    return sorted(rig.kubelet.glob("pods/*/volumes/*/*/mount"))
