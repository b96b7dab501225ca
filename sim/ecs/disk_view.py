"""A stored disk as DescribeDisks shows it, and the filters of that call.

Every key of the SDK's response model is there (tests/sim/test_sim_shapes.py); what this cloud does
not have is "" or 0, as in real answers.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sim import params as params_module
from sim.ecs import categories, names
from sim.ecs.disk_model import Attachment, AttachmentState, Disk, DiskStatus

_VISIBLE = (DiskStatus.IN_USE, DiskStatus.DETACHING)
"""InstanceId, Device and Attachments are told only in these states; AttachDisk has not finished
in Attaching, and clients wait for the attachment to appear."""


def to_api(disk: Disk, zone_ids: tuple[str, ...]) -> dict[str, Any]:
    """One element of Disks.Disk. zone_ids: all zones of the region, for regional disks."""
    attached = [item for item in disk.attachments if item.state is not AttachmentState.ATTACHING]
    visible = attached if disk.status in _VISIBLE else []
    # A multi-attach disk has many; the single-valued fields then hold nothing.
    first = visible[0] if visible and not disk.multi_attach else None
    return {
        "DiskId": disk.disk_id,
        "RegionId": disk.region_id,
        "ZoneId": disk.zone_id,
        "Status": str(disk.status),
        "Type": disk.type,
        "Category": disk.category,
        "PerformanceLevel": disk.performance_level,
        "Size": disk.size_gib,
        "DiskName": disk.name,
        "Description": disk.description,
        "SerialNumber": disk.serial_number,
        "MultiAttach": "Enabled" if disk.multi_attach else "Disabled",
        "InstanceId": first.instance_id if first else "",
        "Device": first.device if first else "",
        "Attachments": {"Attachment": [_attachment(item) for item in visible]},
        "MountInstances": {"MountInstance": []},
        "MountInstanceNum": len(visible),
        "AttachedTime": disk.attached_time,
        "DetachedTime": disk.detached_time,
        "CreationTime": disk.creation_time,
        "ExpiredTime": "2999-09-08T16:00Z",
        "DiskChargeType": "PostPaid",
        "Portable": disk.portable,
        "DeleteWithInstance": disk.delete_with_instance,
        "DeleteAutoSnapshot": disk.delete_auto_snapshot,
        "EnableAutoSnapshot": disk.enable_auto_snapshot,
        "EnableAutomatedSnapshotPolicy": False,
        "AutoSnapshotPolicyId": "",
        "Encrypted": disk.encrypted,
        "KMSKeyId": disk.kms_key_id,
        "ResourceGroupId": disk.resource_group_id,
        "StorageClusterId": disk.storage_cluster_id,
        "StorageSetId": disk.storage_set_id,
        "StorageSetPartitionNumber": disk.storage_set_partition_number,
        "SourceSnapshotId": disk.source_snapshot_id,
        "SourceDiskId": "",
        "DataSource": _data_source(disk),
        "ImageId": "",
        "ProductCode": "",
        "BdfId": "",
        **_performance(disk),
        "ProvisionedIops": disk.provisioned_iops or 0,
        "BurstingEnabled": disk.bursting_enabled,
        "Placement": {"ZoneIds": "" if disk.zone_id else ",".join(zone_ids)},
        "OperationLocks": {
            "OperationLock": [{"LockReason": reason} for reason in disk.operation_locks]
        },
        "Tags": {"Tag": [{"TagKey": key, "TagValue": value} for key, value in disk.tags.items()]},
    }


def _performance(disk: Disk) -> dict[str, int]:
    iops, throughput = categories.performance(
        disk.category, disk.performance_level, disk.size_gib, disk.provisioned_iops or 0
    )
    return {
        **dict.fromkeys(("IOPS", "IOPSRead", "IOPSWrite"), iops),
        **dict.fromkeys(("Throughput", "ThroughputRead", "ThroughputWrite"), throughput),
    }


def _attachment(item: Attachment) -> dict[str, str]:
    return {
        "InstanceId": item.instance_id,
        "Device": item.device,
        "AttachedTime": item.attached_time,
    }


def _data_source(disk: Disk) -> dict[str, str]:
    if disk.source_snapshot_id:
        return {"Id": disk.source_snapshot_id, "Type": "Snapshot"}
    return {"Id": "", "Type": ""}


_TEXT_FILTERS: Mapping[str, Callable[[Disk], str]] = {
    "ZoneId": lambda disk: disk.zone_id,
    "DiskName": lambda disk: disk.name,
    "SnapshotId": lambda disk: disk.source_snapshot_id,
    "ResourceGroupId": lambda disk: disk.resource_group_id,
    "KMSKeyId": lambda disk: disk.kms_key_id,
    "PerformanceLevel": lambda disk: disk.performance_level,
    "MultiAttach": lambda disk: "Enabled" if disk.multi_attach else "Disabled",
    "DiskChargeType": lambda _: "PostPaid",
    "AutoSnapshotPolicyId": lambda _: "",
}
_CHOICE_FILTERS: Mapping[str, Callable[[Disk], str]] = {
    "Category": lambda disk: disk.category,
    "DiskType": lambda disk: disk.type,
    "Status": lambda disk: disk.status,
}
_FLAG_FILTERS: Mapping[str, Callable[[Disk], bool]] = {
    "Encrypted": lambda disk: disk.encrypted,
    "Portable": lambda disk: disk.portable,
    "DeleteWithInstance": lambda disk: disk.delete_with_instance,
    "DeleteAutoSnapshot": lambda disk: disk.delete_auto_snapshot,
    "EnableAutoSnapshot": lambda disk: disk.enable_auto_snapshot,
    "EnableAutomatedSnapshotPolicy": lambda _: False,
}


def choose(params: params_module.Params, disks: list[Disk]) -> list[Disk]:
    """The disks that pass every filter of a DescribeDisks request, newest first."""
    tags = names.parse_filter(params.structs("Tag"))
    instance_id = params.text("InstanceId")
    lock_reason = params.text("LockReason")
    texts = {name: params.text(name) for name in _TEXT_FILTERS if name in params}
    choices = {name: params.text(name).lower() for name in _CHOICE_FILTERS if name in params}
    flags = {name: params.boolean(name) for name in _FLAG_FILTERS if name in params}
    if flags.get("Encrypted") is False:  # documented as "only encrypted disks: no"
        del flags["Encrypted"]
    return [
        disk
        for disk in reversed(disks)
        if names.match(disk.tags, tags)
        and (not instance_id or _shown_on(disk, instance_id))
        and (not lock_reason or lock_reason in disk.operation_locks)
        and all(_TEXT_FILTERS[name](disk) == value for name, value in texts.items())
        and all(
            value == "all" or _CHOICE_FILTERS[name](disk).lower() == value
            for name, value in choices.items()
        )
        and all(_FLAG_FILTERS[name](disk) == value for name, value in flags.items())
    ]


def _shown_on(disk: Disk, instance_id: str) -> bool:
    attachment = disk.on(instance_id)
    return attachment is not None and attachment.state is not AttachmentState.ATTACHING
