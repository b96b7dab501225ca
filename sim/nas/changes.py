"""What NAS resources do by themselves: states that pass end. And what exists at a start."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from sim import actions
from sim import cloud as cloud_module
from sim import world as world_module
from sim.nas import behaviour, model, mount_target_actions, trees

_RETRY_S = 0.25

# Status that passes → status after it; "" = the row goes.
_ENDS = {
    model.FILE_SYSTEM: {"Pending": "Running", "Extending": "Running", "Deleting": ""},
    model.MOUNT_TARGET: {"Pending": "Active", "Deleting": ""},
    model.ACCESS_POINT: {"Pending": "Active", "Deleting": ""},
    model.DIR_QUOTA: {"Initializing": "Normal"},
    model.FILESET: {"CREATING": "CREATED", "RELEASING": ""},
    model.SERVICE: {"CREATING": "RUNNING"},
    model.EXPORT: {"CREATING": "ACTIVE", "DELETING": ""},
    model.VSC: {"Attaching": "In_use", "Preparing": "Normal"},
    model.VSC_ATTACHMENT: {"Attaching": "Attached", "Detaching": ""},
}

# Statuses that pass only when the export answers.
_UNTIL_SERVED = {
    model.MOUNT_TARGET: ("Pending",),
    model.ACCESS_POINT: ("Pending",),
    model.EXPORT: ("CREATING",),
}


@actions.settler
def settle(cloud: cloud_module.Cloud, now_s: float) -> float | None:
    """End what is due. Returns when the next thing is due, None when nothing is under way."""
    ended = False
    for kind, ends in _ENDS.items():
        for key, row in list(cloud.store.items(kind)):
            if row["due_s"] is not None and row["due_s"] <= now_s:
                if row["status"] in _UNTIL_SERVED.get(kind, ()) and not trees.serves(
                    cloud, row["domain"]
                ):
                    continue
                gone = kind == model.FILESET and not ends[row["status"]]
                if gone and not trees.remove(cloud, row["file_system_id"], row["path"]):
                    return now_s + _RETRY_S
                _end(cloud, kind, key, row, ends[row["status"]])
                ended = True
    if ended and not trees.settle(cloud):
        return now_s + _RETRY_S
    dues = [
        row["due_s"] for kind in _ENDS for row in cloud.store.all(kind) if row["due_s"] is not None
    ]
    return min(dues, default=None)


def _end(
    cloud: cloud_module.Cloud, kind: str, key: str, row: Mapping[str, Any], status: str
) -> None:
    if not status and kind == model.FILESET and behaviour.of(cloud).keep_released:
        status = "RELEASED"
    if not status:
        cloud.store.delete(kind, key)
        if kind == model.FILE_SYSTEM:
            _forget(cloud, key)
        return
    changed = {**row, "status": status, "due_s": None}
    if kind == model.FILE_SYSTEM and row["wanted_gib"]:
        changed |= {"capacity_gib": row["wanted_gib"], "wanted_gib": 0}
    cloud.store.put(kind, key, changed)


def _forget(cloud: cloud_module.Cloud, file_system_id: str) -> None:
    """Everything inside a file system goes with it."""
    trees.forget(cloud, file_system_id)
    for kind, key_of in _INSIDE:
        for row in cloud.store.by(kind, "file_system_id", file_system_id):
            cloud.store.delete(kind, key_of(row))


_INSIDE: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    (model.DIR_QUOTA, lambda row: model.DirQuota.from_row(row).key),
    (model.FILESET, lambda row: str(row["fileset_id"])),
)


@actions.seeder
def seed_file_systems(cloud: cloud_module.Cloud) -> None:
    """The declared file systems and their mount targets; then the machine's trees and exports."""
    for declared in cloud.world.file_systems:
        if cloud.store.get(model.FILE_SYSTEM, declared.file_system_id) is None:
            _put(cloud, declared)
    if cloud.files is not None:
        cloud.files.sync(trees.wanted(cloud))


def _put(cloud: cloud_module.Cloud, declared: world_module.FileSystem) -> None:
    made = model.FileSystem(
        file_system_id=declared.file_system_id,
        type=declared.type,
        status="Running",
        storage_type=declared.storage_type,
        protocol=declared.protocol,
        zone_id=declared.zone_id,
        creation_time=cloud.clock.timestamp(),
        capacity_gib=declared.capacity_gib,
        vpc_id=declared.vpc_id,
        vswitch_id=declared.vswitch_id,
        recycle_days=declared.recycle_days,
        vsc_target=declared.vsc_target,
        tags=declared.tags,
    )
    cloud.store.put(model.FILE_SYSTEM, made.file_system_id, made.row())
    target = model.MountTarget(
        domain=declared.domain or mount_target_actions.new_domain(cloud, made),
        file_system_id=made.file_system_id,
        status="Active",
        vpc_id=declared.vpc_id,
        vswitch_id=declared.vswitch_id,
        access_group=model.DEFAULT_ACCESS_GROUP,
    )
    if declared.vswitch_id:
        cloud.store.put(model.MOUNT_TARGET, target.domain, target.row())
    if declared.vsc_target:
        channel = dataclasses.replace(
            target, domain=declared.vsc_target, network_type="", vpc_id="", vswitch_id=""
        )
        cloud.store.put(model.MOUNT_TARGET, channel.domain, channel.row())
