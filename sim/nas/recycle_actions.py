"""The recycle bin of a general-purpose file system: its switch. What it holds is not simulated."""

import dataclasses
from typing import Any

from sim import actions, errors
from sim.nas import model, rules

VERSION = "2017-06-26"
_DEFAULT_DAYS = 3
_MAX_DAYS = 180


@actions.action(VERSION, "EnableRecycleBin")
def enable_recycle_bin(call: actions.Call) -> dict[str, Any]:
    """Switch it on; it is on already is fine."""
    found = rules.running(_file_system(call))
    days = call.params.integer("ReservedDays", _DEFAULT_DAYS, 1, _MAX_DAYS) or _DEFAULT_DAYS
    if not found.recycle_days:
        _put(call, found, days)
    return {}


@actions.action(VERSION, "UpdateRecycleBinAttribute")
def update_recycle_bin_attribute(call: actions.Call) -> dict[str, Any]:
    """Change how long files are kept; 403 OperationDenied.RecycleBinDisabled (**strict**)."""
    found = _file_system(call)
    call.params.required("ReservedDays")
    days = call.params.integer("ReservedDays", 0, 1, _MAX_DAYS) or 0
    if not found.recycle_days:
        raise errors.ApiError(
            "OperationDenied.RecycleBinDisabled", 403, "The recycle bin is not enabled."
        )
    _put(call, found, days)
    return {}


@actions.action(VERSION, "DisableAndCleanRecycleBin")
def disable_and_clean_recycle_bin(call: actions.Call) -> dict[str, Any]:
    """Switch it off."""
    found = _file_system(call)
    changed = dataclasses.replace(found, recycle_days=0, recycle_time="")
    call.cloud.store.put(model.FILE_SYSTEM, found.file_system_id, changed.row())
    return {}


@actions.action(VERSION, "GetRecycleBinAttribute")
def get_recycle_bin_attribute(call: actions.Call) -> dict[str, Any]:
    """Whether it is on."""
    found = _file_system(call)
    return {
        "RecycleBinAttribute": {
            "Status": "Enable" if found.recycle_days else "Disable",
            "EnableTime": found.recycle_time,
            "ReservedDays": found.recycle_days,
            "Size": 0,
            "SecondarySize": 0,
            "ArchiveSize": 0,
        }
    }


def _file_system(call: actions.Call) -> model.FileSystem:
    return rules.file_system(call.cloud, call.params.required("FileSystemId"), model.STANDARD)


def _put(call: actions.Call, found: model.FileSystem, days: int) -> None:
    changed = dataclasses.replace(
        found,
        recycle_days=days,
        recycle_time=found.recycle_time or call.cloud.clock.timestamp(),
    )
    call.cloud.store.put(model.FILE_SYSTEM, found.file_system_id, changed.row())
