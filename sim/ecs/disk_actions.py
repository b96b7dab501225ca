"""CreateDisk, DescribeDisks, DeleteDisk, ModifyDiskAttribute.

Attach and detach: attach_actions.py; resize and category changes: spec_actions.py.
"""

import dataclasses
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim import params as params_module
from sim.ecs import (
    behaviour,
    categories,
    disk_model,
    disk_view,
    disks,
    hands,
    lists,
    names,
    refusals,
    snapshot_model,
    snapshots,
    stock,
)
from sim.ecs.disk_model import Disk, DiskStatus

VERSION = "2014-05-26"
_MAX_IDS = 100
_MAX_RESULTS = 500
_MAX_PAGE_SIZE = 100


@actions.action(VERSION, "CreateDisk", idempotent=True)
def create_disk(call: actions.Call) -> dict[str, Any]:
    """A new data disk, empty or from a snapshot; Creating at first."""
    cloud = call.cloud
    source = _source_snapshot(cloud, call.params)
    due_s = cloud.clock.now_s() + cloud.latency("create_disk")
    disk = dataclasses.replace(_parse_new_disk(call, source), create_due_s=due_s)
    disks.put(cloud, disk)
    image_id = source.snapshot_id if source and source.has_image else ""
    hands.act(
        cloud,
        lambda hardware: hardware.create_disk(disk.disk_id, disk.size_gib, snapshot_id=image_id),
    )
    return {"DiskId": disk.disk_id, "OrderId": ""}


def _parse_new_disk(call: actions.Call, source: snapshot_model.Snapshot | None) -> Disk:
    cloud, params = call.cloud, call.params
    _refuse_instance_id(params)
    category = params.text("DiskCategory", categories.DEFAULT_CATEGORY)
    limits = categories.find(category)
    level = categories.choose_level(category, params.text("PerformanceLevel"))
    zone_id = _choose_zone(cloud, params, regional=limits.regional)
    size_gib = _choose_size(cloud, params, source)
    categories.require_size(category, level, size_gib)
    provisioned_iops = params.integer("ProvisionedIops", minimum=0)
    categories.require_provisioned_iops(category, size_gib, provisioned_iops)
    disk_id = cloud.ids.new("d")
    legacy = behaviour.of(cloud).legacy_serial
    disk = Disk(
        disk_id=disk_id,
        region_id=call.region_id,
        zone_id=zone_id,
        category=category,
        performance_level=level,
        size_gib=size_gib,
        serial_number="" if legacy else disk_id.removeprefix("d-"),
        creation_time=cloud.clock.timestamp(),
        provisioned_iops=provisioned_iops if limits.auto else None,
        bursting_enabled=_bursting(params, category),
        multi_attach=_multi_attach(params, category),
        source_snapshot_id=source.snapshot_id if source else "",
        tags=names.parse_tags(params.structs("Tag")),
        **_plain_fields(params),
        **_encryption(params, source),
    )
    _require_quota(cloud)
    stock.require_sold(
        cloud.world, zone_id=zone_id, category=category, level=level, size_gib=size_gib
    )
    return disk


def _refuse_instance_id(params: params_module.Params) -> None:
    """InstanceId is for subscription instances, which this cloud does not have."""
    if "InstanceId" in params:
        raise errors.invalid_parameter(
            "InstanceId", params.text("InstanceId"), "absent, there are no subscription instances"
        )


def _plain_fields(params: params_module.Params) -> dict[str, Any]:
    name, description = params.text("DiskName"), params.text("Description")
    names.require_name("DiskName", name, code="InvalidDiskName.Malformed")
    names.require_description(description)
    cluster_id, set_id = params.text("StorageClusterId"), params.text("StorageSetId")
    partitions = params.integer("StorageSetPartitionNumber", 0, minimum=2) or 0
    if cluster_id and (set_id or partitions):
        raise errors.ApiError(
            "InvalidParameter.Conflict",
            400,
            "StorageClusterId cannot be given together with StorageSetId or "
            "StorageSetPartitionNumber.",
        )
    return {
        "name": name,
        "description": description,
        "resource_group_id": params.text("ResourceGroupId"),
        "storage_cluster_id": cluster_id,
        "storage_set_id": set_id,
        "storage_set_partition_number": partitions,
    }


