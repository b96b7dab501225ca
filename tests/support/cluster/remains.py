"""Looks for what a cluster may have left on the machine, by everything that has its name on it."""

import pathlib

from tests.support.cluster import cleanup, layout, process_table


def of_cluster(where: layout.Layout) -> list[str]:
    """Processes, mounts, namespaces, control groups, loop devices, its directory; empty = clean."""
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [
        *(f"process {' '.join(each.argv)}" for each in process_table.of_cluster(where.state_dir)),
        *(f"mount {line}" for line in mounts if f" {where.state_dir}/" in line),
        *(f"{path}" for path in pathlib.Path("/run/netns").glob(f"{where.prefix}-*")),
        *(f"{path}" for path in pathlib.Path("/run/cloudsim").glob(f"{where.prefix}*")),
        *(f"{path}" for path in cleanup.cgroups(where)),
        *cleanup.loop_devices(where.state_dir),
        *([str(where.state_dir)] if where.state_dir.exists() else []),
    ]
