"""Protocol services of CPFS (NFS access) and their mount targets."""

import dataclasses
import secrets
from typing import Any

from sim import actions, errors, paging
from sim.nas import model, rules, trees
from sim.nas.model import ProtocolMountTarget, ProtocolService

VERSION = "2017-06-26"
_SPECS = ("General", "CL1", "CL2")


@actions.action(VERSION, "CreateProtocolService", idempotent=True)
def create_protocol_service(call: actions.Call) -> dict[str, Any]:
    """NFS access to a CPFS file system, RUNNING after the world's latency. One each."""
    cloud, params = call.cloud, call.params
    found = rules.running(rules.file_system(cloud, params.required("FileSystemId"), model.CPFS))
    rules.require_one_of("ProtocolType", params.required("ProtocolType"), ("NFS",))
    rules.require_one_of("ProtocolSpec", params.required("ProtocolSpec"), _SPECS)
    rules.require_quota(
        len(cloud.store.by(model.SERVICE, "file_system_id", found.file_system_id)),
        1,
        "OperationDenied.ProtocolServiceCountsExceeded",
        f"protocol services of file system {found.file_system_id}",
    )
    if params.boolean("DryRun"):
        return {"ProtocolServiceId": ""}
    now_s = cloud.clock.now_s()
    made = ProtocolService(
        service_id=f"ptc-{secrets.token_hex(8)}",
        file_system_id=found.file_system_id,
        status="CREATING",
        spec=params.text("ProtocolSpec"),
        protocol="NFS",
        throughput=params.integer("Throughput", 0, 0) or 0,
        vpc_id=params.text("VpcId", found.vpc_id),
        vswitch_id=params.text("VSwitchId", found.vswitch_id),
        description=rules.description(params),
        creation_time=cloud.clock.timestamp(now_s),
        due_s=now_s + cloud.latency("create_protocol_service"),
    )
    cloud.store.put(model.SERVICE, made.service_id, made.row())
    return {"ProtocolServiceId": made.service_id}


@actions.action(VERSION, "DescribeProtocolService")
def describe_protocol_service(call: actions.Call) -> dict[str, Any]:
    """Protocol services of a file system."""
    cloud, params = call.cloud, call.params
    found = rules.file_system(cloud, params.required("FileSystemId"))
    wanted = [each for each in params.text("ProtocolServiceIds").split(",") if each]
    rows = [ProtocolService.from_row(row) for row in cloud.view.all(model.SERVICE)]
    fits = [
        row
        for row in rows
        if row.file_system_id == found.file_system_id
        and (not wanted or row.service_id in wanted)
        and params.text("Status") in ("", row.status)
    ]
    page = paging.by_token(params, fits, lambda row: row.service_id)
    targets = cloud.view.all(model.EXPORT)
    return {
        **page.fields,
        "ProtocolServices": [
            {
                "ProtocolServiceId": row.service_id,
                "FileSystemId": row.file_system_id,
                "ProtocolType": row.protocol,
                "ProtocolSpec": row.spec,
                "ProtocolThroughput": row.throughput,
                "Status": row.status,
                "Description": row.description,
                "VpcId": row.vpc_id,
                "VSwitchId": row.vswitch_id,
                "CreateTime": row.creation_time,
                "ModifyTime": row.creation_time,
                "InstanceBaseThroughput": 0,
                "InstanceBurstThroughput": 0,
                "InstanceRAM": 0,
                "MountTargetCount": sum(each["service_id"] == row.service_id for each in targets),
            }
            for row in page.items
        ],
    }


@actions.action(VERSION, "DeleteProtocolService", idempotent=True)
def delete_protocol_service(call: actions.Call) -> dict[str, Any]:
    """Delete a service without mount targets."""
    cloud = call.cloud
    found = _service(call)
    if cloud.store.by(model.EXPORT, "service_id", found.service_id):
        raise errors.ApiError(
            "OperationDenied.DependencyViolation",
            403,
            "The protocol service has mount targets; delete them first.",
        )
    if call.params.boolean("DryRun"):
        return {}
    cloud.store.delete(model.SERVICE, found.service_id)
    return {}


@actions.action(VERSION, "CreateProtocolMountTarget", idempotent=True)
def create_protocol_mount_target(call: actions.Call) -> dict[str, Any]:
    """Export a path or a fileset over NFS, ACTIVE after the world's latency."""
    cloud, params = call.cloud, call.params
    service = _service(call)
    if service.status != "RUNNING":
        raise errors.ApiError(
            "OperationDenied.InvalidState",
            403,
            f"The protocol service is {service.status}, expected RUNNING.",
        )
    fileset_id = params.text("FsetId")
    if bool(fileset_id) == bool(params.text("Path")):
        raise errors.missing_parameter("Path or FsetId, one of both")
    vswitch = rules.vswitch(cloud, params.required("VpcId"), params.required("VSwitchId"))
    path = _path(call, service.file_system_id)
    if params.boolean("DryRun"):
        return {"ExportId": ""}
    now_s = cloud.clock.now_s()
    export_id = f"exp-{secrets.token_hex(8)}"
    made = ProtocolMountTarget(
        export_id=export_id,
        service_id=service.service_id,
        file_system_id=service.file_system_id,
        status="CREATING",
        domain=f"{service.file_system_id}-{export_id[4:14]}.{cloud.world.region_id}"
        ".cpfs.aliyuncs.com",
        path=path,
        fileset_id=fileset_id,
        access_group=params.text("AccessGroupName", model.DEFAULT_ACCESS_GROUP),
        vpc_id=vswitch.vpc_id,
        vswitch_id=vswitch.vswitch_id,
        description=rules.description(params),
        creation_time=cloud.clock.timestamp(now_s),
        due_s=now_s + cloud.latency("create_mount_target"),
    )
    cloud.store.put(model.EXPORT, export_id, made.row())
    trees.act(cloud)
    return {"ExportId": export_id}


