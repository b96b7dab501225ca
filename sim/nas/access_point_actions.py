"""Access points of general-purpose NAS."""

import dataclasses
import re
from typing import Any

from sim import actions, errors, paging
from sim import params as params_module
from sim.ecs import names
from sim.nas import model, rules, trees, view
from sim.nas.model import AccessPoint

VERSION = "2017-06-26"
_UINT32_MAX = 2**32 - 1
_NAME_MAX = 128
_PERMISSION = re.compile(r"0[0-7]{3}")


@actions.action(VERSION, "CreateAccessPoint")
def create_access_point(call: actions.Call) -> dict[str, Any]:
    """An access point, Active after the world's latency; its root directory is made at once."""
    cloud, params = call.cloud, call.params
    found = rules.running(rules.file_system(cloud, params.required("FileSystemId"), model.STANDARD))
    group = params.required("AccessGroup")
    rules.access_group(cloud, group, found.type)
    vswitch = rules.vswitch(cloud, params.required("VpcId"), params.required("VswId"))
    root = rules.path("RootDirectory", params.text("RootDirectory", "/"))
    is_new = not trees.kind(cloud, found.file_system_id, root)
    for owner in ("OwnerUserId", "OwnerGroupId") if is_new else ():
        params.required(owner)
    name = params.text("AccessPointName")
    if len(name) > _NAME_MAX:
        raise errors.invalid_parameter("AccessPointName", name, f"up to {_NAME_MAX} characters")
    rules.require_quota(
        len(cloud.store.by(model.ACCESS_POINT, "file_system_id", found.file_system_id)),
        cloud.world.quotas.nas_access_points,
        "OperationDenied.AccessPointCountsExceeded",
        f"access points of file system {found.file_system_id}",
    )
    now_s = cloud.clock.now_s()
    access_point_id = "ap-" + cloud.ids.secret(6).lower()
    made = AccessPoint(
        access_point_id=access_point_id,
        file_system_id=found.file_system_id,
        name=name,
        status="Pending",
        domain=f"{access_point_id}.{cloud.world.region_id}.nas.aliyuncs.com",
        root_path=root,
        access_group=group,
        vpc_id=vswitch.vpc_id,
        vswitch_id=vswitch.vswitch_id,
        creation_time=cloud.clock.timestamp(now_s),
        modify_time=cloud.clock.timestamp(now_s),
        ram_enabled=bool(params.boolean("EnabledRam", default=False)),
        owner_user_id=params.integer("OwnerUserId", 0, 0, _UINT32_MAX) or 0,
        owner_group_id=params.integer("OwnerGroupId", 0, 0, _UINT32_MAX) or 0,
        permission=_permission(params),
        posix_user_id=params.integer("PosixUserId", None, 0, _UINT32_MAX),
        posix_group_id=params.integer("PosixGroupId", None, 0, _UINT32_MAX),
        posix_secondary_group_ids=_secondary(params),
        tags=rules.tags(params),
        due_s=now_s + cloud.latency("create_access_point"),
    )
    cloud.store.put(model.ACCESS_POINT, access_point_id, made.row())
    if is_new:
        trees.make(
            cloud,
            found.file_system_id,
            root,
            user_id=made.owner_user_id,
            group_id=made.owner_group_id,
            mode=int(made.permission, 8),
        )
    trees.act(cloud)
    return {"AccessPoint": {"AccessPointId": access_point_id, "AccessPointDomain": made.domain}}


@actions.action(VERSION, "DescribeAccessPoint")
def describe_access_point(call: actions.Call) -> dict[str, Any]:
    """One access point; 404 InvalidAccessPointId.NotFound."""
    cloud, params = call.cloud, call.params
    row = cloud.view.get(model.ACCESS_POINT, params.required("AccessPointId"))
    if row is None or row["file_system_id"] != params.required("FileSystemId"):
        raise _not_found(params.text("AccessPointId"))
    found = AccessPoint.from_row(row)
    return {
        "AccessPoint": {
            **view.access_point(cloud, found),
            "AgenticSpaceId": "",
            "RegionId": cloud.world.region_id,
            "CreateTimeUtc": found.creation_time,
            "ModifyTimeUtc": found.modify_time,
        }
    }


@actions.action(VERSION, "DescribeAccessPoints")
def describe_access_points(call: actions.Call) -> dict[str, Any]:
    """Access points that fit every filter."""
    cloud, params = call.cloud, call.params
    wanted = names.parse_filter(params.structs("Tag"))
    found = [
        row
        for row in (AccessPoint.from_row(each) for each in cloud.view.all(model.ACCESS_POINT))
        if params.text("FileSystemId") in ("", row.file_system_id)
        and params.text("AccessGroup") in ("", row.access_group)
        and names.match(row.tags, wanted)
    ]
    page = paging.by_token(params, found, lambda row: row.access_point_id)
    return {
        **page.fields,
        "TotalCount": len(found),
        "AccessPoints": [view.access_point(cloud, row) for row in page.items],
    }


@actions.action(VERSION, "ModifyAccessPoint")
def modify_access_point(call: actions.Call) -> dict[str, Any]:
    """Change name, permission group or whether RAM judges."""
    cloud, params = call.cloud, call.params
    found = _require(call)
    group = params.text("AccessGroup", found.access_group)
    rules.access_group(cloud, group, model.STANDARD)
    changed = dataclasses.replace(
        found,
        name=params.text("AccessPointName", found.name),
        access_group=group,
        ram_enabled=bool(params.boolean("EnabledRam", default=found.ram_enabled)),
        modify_time=cloud.clock.timestamp(),
    )
    cloud.store.put(model.ACCESS_POINT, found.access_point_id, changed.row())
    return {}


@actions.action(VERSION, "DeleteAccessPoint")
def delete_access_point(call: actions.Call) -> dict[str, Any]:
    """Delete an access point; its files stay."""
    cloud = call.cloud
    found = _require(call)
    due_s = cloud.clock.now_s() + cloud.latency("delete_access_point")
    gone = dataclasses.replace(found, status="Deleting", due_s=due_s)
    cloud.store.put(model.ACCESS_POINT, found.access_point_id, gone.row())
    trees.act(cloud)
    return {}


def _require(call: actions.Call) -> AccessPoint:
    access_point_id = call.params.required("AccessPointId")
    file_system_id = call.params.required("FileSystemId")
    rules.file_system(call.cloud, file_system_id, model.STANDARD)
    row = call.cloud.store.get(model.ACCESS_POINT, access_point_id)
    if row is None or row["file_system_id"] != file_system_id:
        raise _not_found(access_point_id)
    return AccessPoint.from_row(row)


def _not_found(access_point_id: str) -> errors.ApiError:
    return errors.ApiError(
        "InvalidAccessPointId.NotFound", 404, f"The access point {access_point_id} does not exist."
    )


def _permission(params: params_module.Params) -> str:
    given = params.text("Permission", "0755")
    if not _PERMISSION.fullmatch(given):
        raise errors.invalid_parameter("Permission", given, "four octal digits, the first 0")
    return given


def _secondary(params: params_module.Params) -> tuple[int, ...]:
    text = params.text("PosixSecondaryGroupIds")
    words = [word for word in text.split(",") if word]
    if not all(word.isdecimal() for word in words):
        raise errors.invalid_parameter("PosixSecondaryGroupIds", text, "numbers between commas")
    return tuple(int(word) for word in words)
