"""Mount targets: CreateMountTarget, DescribeMountTargets, ModifyMountTarget, DeleteMountTarget."""

import dataclasses
import secrets
import string
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim.nas import model, rules, trees, view
from sim.nas.model import FileSystem, MountTarget

VERSION = "2017-06-26"
_LIMITS = {model.EXTREME: 1, model.CPFS: 1, model.CPFSSE: 1, model.BMCPFS: 2}
_DOMAINS = {
    model.STANDARD: "nas.aliyuncs.com",
    model.EXTREME: "extreme.nas.aliyuncs.com",
    model.CPFS: "cpfs.aliyuncs.com",
    model.CPFSSE: "cpfs.aliyuncs.com",
    model.BMCPFS: "cpfs.aliyuncs.com",
}
_ALPHABET = string.ascii_lowercase + string.digits


@actions.action(VERSION, "CreateMountTarget")
def create_mount_target(call: actions.Call) -> dict[str, Any]:
    """A way into a file system from a VPC, Active after the world's latency.

    The domain of an extreme file system is not told here: it is known once the target is Active.
    """
    cloud, params = call.cloud, call.params
    found = rules.file_system(cloud, params.required("FileSystemId"))
    network = params.required("NetworkType")
    if network.lower() != "vpc":
        raise errors.invalid_parameter("NetworkType", network, "Vpc")
    vswitch = rules.vswitch(cloud, params.required("VpcId"), params.required("VSwitchId"))
    group = params.text("AccessGroupName")
    if found.type in (model.STANDARD, model.EXTREME):
        group = params.required("AccessGroupName")
        rules.access_group(cloud, group, found.type)
    rules.running(found)
    limit = _LIMITS.get(found.type, cloud.world.quotas.nas_mount_targets)
    rules.require_quota(
        len(rules.mount_targets(cloud, found.file_system_id)),
        limit,
        "OperationDenied.MountTargetCountsExceeded",
        f"mount targets of file system {found.file_system_id}",
    )
    if params.boolean("DryRun"):
        return {"MountTargetDomain": "", "MountTargetExtra": {"DualStackMountTargetDomain": ""}}
    made = MountTarget(
        domain=new_domain(cloud, found),
        file_system_id=found.file_system_id,
        status="Pending",
        vpc_id=vswitch.vpc_id,
        vswitch_id=vswitch.vswitch_id,
        access_group=group,
        due_s=cloud.clock.now_s() + cloud.latency("create_mount_target"),
    )
    cloud.store.put(model.MOUNT_TARGET, made.domain, made.row())
    trees.act(cloud)
    return {
        "MountTargetDomain": "" if found.type == model.EXTREME else made.domain,
        "MountTargetExtra": {"DualStackMountTargetDomain": ""},
    }


@actions.action(VERSION, "DescribeMountTargets")
def describe_mount_targets(call: actions.Call) -> dict[str, Any]:
    """Mount targets of one file system, or the one that is named."""
    cloud, params = call.cloud, call.params
    file_system_id, domain = params.text("FileSystemId"), params.text("MountTargetDomain")
    if not file_system_id and not domain:
        raise errors.missing_parameter("FileSystemId")
    if file_system_id:
        rules.file_system(cloud, file_system_id)
    rows = [MountTarget.from_row(row) for row in cloud.view.all(model.MOUNT_TARGET)]
    found = [
        row
        for row in rows
        if file_system_id in ("", row.file_system_id) and domain in ("", row.domain)
    ]
    if domain and not found:
        raise errors.ApiError(
            "InvalidMountTarget.NotFound", 404, f"The mount target {domain} does not exist."
        )
    page = paging.by_number(params, found)
    return {
        **page.fields,
        "MountTargets": {"MountTarget": [view.mount_target(row) for row in page.items]},
    }


@actions.action(VERSION, "ModifyMountTarget")
def modify_mount_target(call: actions.Call) -> dict[str, Any]:
    """Switch a mount target on and off, or give it another permission group."""
    cloud, params = call.cloud, call.params
    found = rules.file_system(cloud, params.required("FileSystemId"))
    target = rules.mount_target(cloud, found.file_system_id, params.required("MountTargetDomain"))
    if target.status not in ("Active", "Inactive"):
        raise errors.ApiError(
            "OperationDenied.InvalidState",
            403,
            f"The mount target is {target.status}, expected Active or Inactive.",
        )
    group = params.text("AccessGroupName", target.access_group)
    if group != target.access_group:
        rules.access_group(cloud, group, found.type)
    changed = dataclasses.replace(
        target,
        status=params.choice("Status", ("Active", "Inactive"), target.status),
        access_group=group,
    )
    cloud.store.put(model.MOUNT_TARGET, target.domain, changed.row())
    trees.act(cloud)
    return {}


@actions.action(VERSION, "DeleteMountTarget")
def delete_mount_target(call: actions.Call) -> dict[str, Any]:
    """Delete a mount target; it is gone after the world's latency."""
    cloud, params = call.cloud, call.params
    file_system_id = params.required("FileSystemId")
    rules.file_system(cloud, file_system_id)
    target = rules.mount_target(cloud, file_system_id, params.required("MountTargetDomain"))
    due_s = cloud.clock.now_s() + cloud.latency("delete_mount_target")
    gone = dataclasses.replace(target, status="Deleting", due_s=due_s)
    cloud.store.put(model.MOUNT_TARGET, target.domain, gone.row())
    trees.act(cloud)
    return {}


def new_domain(cloud: cloud_module.Cloud, found: FileSystem) -> str:
    """A name nobody has, such as `0a1b2c3d4e-abc12.cn-hangzhou.nas.aliyuncs.com`."""
    while True:
        tail = "".join(secrets.choice(_ALPHABET) for _ in range(5))
        stem = f"{found.file_system_id}-{tail}"
        domain = f"{stem}.{cloud.world.region_id}.{_DOMAINS[found.type]}"
        if cloud.store.get(model.MOUNT_TARGET, domain) is None:
            return domain
