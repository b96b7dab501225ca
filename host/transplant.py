"""`python -m host.transplant`: put a living mount where a dead one is, in another mount namespace.

A process of its own: only one without threads may enter a mount namespace. Reads one JSON object:
`pid` of a process in the namespace; `living`, path of the living mount, in ours; `mounts`, the dead
ones, each with `point`, `root` (what of the file system it shows) and `read_only`. Exit status 0 =
all are replaced; else the first fault is on stderr.
"""

import json
import os
import pathlib
import sys
from typing import Any

from host import mount_api


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
    copies = []
    for row in dead:
        copy = mount_api.copy(living / row["root"].lstrip("/"))
        later = row["read_only"] and not mount_api.restrict(copy, ["ro"])
        copies.append((row["point"], copy, later))
    mount_api.enter(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
    for point, copy, later in copies:
        mount_api.detach(point)
        mount_api.attach(copy, point)
        if later:
            mount_api.restrict_at(point)


if __name__ == "__main__":
    sys.exit(main())
