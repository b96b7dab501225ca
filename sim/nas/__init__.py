"""The simulated NAS and CPFS: API version 2017-06-26, and the storage channels of ECS.

Importing this package registers its actions, settlers and seeders with sim.actions; that is all
it is imported for. Order matters for seeders: permission groups, then file systems.
"""

from sim.nas import (
    access_group_actions,
    access_point_actions,
    changes,
    directory_actions,
    file_system_actions,
    fileset_actions,
    mount_target_actions,
    protocol_actions,
    recycle_actions,
    tag_actions,
    vsc_actions,
    vsc_release,
    zone_actions,
)

__all__ = [
    "access_group_actions",
    "access_point_actions",
    "changes",
    "directory_actions",
    "file_system_actions",
    "fileset_actions",
    "mount_target_actions",
    "protocol_actions",
    "recycle_actions",
    "tag_actions",
    "vsc_actions",
    "vsc_release",
    "zone_actions",
]