def _choose_zone(cloud: cloud_module.Cloud, params: params_module.Params, *, regional: bool) -> str:
    """Zone of the new disk, "" for a regional one, whose ZoneId is ignored."""
    if regional:
        return ""
    zone_id = params.required("ZoneId")
    if cloud.world.zone(zone_id) is None:
        raise errors.ApiError(
            "InvalidZoneId.NotFound", 404, f"The specified zone {zone_id} does not exist."
        )
    return zone_id


def _source_snapshot(
    cloud: cloud_module.Cloud, params: params_module.Params
) -> snapshot_model.Snapshot | None:
    """The snapshot to restore. 404 InvalidSnapshotId.NotFound, 403 InvalidSnapshotId.NotReady."""
    snapshot_id = params.text("SnapshotId")
    if not snapshot_id:
        return None
    category = params.text("DiskCategory", categories.DEFAULT_CATEGORY)
    if categories.find(category).ephemeral:
        raise errors.ApiError(
            "InvalidDataDiskCategory.NotSupported",
            403,
            f"A disk of category {category} cannot be created from a snapshot.",
        )
    snapshot = snapshots.require(cloud, snapshot_id)
    if not snapshot.restorable:
        raise errors.ApiError(
            "InvalidSnapshotId.NotReady",
            403,
            f"The specified snapshot {snapshot_id} is not ready ({snapshot.status}).",
        )
    return snapshot


def _choose_size(
    cloud: cloud_module.Cloud,
    params: params_module.Params,
    source: snapshot_model.Snapshot | None,
) -> int:
    size_gib = params.integer("Size", minimum=1, code="InvalidDataDiskSize.ValueNotSupported")
    if source is None:
        return size_gib or int(params.required("Size"))
    if size_gib is None:
        return source.source_disk_size_gib
    if size_gib < source.source_disk_size_gib:
        if behaviour.of(cloud).grow_to_snapshot:
            return source.source_disk_size_gib
        raise errors.ApiError(
            "InvalidDiskSize.TooSmall",
            403,
            f"The specified disk size {size_gib} is less than the size of the snapshot, "
            f"{source.source_disk_size_gib} GiB.",
        )
    return size_gib


def _multi_attach(params: params_module.Params, category: str) -> bool:
    wanted = params.choice("MultiAttach", ("Enabled", "Disabled"), "Disabled") == "Enabled"
    if wanted and not categories.find(category).multi_attach:
        able = ", ".join(name for name, row in categories.CATEGORIES.items() if row.multi_attach)
        raise errors.invalid_parameter(
            "MultiAttach", "Enabled", f"Enabled only for {able}, not for {category}"
        )
    return wanted


def _bursting(params: params_module.Params, category: str) -> bool:
    wanted = params.boolean("BurstingEnabled") or False
    if wanted:
        require_bursting(category)
    return wanted


def require_bursting(category: str) -> None:
    """400 BurstingEnabledForDiskCategoryUnsupported for categories that cannot burst."""
    if not categories.find(category).auto:
        raise errors.ApiError(
            "BurstingEnabledForDiskCategoryUnsupported",
            400,
            f"The disk category {category} does not support performance burst.",
        )


def _encryption(
    params: params_module.Params, source: snapshot_model.Snapshot | None
) -> dict[str, Any]:
    """A disk from an encrypted snapshot is encrypted, with the snapshot's key unless one is named.

    The service key's id is told back, as the documentation says.
    """
    key_id = params.text("KMSKeyId")
    inherited = source is not None and source.encrypted
    if not (params.boolean("Encrypted") or inherited):
        if key_id:
            raise errors.invalid_parameter("KMSKeyId", key_id, "absent unless Encrypted is true")
        return {"encrypted": False, "kms_key_id": ""}
    default = source.kms_key_id if source is not None and inherited else SERVICE_KEY_ID
    return {"encrypted": True, "kms_key_id": key_id or default}


SERVICE_KEY_ID = "e522b26d-abf6-4e0d-b5da-04b7000000c0"
"""The account's service key of KMS in this cloud."""


def _require_quota(cloud: cloud_module.Cloud) -> None:
    count = sum(1 for row in cloud.store.all(disk_model.KIND) if row["type"] == "data")
    if count >= cloud.world.quotas.disks:
        raise errors.ApiError(
            "QuotaExceed.PostPaidDisk",
            403,
            f"Living postpaid disks quota exceeded: {cloud.world.quotas.disks}.",
        )


