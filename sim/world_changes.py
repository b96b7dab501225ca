"""Changes to the world at run time: which sections may change, and how they are merged. Pure.

Released instances are in them too: they are out of the world whatever it declares.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from sim import world as world_module
from sim import world_file

_SINGLE: Mapping[str, Any] = {
    "latencies": world_module.Latencies,
    "quotas": world_module.Quotas,
    "throttle": world_module.Throttle,
}
# Section → row type and the fields that tell its rows apart.
_ROWS: Mapping[str, tuple[Any, tuple[str, ...]]] = {
    "disk_stock": (world_module.DiskStock, ("zone_id", "category", "performance_level")),
    "vswitches": (world_module.VSwitch, ("vswitch_id",)),
    "instances": (world_module.Instance, ("instance_id",)),
    "users": (world_module.User, ("user_name",)),
    "access_keys": (world_module.AccessKey, ("access_key_id",)),
    "roles": (world_module.Role, ("role_name",)),
    "oidc_providers": (world_module.OidcProvider, ("provider_name",)),
}
_RELEASED = "released"
"""Ids of instances that are gone for good."""


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Changes of *old* with those of *new* on top.

    `latencies`, `quotas`, `throttle`: mappings, merged by entry. `disk_stock`, `vswitches`,
    `instances`, `users`, `access_keys`, `roles`, `oidc_providers`: lists of whole rows; a row
    replaces the one with the same key. Raises WorldError for anything else, and for an instance
    that was released: its id is never used again.
    """
    merged = dict(old)
    faults = []
    for section, change in new.items():
        if section in _SINGLE and isinstance(change, Mapping):
            merged[section] = {**merged.get(section, {}), **change}
        elif section in _ROWS and isinstance(change, list):
            merged[section] = _merge_rows(merged.get(section, []), change, _ROWS[section][1])
        elif section in _SINGLE or section in _ROWS:
            faults.append(f"{section} must be a {'mapping' if section in _SINGLE else 'list'}")
        else:
            known = ", ".join([*_SINGLE, *_ROWS])
            faults.append(f"{section} cannot be changed at run time; what can: {known}")
    used = {_plain_key(row, ("instance_id",)) for row in merged.get("instances", ())}
    faults += [
        f"instances: {instance_id} was released; a new instance needs another id"
        for instance_id in merged.get(_RELEASED, ())
        if (instance_id,) in used
    ]
    if faults:
        raise world_module.WorldError(faults)
    return merged


def release(old: Mapping[str, Any], instance_id: str) -> dict[str, Any]:
    """Changes of *old*, and an instance less. Again changes nothing."""
    left = [row for row in old.get("instances", ()) if row["instance_id"] != instance_id]
    gone = [*(each for each in old.get(_RELEASED, ()) if each != instance_id), instance_id]
    return {**old, "instances": left, _RELEASED: gone}


def apply(world: world_module.World, changes: Mapping[str, Any]) -> world_module.World:
    """*world* with merged *changes*; raises WorldError when that is not a world."""
    loader = world_file.Loader()
    replaced: dict[str, Any] = {}
    for section, change in changes.items():
        if section == _RELEASED:
            continue
        if section in _SINGLE:
            plain = {**dataclasses.asdict(getattr(world, section)), **change}
            replaced[section] = loader.load(_SINGLE[section], plain, section)
        else:
            kind, keys = _ROWS[section]
            rows = {_key(row, keys): row for row in getattr(world, section)}
            loaded = [loader.load(kind, row, f"{section}[{n}]") for n, row in enumerate(change)]
            rows.update({_key(row, keys): row for row in loaded if row is not None})
            replaced[section] = tuple(rows.values())
    if loader.faults:
        raise world_module.WorldError(loader.faults)
    changed = _without(dataclasses.replace(world, **replaced), changes.get(_RELEASED, ()))
    world_module.check(changed)
    return changed


def _without(world: world_module.World, gone: Collection[str]) -> world_module.World:
    """*world* without these instances and the routes that it declares to them."""
    names = {
        name
        for row in world.instances
        if row.instance_id in gone
        for name in (row.instance_id, row.eni_id)
    }
    if not names:
        return world
    return dataclasses.replace(
        world,
        instances=tuple(row for row in world.instances if row.instance_id not in gone),
        vpcs=tuple(
            dataclasses.replace(
                vpc,
                routes=tuple(
                    route
                    for route in vpc.routes
                    if not names.intersection((route.instance_id, route.eni_id))
                ),
            )
            for vpc in world.vpcs
        ),
    )


def _key(row: object, keys: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(getattr(row, key) for key in keys)


def _merge_rows(old: list[Any], new: list[Any], keys: tuple[str, ...]) -> list[Any]:
    """Plain rows; a row that is not a mapping is kept for `apply` to complain about."""
    replaced = [_plain_key(row, keys) for row in new]
    return [*(row for row in old if _plain_key(row, keys) not in replaced), *new]


def _plain_key(row: object, keys: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(row.get(key, "") for key in keys) if isinstance(row, Mapping) else (id(row),)
