"""NAS resources as the API shows them: every key of the SDK's models."""

from typing import Any

from sim import cloud as cloud_module
from sim.nas import model, trees


def file_system(cloud: cloud_module.Cloud, row: model.FileSystem) -> dict[str, Any]:
    """One element of FileSystems.FileSystem."""
    points = cloud.view.all(model.ACCESS_POINT)
    used = trees.usage(cloud, row.file_system_id, "/")
    return {
        "FileSystemId": row.file_system_id,
        "FileSystemType": row.type,
        "Status": row.status,
        "StorageType": row.storage_type,
        "ProtocolType": row.protocol,
        "RegionId": cloud.world.region_id,
        "ZoneId": row.zone_id,
        "VpcId": row.vpc_id,
        "VswIds": {"VswId": [row.vswitch_id] if row.vswitch_id else []},
        "VscTarget": row.vsc_target,
        "Description": row.description,
        "CreateTime": row.creation_time,
        "ExpiredTime": "",
        "ChargeType": row.charge_type,
        "Capacity": row.capacity_gib,
        "Bandwidth": row.bandwidth,
        "MeteredSize": used.size_bytes,
        "MeteredIASize": 0,
        "MeteredArchiveSize": 0,
        "EncryptType": row.encrypt_type,
        "KMSKeyId": row.kms_key_id,
        "ResourceGroupId": row.resource_group_id,
        "AccessPointCount": str(
            sum(point["file_system_id"] == row.file_system_id for point in points)
        ),
        "AutoSnapshotPolicyId": "",
        "RedundancyType": "LRS",
        "RedundancyVSwitchIds": {"RedundancyVSwitchId": []},
        "QuorumVswId": "",
        "Version": "",
        "AutoUpgradeConfig": {"capacityUsedRatio": 0, "step": 0, "time": 0, "enabled": False},
        "Ldap": {"BindDN": "", "SearchBase": "", "URI": ""},
        "Options": {
            "EnableABE": False,
            "EnableDataInsight": False,
            "EnableOplock": False,
            "VscAccessPointAccessOnly": False,
        },
        "Packages": {"Package": []},
        "SupportedFeatures": {"SupportedFeature": []},
        "Tags": {"Tag": [{"Key": k, "Value": v} for k, v in row.tags.items()]},
        "MountTargets": {
            "MountTarget": [
                {
                    **_mount_target(target),
                    "AccessGroupName": target.access_group,
                }
                for target in _seen_targets(cloud, row.file_system_id)
            ]
        },
    }


def mount_target(row: model.MountTarget) -> dict[str, Any]:
    """One element of DescribeMountTargets' MountTargets.MountTarget."""
    return {
        **_mount_target(row),
        "AccessGroup": row.access_group,
        "IPVersion": "IPv4",
        "AccessPointAccessOnly": False,
    }


def access_point(cloud: cloud_module.Cloud, row: model.AccessPoint) -> dict[str, Any]:
    """What DescribeAccessPoint and DescribeAccessPoints share."""
    world = cloud.world
    return {
        "AccessPointId": row.access_point_id,
        "AccessPointName": row.name,
        "FileSystemId": row.file_system_id,
        "ARN": f"acs:nas:{world.region_id}:{world.account_id}:accesspoint/{row.access_point_id}",
        "AccessGroup": row.access_group,
        "DomainName": row.domain,
        "EnabledRam": row.ram_enabled,
        "RootPath": row.root_path,
        "RootPathStatus": "1" if trees.kind(cloud, row.file_system_id, row.root_path) else "0",
        "RootPathPermission": {
            "OwnerUserId": row.owner_user_id,
            "OwnerGroupId": row.owner_group_id,
            "Permission": row.permission,
        },
        "PosixUser": {
            "PosixUserId": row.posix_user_id or 0,
            "PosixGroupId": row.posix_group_id or 0,
            "PosixSecondaryGroupIds": list(row.posix_secondary_group_ids),
        },
        "Status": row.status,
        "VpcId": row.vpc_id,
        "VSwitchId": row.vswitch_id,
        "CreateTime": row.creation_time,
        "ModifyTime": row.modify_time,
        "Tags": [{"Key": k, "Value": v} for k, v in row.tags.items()],
    }


def fileset(cloud: cloud_module.Cloud, row: model.Fileset) -> dict[str, Any]:
    """One element of Entries.Entrie."""
    used = trees.usage(cloud, row.file_system_id, row.path.rstrip("/"))
    return {
        "FsetId": row.fileset_id,
        "FileSystemId": row.file_system_id,
        "FileSystemPath": row.path,
        "Description": row.description,
        "Status": row.status,
        "CreateTime": row.creation_time,
        "UpdateTime": row.update_time,
        "DeletionProtection": row.deletion_protection,
        "SpaceUsage": used.size_bytes,
        "FileCountUsage": used.file_count,
        "Quota": {"SizeLimit": row.size_bytes, "FileCountLimit": row.file_count},
    }


def _seen_targets(cloud: cloud_module.Cloud, file_system_id: str) -> list[model.MountTarget]:
    rows = cloud.view.all(model.MOUNT_TARGET)
    return [model.MountTarget.from_row(r) for r in rows if r["file_system_id"] == file_system_id]


def _mount_target(row: model.MountTarget) -> dict[str, Any]:
    return {
        "MountTargetDomain": row.domain,
        "DualStackMountTargetDomain": "",
        "NetworkType": row.network_type,
        "Status": row.status,
        "VpcId": row.vpc_id,
        "VswId": row.vswitch_id,
        "ClientMasterNodes": {"ClientMasterNode": []},
        "Tags": {"Tag": []},
    }
