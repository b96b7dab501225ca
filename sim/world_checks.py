"""Faults of a world whose fields have their types: ids of nobody, values that do not fit.

Pure. Every function yields one line per fault.
"""

import ipaddress
import re
from collections.abc import Iterable

from sim import world_model, world_network
from sim.world_model import World

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def faults(world: World) -> Iterable[str]:
    """Every fault of *world*."""
    yield from _references(world)
    yield from _values(world)


def _references(world: World) -> Iterable[str]:
    """Every id that one section uses and its own section lacks, and every id used twice."""
    ids = {
        "zones": [row.zone_id for row in world.zones],
        "vpcs": [row.vpc_id for row in world.vpcs],
        "vswitches": [row.vswitch_id for row in world.vswitches],
        "security_groups": [row.security_group_id for row in world.security_groups],
        "instance_types": [row.instance_type_id for row in world.instance_types],
        "instances": [row.instance_id for row in world.instances],
        "users": [row.user_name for row in world.users],
        "access_keys": [row.access_key_id for row in world.access_keys],
        "roles": [row.role_name for row in world.roles],
        "oidc_providers": [row.provider_name for row in world.oidc_providers],
        "file_systems": [row.file_system_id for row in world.file_systems],
        "oss_buckets": [row.name for row in world.oss_buckets],
    }
    for section, known in ids.items():
        yield from (f"{section}: {row} is there twice" for row in _twice(known))
    ids["instances' eni_id"] = [row.eni_id for row in world.instances]
    uses = [
        *(("vswitches", row.vswitch_id, "vpcs", row.vpc_id) for row in world.vswitches),
        *(("vswitches", row.vswitch_id, "zones", row.zone_id) for row in world.vswitches),
        *(
            ("security_groups", row.security_group_id, "vpcs", row.vpc_id)
            for row in world.security_groups
        ),
        *(("disk_stock", row.category, "zones", row.zone_id) for row in world.disk_stock),
        *(("access_keys", row.access_key_id, "users", row.user_name) for row in world.access_keys),
        *(
            ("roles", row.role_name, "oidc_providers", trust.provider_name)
            for row in world.roles
            for trust in row.trusted_oidc
        ),
        *(use for row in world.instances for use in _instance_uses(row)),
        *(use for row in world.file_systems for use in _file_system_uses(row)),
        *(use for row in world.vpcs for use in _route_uses(row)),
        *(use for row in world.security_groups for use in _group_uses(row)),
    ]
    for section, owner, target, used in uses:
        if used and used not in ids[target]:
            yield f"{section}: {owner} names {used}, which is not in {target}"


def _instance_uses(row: world_model.Instance) -> Iterable[tuple[str, str, str, str]]:
    yield ("instances", row.instance_id, "zones", row.zone_id)
    yield ("instances", row.instance_id, "vswitches", row.vswitch_id)
    yield ("instances", row.instance_id, "instance_types", row.instance_type_id)
    yield ("instances", row.instance_id, "roles", row.ram_role)
    for group_id in row.security_group_ids:
        yield ("instances", row.instance_id, "security_groups", group_id)


def _file_system_uses(row: world_model.FileSystem) -> Iterable[tuple[str, str, str, str]]:
    yield ("file_systems", row.file_system_id, "zones", row.zone_id)
    yield ("file_systems", row.file_system_id, "vpcs", row.vpc_id)
    yield ("file_systems", row.file_system_id, "vswitches", row.vswitch_id)


def _route_uses(row: world_network.Vpc) -> Iterable[tuple[str, str, str, str]]:
    for route in row.routes:
        yield ("vpcs", row.vpc_id, "instances", route.instance_id)
        yield ("vpcs", row.vpc_id, "instances' eni_id", route.eni_id)


def _group_uses(row: world_network.SecurityGroup) -> Iterable[tuple[str, str, str, str]]:
    for rule in row.rules:
        yield ("security_groups", row.security_group_id, "security_groups", rule.source_group_id)


def _values(world: World) -> Iterable[str]:
    """Faults inside single fields that types alone do not catch."""
    if not re.fullmatch(r"[0-9]{16}", world.account_id):
        yield f"account_id must be 16 digits, is {world.account_id!r}"
    if not world.zones:
        yield "zones must not be empty"
    yield from world_network.faults(world.vpcs, world.vswitches, world.security_groups)
    yield from _vpc_mismatches(world)
    for instance in world.instances:
        yield from _instance_faults(world, instance)
    for stock in world.disk_stock:
        if stock.min_gib < 1 or stock.max_gib < stock.min_gib:
            yield f"disk_stock: {stock.category} needs 1 <= min_gib <= max_gib"
    for role in world.roles:
        if not 3600 <= role.max_session_s <= 43200:
            yield f"roles: {role.role_name} needs max_session_s from 3600 to 43200"
    yield from (
        f"instances: private_ip {row} is there twice"
        for row in _twice([row.private_ip for row in world.instances])
    )


def _vpc_mismatches(world: World) -> Iterable[str]:
    """Routes and rules that name something of another VPC."""
    homes = {row.vswitch_id: row.vpc_id for row in world.vswitches}
    for vpc in world.vpcs:
        hops = {name for route in vpc.routes for name in (route.instance_id, route.eni_id)}
        for row in world.instances:
            if {row.instance_id, row.eni_id} & hops and homes.get(row.vswitch_id) != vpc.vpc_id:
                yield f"vpcs: {vpc.vpc_id} has a route to {row.instance_id} of another VPC"
    groups = {row.security_group_id: row.vpc_id for row in world.security_groups}
    for group in world.security_groups:
        for rule in group.rules:
            if groups.get(rule.source_group_id, group.vpc_id) != group.vpc_id:
                where = f"security_groups: {group.security_group_id}"
                yield f"{where} names {rule.source_group_id} of another VPC"


def _instance_faults(world: World, row: world_model.Instance) -> Iterable[str]:
    where = f"instances: {row.instance_id}"
    if not _MAC.fullmatch(row.mac):
        yield f"{where} needs a lower-case mac like 00:16:3e:00:00:01, has {row.mac!r}"
    vswitch = world.vswitch(row.vswitch_id)
    if vswitch is None:
        return
    if vswitch.zone_id != row.zone_id:
        yield f"{where} is in {row.zone_id} but its vswitch is in {vswitch.zone_id}"
    try:
        if ipaddress.ip_address(row.private_ip) not in ipaddress.ip_network(vswitch.cidr_block):
            yield f"{where} has private_ip {row.private_ip} outside {vswitch.cidr_block}"
    except ValueError as e:
        yield f"{where}: {e}"


def _twice(rows: list[str]) -> list[str]:
    return sorted({row for row in rows if rows.count(row) > 1})