@actions.action(VERSION, "DescribeDisks")
def describe_disks(call: actions.Call) -> dict[str, Any]:
    """Disks that pass all filters, newest first; unknown ids are absent from the answer."""
    params = call.params
    lists.refuse_dry_run(params)
    params.integer("PageSize", minimum=1, maximum=_MAX_PAGE_SIZE)
    ids = lists.id_filter(params, "DiskIds", maximum=_MAX_IDS)
    rows = call.cloud.view.all(disk_model.KIND)
    found = [Disk.from_row(row) for row in rows if ids is None or row["disk_id"] in ids]
    found = [disk for disk in found if lists.created_in(params, disk.creation_time)]
    chosen = disk_view.choose(params, found)
    page = paging.either(
        params, chosen, lambda disk: disk.disk_id, maximum=_MAX_RESULTS, clamps=True
    )
    zone_ids = tuple(zone.zone_id for zone in call.cloud.world.zones)
    shown = [disk_view.to_api(disk, zone_ids) for disk in page.items]
    return {**page.fields, "Disks": {"Disk": shown}}


@actions.action(VERSION, "DeleteDisk")
def delete_disk(call: actions.Call) -> dict[str, Any]:
    """Release an Available disk. An unknown id is 404 (one page says ignored: the stricter one)."""
    cloud = call.cloud
    disk = disks.require(cloud, call.params.required("DiskId"))
    if disk.status is DiskStatus.CREATING:
        raise errors.ApiError(
            "IncorrectDiskStatus.Initializing",
            403,
            f"The disk {disk.disk_id} is initializing, try again later.",
        )
    if snapshots.being_cut(cloud, disk.disk_id):
        raise refusals.creating_snapshot(disk.disk_id)
    if disk.status is not DiskStatus.AVAILABLE or disk.spec_task_id:
        status = "being modified" if disk.spec_task_id else disk.status
        raise refusals.incorrect_disk_status(disk.disk_id, status, "Available")
    latency_s = cloud.latency("delete_disk")
    if latency_s > 0:
        disks.put(cloud, dataclasses.replace(disk, delete_due_s=cloud.clock.now_s() + latency_s))
    else:
        disks.remove(cloud, disk)
    return {}


@actions.action(VERSION, "ModifyDiskAttribute")
def modify_disk_attribute(call: actions.Call) -> dict[str, Any]:
    """Name, description, bursting and release flags of one disk, or of up to 100."""
    params = call.params
    one, many = params.text("DiskId"), params.strings("DiskIds")
    if one and many:
        raise errors.ApiError(
            "InvalidParameter.Conflict", 400, "DiskId and DiskIds.N cannot be given together."
        )
    if len(many) > _MAX_IDS:
        raise errors.invalid_parameter("DiskIds.N", f"{len(many)} ids", f"up to {_MAX_IDS} ids")
    for disk_id in many or [params.required("DiskId")]:
        disk = disks.require(call.cloud, disk_id)
        disks.put(call.cloud, _modified(params, disk))
    return {}


def _modified(params: params_module.Params, disk: Disk) -> Disk:
    name, description = params.text("DiskName"), params.text("Description")
    names.require_name("DiskName", name, code="InvalidDiskName.Malformed")
    names.require_description(description)
    bursting = params.boolean("BurstingEnabled")
    if bursting is not None:
        if disk.spec_task_id:
            raise errors.ApiError(
                "BurstingEnabledForModifyingDiskUnsupported",
                403,
                f"The disk {disk.disk_id} is being modified, burst cannot be changed now.",
            )
        require_bursting(disk.category)
    with_instance = params.boolean("DeleteWithInstance")
    if with_instance is not None and disk.multi_attach:
        raise refusals.multi_attach_disk(disk.disk_id)
    with_snapshots = params.boolean("DeleteAutoSnapshot")
    auto_snapshot = params.boolean("EnableAutoSnapshot")
    return dataclasses.replace(
        disk,
        name=name or disk.name,
        description=description or disk.description,
        bursting_enabled=_given(bursting, disk.bursting_enabled),
        delete_with_instance=_given(with_instance, disk.delete_with_instance),
        delete_auto_snapshot=_given(with_snapshots, disk.delete_auto_snapshot),
        enable_auto_snapshot=_given(auto_snapshot, disk.enable_auto_snapshot),
    )


def _given(new: bool | None, old: bool) -> bool:  # noqa: FBT001 - a pair of flags
    return old if new is None else new
