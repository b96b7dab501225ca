"""Dead mounts that were made from a pod's, replaced by living ones. Blocking.

A container has a mount namespace of its own, which nothing done at the pod's target path reaches.
So its dead mount is replaced there, by a process that enters it (`python -m host.transplant`).
Needs the node's process numbers (hostPID); without them no container is seen, and a pod must be
started again to see its volume. And kubelet binds the subPaths of a pod beside its target, from
where the containers that it starts later get them.
"""

import json
import os
import pathlib

import structlog

from core import errors
from host import mountinfo, own_program

log = structlog.get_logger()

SUBPATHS = "volume-subpaths"
"""Directory of a pod in which kubelet binds parts of what the pod has already."""
_PROGRAM = "host.transplant"
_TIMEOUT_S = 20.0


def heal_copies(device: str, living: pathlib.Path) -> int:
    """Replace what was made of *device* ("0:52", dead): in other namespaces, and subPaths in ours.

    living: the mount that takes its place. How many were replaced. May be repeated.
    """
    healed = 0
    for pid, dead in _find(device).items():
        asked = {
            "pid": pid,
            "living": os.fspath(living),
            "mounts": [
                {"point": row.mount_point, "root": row.root, "read_only": "ro" in row.options}
                for row in dead
            ],
        }
        try:
            own_program.ask(_PROGRAM, timeout_s=_TIMEOUT_S, stdin=json.dumps(asked).encode())
        except errors.Error as e:
            log.warning("a container's dead mount stays", pid=pid, device=device, error=str(e))
        else:
            healed += len(dead)
            log.info("healed in a namespace", pid=pid, mounts=[row.mount_point for row in dead])
    return healed


def _find(device: str) -> dict[int, list[mountinfo.Mount]]:
    """One process of each namespace that has mounts of *device* to be replaced, and those."""
    seen = {os.readlink("/proc/self/ns/mnt")}  # noqa: PTH115 - a link whose text is no path
    ours = [
        row
        for row in mountinfo.mounts_of(device)
        if SUBPATHS in pathlib.PurePath(row.mount_point).parts
    ]
    found = {os.getpid(): ours} if ours else {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            namespace = os.readlink(entry / "ns" / "mnt")  # noqa: PTH115
            if namespace in seen:
                continue
            seen.add(namespace)
            text = (entry / "mountinfo").read_bytes().decode(errors="surrogateescape")
        except OSError:
            continue  # it has ended
        dead = mountinfo.mounts_of(device, mountinfo.parse(text))
        if dead:
            found[int(entry.name)] = dead
    return found
