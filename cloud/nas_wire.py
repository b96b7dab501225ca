"""Small conversions between NAS's shapes and ours. Source: spec/cloud-api.md 3, NAS."""

from typing import Any

from cloud import ecs_wire, nas_model

text = ecs_wire.text


def file_system(raw: Any) -> nas_model.FileSystem:
    """A file system of DescribeFileSystems."""
    targets = getattr(raw.mount_targets, "mount_target", None) or []
    return nas_model.FileSystem(
        file_system_id=text(raw.file_system_id),
        type=_type(raw.file_system_type),
        status=text(raw.status),
        protocol=text(raw.protocol_type),
        storage_type=text(raw.storage_type),
        zone_id=text(raw.zone_id),
        vpc_id=text(raw.vpc_id),
        capacity_gib=int(raw.capacity or 0),
        encrypted=bool(raw.encrypt_type),
        description=text(raw.description),
        mount_targets=tuple(mount_target(each) for each in targets),
        tags=ecs_wire.read_tags(raw.tags),
    )


def mount_target(raw: Any) -> nas_model.MountTarget:
    """A mount target of DescribeFileSystems or DescribeMountTargets, which name one field apart."""
    group = getattr(raw, "access_group_name", None) or getattr(raw, "access_group", None)
    return nas_model.MountTarget(
        domain=text(raw.mount_target_domain),
        status=text(raw.status),
        network_type=text(raw.network_type).lower(),
        vpc_id=text(raw.vpc_id),
        vswitch_id=text(raw.vsw_id),
        access_group=text(group),
    )


def access_point(raw: Any) -> nas_model.AccessPoint:
    """An access point of DescribeAccessPoint(s)."""
    return nas_model.AccessPoint(
        access_point_id=text(raw.access_point_id),
        file_system_id=text(raw.file_system_id),
        name=text(raw.access_point_name),
        domain=text(raw.domain_name),
        root_path=text(raw.root_path),
        status=text(raw.status),
        created=text(raw.create_time),
        ram_enabled=bool(raw.enabled_ram),
        access_group=text(raw.access_group),
        # A plain list here, not a holder.
        tags={text(each.key): text(each.value) for each in raw.tags or []},
    )


def dir_quota(raw: Any) -> nas_model.DirQuota | None:
    """The quota for all users of one of DescribeDirQuotas' directories, None without one."""
    for quota in raw.user_quota_infos or []:
        if quota.user_type == "AllUsers":
            return nas_model.DirQuota(
                path=text(raw.path),
                status=text(raw.status),
                size_gib=_limit(quota.size_limit),
                file_count=_limit(quota.file_count_limit),
                used_bytes=int(quota.size_real_in_byte or 0),
                used_files=int(quota.file_count_real or 0),
            )
    return None


def fileset(raw: Any) -> nas_model.Fileset:
    """A fileset of DescribeFilesets, whose page shows paths without a slash at either end too."""
    quota = raw.quota
    return nas_model.Fileset(
        fileset_id=text(raw.fset_id),
        path=f"/{text(raw.file_system_path).strip('/')}/",
        status=text(raw.status),
        description=text(raw.description),
        size_bytes=int(getattr(quota, "size_limit", None) or 0),
        file_count=int(getattr(quota, "file_count_limit", None) or 0),
        used_bytes=int(raw.space_usage or 0),
        used_files=int(raw.file_count_usage or 0),
        deletion_protection=bool(raw.deletion_protection),
    )


def _limit(value: Any) -> int | None:
    """A limit; the API tells 0 or nothing for none."""
    return int(value) if value else None


def _type(value: object) -> nas_model.FileSystemType:
    try:
        return nas_model.FileSystemType(text(value))
    except ValueError:
        return nas_model.FileSystemType.UNKNOWN
