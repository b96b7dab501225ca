"""Rules of ECS that a test may switch: setting "ecs", `POST /_sim/settings/ecs`.

The defaults are what the documentation says, except snapshot_needs_attach (see its comment).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from sim import cloud as cloud_module

SETTING = "ecs"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Switches.

    snapshot_needs_attach: refuse snapshots of disks that were never attached. Documented, but off:
    csi-sanity snapshots fresh volumes.
    grow_to_snapshot: a disk smaller than its snapshot gets the snapshot's size, as the newest
    API text says; off = 403 InvalidDiskSize.TooSmall, as older pages say (the stricter reading).
    cooling_s: seconds after a category or level change in which the next is refused.
    legacy_serial: new disks have no serial number.
    stuck_instance_ids: dead nodes; detaching from them never ends until they leave this list.
    history_events: system events besides those in the store, as rows of
    DescribeInstanceHistoryEvents (event_actions.py names the fields).
    """

    snapshot_needs_attach: bool = False
    grow_to_snapshot: bool = False
    cooling_s: float = 0.0
    legacy_serial: bool = False
    stuck_instance_ids: tuple[str, ...] = ()
    history_events: tuple[Mapping[str, Any], ...] = ()


def of(cloud: cloud_module.Cloud) -> Behaviour:
    """The switches in force."""
    fields: dict[str, Any] = cloud.setting(SETTING)
    known = {name: fields[name] for name in fields if name in Behaviour.__dataclass_fields__}
    for name in {"stuck_instance_ids", "history_events"} & known.keys():
        known[name] = tuple(known[name])
    return Behaviour(**known)
