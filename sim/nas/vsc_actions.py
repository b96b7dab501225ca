"""Virtual storage channels: those of an instance (ECS), and their file systems (NAS)."""

import dataclasses
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim import params as params_module
from sim.ecs import instances, lists, names
from sim.nas import model, rules
from sim.nas.model import Vsc, VscAttachment

VERSION, ECS_VERSION = "2017-06-26", "2014-05-26"
_MAX_PAIRS = 10


@actions.action(ECS_VERSION, "CreateVsc", idempotent=True)
def create_vsc(call: actions.Call) -> dict[str, Any]:
    """A channel of an instance that has the option; In_use after the world's latency."""
    cloud, params = call.cloud, call.params
    host = instances.require(cloud, params.required("InstanceId"))
    kind = params.choice("VscType", ("Primary", "Standard"), "Primary")
    if not host.declared.vsc_enabled:
        raise errors.ApiError(
            "InvalidOperation.VscNotEnabled",
            403,
            f"The instance {host.instance_id} has no virtual storage channels.",
        )
    there = cloud.store.by(model.VSC, "instance_id", host.instance_id)
    if kind == "Primary" and any(row["type"] == kind for row in there):
        raise errors.ApiError(
            "InvalidOperation.PrimaryVscExists",
            403,
            f"The instance {host.instance_id} has its primary channel already.",
        )
    lists.refuse_dry_run(params)
    made = Vsc(
        vsc_id=cloud.ids.new("vsc"),
        instance_id=host.instance_id,
        type=kind,
        status="Attaching",
        name=params.text("VscName"),
        description=params.text("Description"),
        resource_group_id=params.text("ResourceGroupId"),
        tags=rules.tags(params),
        due_s=cloud.clock.now_s() + cloud.latency("create_vsc"),
    )
    cloud.store.put(model.VSC, made.vsc_id, made.row())
    return {"VscId": made.vsc_id}


@actions.action(ECS_VERSION, "DescribeVscs")
def describe_vscs(call: actions.Call) -> dict[str, Any]:
    """Channels that fit every filter."""
    params = call.params
    ids = params.strings("VscIds")
    wanted = names.parse_filter(params.structs("Tag"))
    found = [
        row
        for row in (Vsc.from_row(each) for each in call.cloud.view.all(model.VSC))
        if (not ids or row.vsc_id in ids)
        and params.text("InstanceId") in ("", row.instance_id)
        and params.text("Status") in ("", row.status)
        and names.match(row.tags, wanted)
    ]
    page = paging.by_token(params, found, lambda row: row.vsc_id)
    return {
        **page.fields,
        "Vscs": [
            {
                "VscId": row.vsc_id,
                "VscName": row.name,
                "VscType": row.type,
                "InstanceId": row.instance_id,
                "Status": row.status,
                "Description": row.description,
                "ResourceGroupId": row.resource_group_id,
                "Tags": [{"TagKey": k, "TagValue": v} for k, v in row.tags.items()],
            }
            for row in page.items
        ],
    }


@actions.action(ECS_VERSION, "DeleteVsc")
def delete_vsc(call: actions.Call) -> dict[str, Any]:
    """Delete a channel that no file system has; 404 InvalidVscId.NotFound."""
    cloud = call.cloud
    vsc_id = call.params.required("VscId")
    _require_vsc(cloud, vsc_id)
    if cloud.store.by(model.VSC_ATTACHMENT, "vsc_id", vsc_id):
        raise errors.ApiError(
            "InvalidOperation.VscInUse", 403, f"The channel {vsc_id} is on a file system."
        )
    cloud.store.delete(model.VSC, vsc_id)
    return {}


