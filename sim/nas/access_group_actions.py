"""Permission groups and their rules. They are kept and told; packets are not judged by them."""

import dataclasses
import ipaddress
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim.nas import model, rules
from sim.nas.model import AccessGroup

VERSION = "2017-06-26"
_TYPES = (model.STANDARD, model.EXTREME)
_ANYWHERE = {
    "id": "1",
    "source": "0.0.0.0/0",
    "rw": "RDWR",
    "user": "no_squash",
    "priority": 1,
}


@actions.seeder
def seed_default_groups(cloud: cloud_module.Cloud) -> None:
    """The group every account has, one for each type of file system."""
    for kind in _TYPES:
        made = AccessGroup(
            name=model.DEFAULT_ACCESS_GROUP,
            type="Vpc",
            file_system_type=kind,
            description="",
            creation_time=cloud.clock.timestamp(),
            rules=(_ANYWHERE,),
        )
        if cloud.store.get(model.ACCESS_GROUP, made.key) is None:
            cloud.store.put(model.ACCESS_GROUP, made.key, made.row())


@actions.action(VERSION, "CreateAccessGroup")
def create_access_group(call: actions.Call) -> dict[str, Any]:
    """A group without rules."""
    cloud, params = call.cloud, call.params
    made = AccessGroup(
        name=params.required("AccessGroupName"),
        type=rules.require_one_of("AccessGroupType", params.required("AccessGroupType"), ("Vpc",)),
        file_system_type=params.choice("FileSystemType", _TYPES, model.STANDARD),
        description=rules.description(params),
        creation_time=cloud.clock.timestamp(),
    )
    if cloud.store.get(model.ACCESS_GROUP, made.key) is not None:
        raise errors.ApiError(
            "InvalidAccessGroup.AlreadyExisted", 404, f"The group {made.name} exists already."
        )
    cloud.store.put(model.ACCESS_GROUP, made.key, made.row())
    return {"AccessGroupName": made.name}


@actions.action(VERSION, "DescribeAccessGroups")
def describe_access_groups(call: actions.Call) -> dict[str, Any]:
    """Groups of one type of file system."""
    cloud, params = call.cloud, call.params
    kind = params.choice("FileSystemType", _TYPES, model.STANDARD)
    found = [
        row
        for row in (AccessGroup.from_row(each) for each in cloud.view.all(model.ACCESS_GROUP))
        if row.file_system_type == kind and params.text("AccessGroupName") in ("", row.name)
    ]
    page = paging.by_number(params, found)
    targets = cloud.view.all(model.MOUNT_TARGET)
    return {
        **page.fields,
        "AccessGroups": {
            "AccessGroup": [
                {
                    "AccessGroupName": row.name,
                    "AccessGroupType": row.type,
                    "FileSystemType": row.file_system_type,
                    "Description": row.description,
                    "CreateTime": row.creation_time,
                    "RegionId": cloud.world.region_id,
                    "RuleCount": len(row.rules),
                    "MountTargetCount": sum(each["access_group"] == row.name for each in targets),
                }
                for row in page.items
            ]
        },
    }


@actions.action(VERSION, "DeleteAccessGroup")
def delete_access_group(call: actions.Call) -> dict[str, Any]:
    """Delete a group that no mount target uses."""
    cloud, params = call.cloud, call.params
    kind = params.choice("FileSystemType", _TYPES, model.STANDARD)
    found = rules.access_group(cloud, params.required("AccessGroupName"), kind)
    used = any(row["access_group"] == found.name for row in cloud.store.all(model.MOUNT_TARGET))
    if used or found.name == model.DEFAULT_ACCESS_GROUP:
        raise errors.ApiError(
            "OperationDenied.AccessGroupInUse",
            403,
            f"The group {found.name} is in use, or the default one; it cannot be deleted.",
        )
    cloud.store.delete(model.ACCESS_GROUP, found.key)
    return {}


@actions.action(VERSION, "CreateAccessRule")
def create_access_rule(call: actions.Call) -> dict[str, Any]:
    """A rule more."""
    cloud, params = call.cloud, call.params
    kind = params.choice("FileSystemType", _TYPES, model.STANDARD)
    found = rules.access_group(cloud, params.required("AccessGroupName"), kind)
    source = params.required("SourceCidrIp")
    try:
        ipaddress.IPv4Network(source)
    except ValueError as e:
        raise errors.invalid_parameter("SourceCidrIp", source, "an IPv4 address or block") from e
    made = {
        "id": str(max((int(each["id"]) for each in found.rules), default=0) + 1),
        "source": source,
        "rw": params.choice("RWAccessType", ("RDWR", "RDONLY"), "RDWR"),
        "user": params.choice(
            "UserAccessType", ("no_squash", "root_squash", "all_squash"), "no_squash"
        ),
        "priority": params.integer("Priority", 1, 1, 100),
    }
    grown = dataclasses.replace(found, rules=(*found.rules, made))
    cloud.store.put(model.ACCESS_GROUP, found.key, grown.row())
    return {"AccessRuleId": made["id"]}


@actions.action(VERSION, "DescribeAccessRules")
def describe_access_rules(call: actions.Call) -> dict[str, Any]:
    """Rules of a group."""
    cloud, params = call.cloud, call.params
    kind = params.choice("FileSystemType", _TYPES, model.STANDARD)
    found = rules.access_group(cloud, params.required("AccessGroupName"), kind)
    wanted = params.text("AccessRuleId")
    page = paging.by_number(params, [each for each in found.rules if wanted in ("", each["id"])])
    return {
        **page.fields,
        "AccessRules": {
            "AccessRule": [
                {
                    "AccessRuleId": each["id"],
                    "AccessGroupName": found.name,
                    "FileSystemType": kind,
                    "RegionId": cloud.world.region_id,
                    "SourceCidrIp": each["source"],
                    "Ipv6SourceCidrIp": "",
                    "RWAccess": each["rw"],
                    "UserAccess": each["user"],
                    "Priority": each["priority"],
                }
                for each in page.items
            ]
        },
    }


@actions.action(VERSION, "DeleteAccessRule")
def delete_access_rule(call: actions.Call) -> dict[str, Any]:
    """A rule less; 404 InvalidAccessRule.NotFound."""
    cloud, params = call.cloud, call.params
    kind = params.choice("FileSystemType", _TYPES, model.STANDARD)
    found = rules.access_group(cloud, params.required("AccessGroupName"), kind)
    rule_id = params.required("AccessRuleId")
    kept = tuple(each for each in found.rules if each["id"] != rule_id)
    if len(kept) == len(found.rules):
        raise errors.ApiError("InvalidAccessRule.NotFound", 404, f"There is no rule {rule_id}.")
    shrunk = dataclasses.replace(found, rules=kept)
    cloud.store.put(model.ACCESS_GROUP, found.key, shrunk.row())
    return {}
