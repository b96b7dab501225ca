"""Refusals that several ECS actions share. Codes and statuses: spec/cloud-api.md 4.2."""

from sim import errors


def disk_not_found(disk_id: str) -> errors.ApiError:
    """404 InvalidDiskId.NotFound."""
    return errors.ApiError(
        "InvalidDiskId.NotFound", 404, f"The specified disk {disk_id} does not exist."
    )


def snapshot_not_found(snapshot_id: str) -> errors.ApiError:
    """404 InvalidSnapshotId.NotFound; DeleteSnapshotGroup answers it for groups as well."""
    return errors.ApiError(
        "InvalidSnapshotId.NotFound", 404, f"The specified snapshot {snapshot_id} does not exist."
    )


def instance_not_found(instance_id: str) -> errors.ApiError:
    """404 InvalidInstanceId.NotFound."""
    return errors.ApiError(
        "InvalidInstanceId.NotFound", 404, f"The specified instance {instance_id} does not exist."
    )


def incorrect_disk_status(disk_id: str, status: str, expected: str) -> errors.ApiError:
    """403 IncorrectDiskStatus that names the status found and those that would do."""
    return errors.ApiError(
        "IncorrectDiskStatus",
        403,
        "The current disk status does not support this operation: "
        f"disk {disk_id} is {status}, expected disk status is {expected}.",
    )


def creating_snapshot(disk_id: str) -> errors.ApiError:
    """403 DiskCreatingSnapshot."""
    return errors.ApiError(
        "DiskCreatingSnapshot",
        403,
        f"The operation is denied because a snapshot of disk {disk_id} is being created.",
    )


def multi_attach_disk(disk_id: str) -> errors.ApiError:
    """403 InvalidOperation.MultiAttachDisk."""
    return errors.ApiError(
        "InvalidOperation.MultiAttachDisk",
        403,
        f"The operation is not supported by disk {disk_id}, which has multi-attach enabled.",
    )


def unsupported_by_instance_type(category: str, instance_type_id: str) -> errors.ApiError:
    """403 InvalidInstanceType.NotSupportDiskCategory."""
    return errors.ApiError(
        "InvalidInstanceType.NotSupportDiskCategory",
        403,
        f"The instance type {instance_type_id} does not support the disk category {category}.",
    )


def no_stock(category: str, zone_id: str) -> errors.ApiError:
    """403 OperationDenied.NoStock; "inventory is insufficient" is what clients look for."""
    return errors.ApiError(
        "OperationDenied.NoStock",
        403,
        f"The specified AZone inventory is insufficient: {category} is sold out in "
        f"{zone_id or 'the region'}.",
    )