@actions.action(VERSION, "AttachVscToFilesystems", idempotent=True)
def attach_vsc_to_filesystems(call: actions.Call) -> dict[str, Any]:
    """Begin to attach; Attached after the world's latency. All pairs or none."""
    cloud = call.cloud
    for file_system_id, vsc_id in _pairs(call.params):
        found = rules.file_system(cloud, file_system_id)
        if found.type != model.BMCPFS or not found.vsc_target:
            raise errors.ApiError(
                "AttachVscTarget.VscAttachNotSupported",
                400,
                f"The file system {file_system_id} has no mount target for storage channels.",
            )
        _require_vsc(cloud, vsc_id)
        made = VscAttachment(
            file_system_id=file_system_id,
            vsc_id=vsc_id,
            status="Attaching",
            due_s=cloud.clock.now_s() + cloud.latency("attach_vsc"),
        )
        row = cloud.store.get(model.VSC_ATTACHMENT, made.key)
        if row is None or row["status"] == "Detaching":
            cloud.store.put(model.VSC_ATTACHMENT, made.key, made.row())
    return {}


@actions.action(VERSION, "DetachVscFromFilesystems", idempotent=True)
def detach_vsc_from_filesystems(call: actions.Call) -> dict[str, Any]:
    """Begin to detach; 400 Resource.Check.Fail for a pair that is not attached."""
    cloud = call.cloud
    for file_system_id, vsc_id in _pairs(call.params):
        rules.file_system(cloud, file_system_id)
        row = cloud.store.get(model.VSC_ATTACHMENT, f"{file_system_id}/{vsc_id}")
        if row is None:
            raise errors.ApiError(
                "Resource.Check.Fail", 400, f"{vsc_id} is not attached to {file_system_id}."
            )
        found = VscAttachment.from_row(row)
        due_s = cloud.clock.now_s() + cloud.latency("detach_vsc")
        gone = dataclasses.replace(found, status="Detaching", due_s=due_s)
        cloud.store.put(model.VSC_ATTACHMENT, found.key, gone.row())
    return {}


@actions.action(VERSION, "DescribeFilesystemsVscAttachInfo")
def describe_filesystems_vsc_attach_info(call: actions.Call) -> dict[str, Any]:
    """Attachments of the pairs that are named; those that do not exist are absent."""
    wanted = {f"{fs_id}/{vsc_id}" for fs_id, vsc_id in _pairs(call.params)}
    rows = [VscAttachment.from_row(row) for row in call.cloud.view.all(model.VSC_ATTACHMENT)]
    found = [row for row in rows if row.key in wanted]
    page = paging.by_token(call.params, found, lambda row: row.key)
    size = call.params.integer("MaxResults", 10, 1, 100) or 10
    return {
        **page.fields,
        "MaxResults": size,
        "TotalCount": len(found),
        "VscAttachInfo": {
            "VscAttachInfo": [
                {
                    "FileSystemId": row.file_system_id,
                    "VscId": row.vsc_id,
                    "Status": row.status,
                }
                for row in page.items
            ]
        },
    }


def _pairs(params: params_module.Params) -> list[tuple[str, str]]:
    """(file system, channel) of `ResourceIds.N`, at most ten, all of one channel."""
    given = params.structs("ResourceIds")
    if not given:
        raise errors.missing_parameter("ResourceIds.N")
    if len(given) > _MAX_PAIRS:
        raise errors.invalid_parameter("ResourceIds.N", str(len(given)), f"up to {_MAX_PAIRS}")
    for each in given:
        for name in ("FileSystemId", "VscId"):
            if not each.get(name):
                raise errors.missing_parameter(f"ResourceIds.N.{name}")
    if len({each["VscId"] for each in given}) > 1:
        raise errors.invalid_parameter("ResourceIds.N.VscId", "several", "one for all of N")
    return [(each["FileSystemId"], each["VscId"]) for each in given]


def _require_vsc(cloud: cloud_module.Cloud, vsc_id: str) -> Vsc:
    row = cloud.store.get(model.VSC, vsc_id)
    if row is None:
        raise errors.ApiError("InvalidVscId.NotFound", 404, f"The VSC {vsc_id} does not exist.")
    return Vsc.from_row(row)
