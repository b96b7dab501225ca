"""CreateFileSystem, DescribeFileSystems, ModifyFileSystem, UpgradeFileSystem, DeleteFileSystem."""

import dataclasses
import secrets
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim import params as params_module
from sim.ecs import names
from sim.nas import model, rules, trees, view
from sim.nas.model import FileSystem

VERSION = "2017-06-26"
_TYPES = (model.STANDARD, model.EXTREME, model.CPFS, model.CPFSSE)
_ALL_TYPES = (*_TYPES, model.BMCPFS)
_STORAGE = {
    model.STANDARD: ("Performance", "Capacity", "Premium"),
    model.EXTREME: ("standard", "advance"),
    model.CPFS: ("advance_100", "advance_200", "economic"),
    model.CPFSSE: ("advance_100",),
}
_PROTOCOLS = {
    model.STANDARD: ("NFS", "SMB"),
    model.EXTREME: ("NFS",),
    model.CPFS: ("cpfs",),
    model.CPFSSE: ("cpfs",),
}
_CAPACITIES_GIB = {
    model.EXTREME: (100, 262144),
    model.CPFS: (3600, 768000),
    model.CPFSSE: (3600, 768000),
}
_ID_PREFIXES = {
    model.STANDARD: "",
    model.EXTREME: "extreme-",
    model.CPFS: "cpfs-",
    model.CPFSSE: "cpfsse-",
}
_OWN_KEY = 2


@actions.action(VERSION, "CreateFileSystem", idempotent=True)
def create_file_system(call: actions.Call) -> dict[str, Any]:
    """A file system that is Running after the world's latency."""
    cloud, params = call.cloud, call.params
    kind = params.choice("FileSystemType", _TYPES, model.STANDARD)
    rules.require_one_of("ProtocolType", params.required("ProtocolType"), _PROTOCOLS[kind])
    storage_type = rules.require_one_of(
        "StorageType", params.required("StorageType"), _STORAGE[kind]
    )
    capacity_gib = _capacity(params, kind)
    zone_id = _zone(cloud, params, kind)
    vpc_id, vswitch_id = _network(cloud, params, kind)
    encrypt_type, kms_key_id = _encryption(params, kind)
    text, tags = rules.description(params), rules.tags(params)
    charge_type = params.choice("ChargeType", ("PayAsYouGo", "Subscription"), "PayAsYouGo")
    if params.text("SnapshotId"):
        raise errors.invalid_parameter(
            "SnapshotId", params.text("SnapshotId"), "absent: this cloud has no NAS snapshots"
        )
    rules.require_quota(
        len(cloud.store.all(model.FILE_SYSTEM)),
        cloud.world.quotas.nas_file_systems,
        "OperationDenied.FileSystemCountsExceeded",
        "file systems",
    )
    if params.boolean("DryRun"):
        return {"FileSystemId": ""}
    now_s = cloud.clock.now_s()
    made = FileSystem(
        file_system_id=_new_id(cloud, kind),
        type=kind,
        status="Pending",
        storage_type=storage_type,
        protocol=params.text("ProtocolType"),
        zone_id=zone_id,
        creation_time=cloud.clock.timestamp(now_s),
        capacity_gib=capacity_gib,
        bandwidth=params.integer("Bandwidth", 0, 0) or 0,
        vpc_id=vpc_id,
        vswitch_id=vswitch_id,
        encrypt_type=encrypt_type,
        kms_key_id=kms_key_id,
        charge_type=charge_type,
        description=text,
        resource_group_id=params.text("ResourceGroupId"),
        tags=tags,
        due_s=now_s + cloud.latency("create_file_system"),
    )
    cloud.store.put(model.FILE_SYSTEM, made.file_system_id, made.row())
    trees.act(cloud)
    return {"FileSystemId": made.file_system_id}


@actions.action(VERSION, "DescribeFileSystems")
def describe_file_systems(call: actions.Call) -> dict[str, Any]:
    """File systems that fit every filter; 404 InvalidFileSystem.NotFound for an unknown id."""
    cloud, params = call.cloud, call.params
    wanted_id = params.text("FileSystemId")
    rows = [FileSystem.from_row(row) for row in cloud.view.all(model.FILE_SYSTEM)]
    if wanted_id and not any(row.file_system_id == wanted_id for row in rows):
        raise errors.ApiError(
            "InvalidFileSystem.NotFound", 404, f"The file system {wanted_id} does not exist."
        )
    fits = [row for row in rows if wanted_id in ("", row.file_system_id) and _fits(row, params)]
    page = paging.by_number(params, fits)
    return {
        **page.fields,
        "FileSystems": {"FileSystem": [view.file_system(cloud, row) for row in page.items]},
    }


@actions.action(VERSION, "ModifyFileSystem")
def modify_file_system(call: actions.Call) -> dict[str, Any]:
    """Change the description."""
    found = rules.file_system(call.cloud, call.params.required("FileSystemId"))
    if "Description" in call.params:
        found = dataclasses.replace(found, description=rules.description(call.params))
    call.cloud.store.put(model.FILE_SYSTEM, found.file_system_id, found.row())
    return {}


