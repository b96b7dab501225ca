"""Quotas that follow what is wanted. A directory's project is its inode's number.

So a directory made again under the old name is another project, and one that was renamed takes its
files along. A directory inside another with a quota counts for its own only.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterable, Mapping

from sim.hardware import api, files_api
from sim.hardware.files import projects, trees


def plan_limits(
    have: Mapping[int, projects.Limit], want: Mapping[int, projects.Limit]
) -> dict[int, projects.Limit]:
    """Limits to set; those that go are set to nothing. Pure."""
    gone = {project: projects.Limit(size_bytes=0, file_count=0) for project in have.keys() - want}
    return gone | {project: want[project] for project in want if have.get(project) != want[project]}


def sync(device: pathlib.Path, where: trees.Trees, quotas: Iterable[files_api.Quota]) -> None:
    """Limit these directories and no others. HardwareError; some may be done then."""
    with contextlib.ExitStack() as opened:
        directories: dict[int, int] = {}
        want: dict[int, projects.Limit] = {}
        # Outer ones before inner ones.
        for quota in sorted(quotas, key=lambda row: row.path):
            fd = opened.enter_context(where.opened(quota.file_system_id, quota.path))
            if fd is not None:  # the directory went, and its quota with it
                project = os.fstat(fd).st_ino
                directories[project] = fd
                # The directory itself counts for the kernel.
                count = quota.file_count + 1 if quota.file_count else 0
                want[project] = projects.Limit(size_bytes=quota.size_bytes, file_count=count)
        try:
            have = projects.limits(device)
            for project, limit in plan_limits(have, want).items():
                if project not in have:
                    # A limit tells that this was done, also before a restart.
                    projects.tag(directories[project], project, directories.keys() - {project})
                projects.set_limit(device, project, limit)
        except OSError as e:
            raise api.HardwareError(f"files: quotas on {device}: {e}") from e
