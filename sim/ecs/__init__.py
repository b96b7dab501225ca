"""The simulated ECS: disks, snapshots, instances, tags and tasks of API version 2014-05-26.

Importing this package registers its actions, settlers and seeders with sim.actions; that is all
it is imported for. Order matters for seeders: instances, then their system disks, then hardware.
"""

from sim.ecs import (
    attach_actions,
    disk_actions,
    eni_actions,
    eni_address_actions,
    eni_attribute_actions,
    enis,
    event_actions,
    group_actions,
    group_rule_actions,
    instance_actions,
    instance_release,
    region_actions,
    resize_actions,
    seeds,
    snapshot_actions,
    snapshot_groups,
    spec_actions,
    tag_actions,
    tasks,
)

__all__ = [
    "attach_actions",
    "disk_actions",
    "eni_actions",
    "eni_address_actions",
    "eni_attribute_actions",
    "enis",
    "event_actions",
    "group_actions",
    "group_rule_actions",
    "instance_actions",
    "instance_release",
    "region_actions",
    "resize_actions",
    "seeds",
    "snapshot_actions",
    "snapshot_groups",
    "spec_actions",
    "tag_actions",
    "tasks",
]