@actions.action(VERSION, "DescribeProtocolMountTarget")
def describe_protocol_mount_target(call: actions.Call) -> dict[str, Any]:
    """Mount targets of a file system's protocol services."""
    cloud, params = call.cloud, call.params
    found = rules.file_system(cloud, params.required("FileSystemId"))
    wanted = [each for each in params.text("ProtocolServiceIds").split(",") if each]
    rows = [ProtocolMountTarget.from_row(row) for row in cloud.view.all(model.EXPORT)]
    fits = [
        row
        for row in rows
        if row.file_system_id == found.file_system_id
        and (not wanted or row.service_id in wanted)
        and _passes(row, params.structs("Filters"))
    ]
    page = paging.by_token(params, fits, lambda row: row.export_id)
    return {
        **page.fields,
        "ProtocolMountTargets": [
            {
                "ExportId": row.export_id,
                "ProtocolServiceId": row.service_id,
                "ProtocolMountTargetDomain": row.domain,
                "ProtocolType": "NFS",
                "Path": row.path,
                "FsetId": row.fileset_id,
                "AccessGroupName": row.access_group,
                "Status": row.status,
                "Description": row.description,
                "VpcId": row.vpc_id,
                "VSwitchId": row.vswitch_id,
                "VSwitchIds": [],
                "CreateTime": row.creation_time,
            }
            for row in page.items
        ],
    }


@actions.action(VERSION, "DeleteProtocolMountTarget", idempotent=True)
def delete_protocol_mount_target(call: actions.Call) -> dict[str, Any]:
    """Stop exporting; gone after the world's latency."""
    cloud = call.cloud
    service = _service(call)
    export_id = call.params.required("ExportId")
    row = cloud.store.get(model.EXPORT, export_id)
    if row is None or row["service_id"] != service.service_id:
        raise errors.ApiError(
            "InvalidExportId.NotFound", 404, f"The mount target {export_id} does not exist."
        )
    if call.params.boolean("DryRun"):
        return {}
    due_s = cloud.clock.now_s() + cloud.latency("delete_mount_target")
    gone = dataclasses.replace(ProtocolMountTarget.from_row(row), status="DELETING", due_s=due_s)
    cloud.store.put(model.EXPORT, export_id, gone.row())
    trees.act(cloud)
    return {}


def _service(call: actions.Call) -> ProtocolService:
    """404 InvalidProtocolServiceId.NotFound (**strict**)."""
    found = rules.file_system(call.cloud, call.params.required("FileSystemId"), model.CPFS)
    service_id = call.params.required("ProtocolServiceId")
    row = call.cloud.store.get(model.SERVICE, service_id)
    if row is None or row["file_system_id"] != found.file_system_id:
        raise errors.ApiError(
            "InvalidProtocolServiceId.NotFound", 404, f"There is no service {service_id}."
        )
    return ProtocolService.from_row(row)


def _path(call: actions.Call, file_system_id: str) -> str:
    """What is exported: the fileset's path, or the one that is named."""
    cloud, fileset_id = call.cloud, call.params.text("FsetId")
    if not fileset_id:
        path = rules.path("Path", call.params.text("Path"))
        if not trees.kind(cloud, file_system_id, path):
            raise errors.ApiError(
                "InvalidParameter.DirPathNotExist", 404, f"The directory {path} does not exist."
            )
        return path
    row = cloud.store.get(model.FILESET, fileset_id)
    if row is None or row["file_system_id"] != file_system_id:
        raise errors.ApiError(
            "InvalidFsetId.NotFound", 404, f"The fileset {fileset_id} does not exist."
        )
    return str(row["path"]).rstrip("/")


def _passes(row: ProtocolMountTarget, filters: list[dict[str, str]]) -> bool:
    told = {
        "ProtocolServiceIds": row.service_id,
        "ExportIds": row.export_id,
        "VpcIds": row.vpc_id,
        "FsetIds": row.fileset_id,
        "Paths": f"{row.path.rstrip('/')}/",
        "AccessGroupNames": row.access_group,
    }
    for each in filters:
        key = rules.require_one_of("Filters.N.Key", each.get("Key", ""), tuple(told))
        if told[key] not in each.get("Value", "").split(","):
            return False
    return True