@actions.action(VERSION, "UpgradeFileSystem", idempotent=True)
def upgrade_file_system(call: actions.Call) -> dict[str, Any]:
    """Make an extreme or CPFS file system larger; it is so after the world's latency."""
    cloud, params = call.cloud, call.params
    found = rules.file_system(
        cloud, params.required("FileSystemId"), model.EXTREME, model.CPFS, model.CPFSSE
    )
    params.required("Capacity")
    wanted_gib = params.integer("Capacity", 0, 1, _CAPACITIES_GIB[found.type][1]) or 0
    rules.running(found)
    if wanted_gib <= found.capacity_gib:
        raise errors.invalid_parameter(
            "Capacity", str(wanted_gib), f"more than the {found.capacity_gib} GiB it has"
        )
    if params.boolean("DryRun"):
        return {}
    due_s = cloud.clock.now_s() + cloud.latency("upgrade_file_system")
    grown = dataclasses.replace(found, status="Extending", wanted_gib=wanted_gib, due_s=due_s)
    cloud.store.put(model.FILE_SYSTEM, found.file_system_id, grown.row())
    return {}


@actions.action(VERSION, "DeleteFileSystem")
def delete_file_system(call: actions.Call) -> dict[str, Any]:
    """Delete a file system that has no mount targets, with all in it."""
    cloud = call.cloud
    found = rules.file_system(cloud, call.params.required("FileSystemId"))
    if found.status == "Deleting":
        return {}
    if rules.mount_targets(cloud, found.file_system_id):
        raise errors.ApiError(
            "OperationDenied.MountTargetNotEmpty",
            403,
            "The specified file system has mount targets; delete them first.",
        )
    for kind, what in (
        (model.ACCESS_POINT, "access points"),
        (model.SERVICE, "protocol services"),
        (model.VSC_ATTACHMENT, "attached virtual storage channels"),
    ):
        if cloud.store.by(kind, "file_system_id", found.file_system_id):
            raise errors.ApiError(
                "OperationDenied.DependencyViolation",
                403,
                f"The specified file system has {what}; delete them first.",
            )
    due_s = cloud.clock.now_s() + cloud.latency("delete_file_system")
    gone = dataclasses.replace(found, status="Deleting", due_s=due_s)
    cloud.store.put(model.FILE_SYSTEM, found.file_system_id, gone.row())
    return {}


def _fits(row: FileSystem, params: params_module.Params) -> bool:
    storage = params.text("StorageType")
    kinds = [each for each in params.text("FileSystemType", "all").split(",") if each]
    for each in kinds:
        rules.require_one_of("FileSystemType", each, ("all", *_ALL_TYPES))
    return (
        ("all" in kinds or row.type in kinds)
        and params.text("VpcId") in ("", row.vpc_id)
        and params.text("ResourceGroupId") in ("", row.resource_group_id)
        and (not storage or row.storage_type in storage.split(","))
        and names.match(row.tags, names.parse_filter(params.structs("Tag")))
    )


def _capacity(params: params_module.Params, kind: str) -> int:
    if kind == model.STANDARD:
        return 0
    low, high = _CAPACITIES_GIB[kind]
    params.required("Capacity")
    return params.integer("Capacity", 0, low, high) or 0


def _zone(cloud: cloud_module.Cloud, params: params_module.Params, kind: str) -> str:
    """404 InvalidAZone.NotFound. General-purpose NAS takes the first zone when none is named."""
    zone_id = params.text("ZoneId")
    if not zone_id and kind == model.STANDARD:
        return cloud.world.zones[0].zone_id
    zone_id = params.required("ZoneId")
    if cloud.world.zone(zone_id) is None:
        raise errors.ApiError(
            "InvalidAZone.NotFound", 404, f"The specified zone {zone_id} does not exist."
        )
    return zone_id


def _network(cloud: cloud_module.Cloud, params: params_module.Params, kind: str) -> tuple[str, str]:
    """(VPC, vSwitch) of a CPFS file system; other kinds take no notice of them."""
    if kind not in (model.CPFS, model.CPFSSE):
        return "", ""
    vpc_id = params.required("VpcId")
    if kind == model.CPFSSE:
        return vpc_id, ""
    vswitch_id = params.required("VSwitchId")
    rules.vswitch(cloud, vpc_id, vswitch_id)
    return vpc_id, vswitch_id


def _encryption(params: params_module.Params, kind: str) -> tuple[int, str]:
    encrypt_type = params.integer("EncryptType", 0, 0, _OWN_KEY) or 0
    if encrypt_type and kind not in (model.STANDARD, model.EXTREME):
        raise errors.invalid_parameter("EncryptType", str(encrypt_type), "0 for CPFS")
    key_id = params.text("KmsKeyId")
    if encrypt_type == _OWN_KEY and not key_id:
        raise errors.missing_parameter("KmsKeyId")
    return encrypt_type, key_id


def _new_id(cloud: cloud_module.Cloud, kind: str) -> str:
    """Ten hexadecimal digits for general-purpose NAS, a prefix and sixteen for the others."""
    while True:
        digits = secrets.token_hex(5 if kind == model.STANDARD else 8)
        made = _ID_PREFIXES[kind] + digits
        if cloud.store.get(model.FILE_SYSTEM, made) is None:
            return made
