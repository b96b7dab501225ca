"""What a file system for a volume must be like: decisions. Pure.

Source: spec/csi-driver.md 3.4.
"""

from collections.abc import Iterable, Mapping

from cloud import nas_model
from core import errors, units
from csi.nas.controller import made, params, tags

Type = nas_model.FileSystemType

_EXTREME_MIN_GIB = 100


def choose_vswitch(zone_of: Mapping[str, str], wanted: Iterable[str], told: str) -> tuple[str, str]:
    """(vSwitch, zone): the first zone of *wanted* that has a vSwitch, else the first vSwitch.

    zone_of: zones by vSwitch, in the class's order. told: the class's zone, "" = none.
    """
    for zone_id in wanted:
        for vswitch_id, its_zone in zone_of.items():
            if its_zone == zone_id:
                return vswitch_id, zone_id
    first = next(iter(zone_of))
    # The zone of a file system need not be that of its mount target.
    return first, told or zone_of[first]


def new_file_system(
    name: str,
    parameters: params.FilesystemParameters,
    *,
    size_bytes: int,
    zone_id: str,
    vswitch_id: str,
    cluster_id: str,
) -> nas_model.NewFileSystem:
    """The wish for volume *name*. cluster_id: goes into a tag, "" = none."""
    told = tags.of_volume(name, cluster_id=cluster_id)
    told[tags.CAPACITY] = str(size_bytes)
    told[tags.WISH] = tags.wish(_wish(parameters))
    if parameters.delete:
        told[tags.DELETE_VOLUME] = "true"
    extreme = parameters.type is Type.EXTREME
    return nas_model.NewFileSystem(
        type=parameters.type,
        storage_type=parameters.storage_type,
        protocol="NFS",
        zone_id=zone_id,
        encrypt_type=parameters.encrypt_type,
        kms_key_id=parameters.kms_key_id,
        capacity_gib=units.ceil_gib(size_bytes) if extreme else 0,
        vpc_id=parameters.vpc_id,
        vswitch_id=vswitch_id,
        description=parameters.description,
        snapshot_id=parameters.snapshot_id,
        resource_group_id=parameters.resource_group_id,
        tags=told,
    )


def choose_capacity_gib(want: made.VolumeRequest, parameters: params.FilesystemParameters) -> int:
    """Capacity to ask for; 0 for general-purpose NAS, which grows by itself. Pure.

    Raises OutOfRange.
    """
    if parameters.type is not Type.EXTREME:
        return 0
    capacity_gib = max(_EXTREME_MIN_GIB, units.ceil_gib(want.required_bytes))
    if want.limit_bytes and units.gib_to_bytes(capacity_gib) > want.limit_bytes:
        raise errors.OutOfRange(
            f"an extreme NAS file system has at least {_EXTREME_MIN_GIB} GiB; asked for "
            f"{want.required_bytes} to {want.limit_bytes} bytes"
        )
    return capacity_gib


def require_same(
    found: nas_model.FileSystem, name: str, parameters: params.FilesystemParameters, size_bytes: int
) -> None:
    """Raise Exists unless *found* is what is asked for."""
    same = (
        found.type is parameters.type
        and found.storage_type.lower() == parameters.storage_type.lower()
        and found.tags.get(tags.CAPACITY, str(size_bytes)) == str(size_bytes)
        and (found.tags.get(tags.DELETE_VOLUME) == "true") == parameters.delete
        and tags.is_wish(found.tags, _wish(parameters))
    )
    if not same:
        raise errors.Exists(
            f"volume {name} exists as file system {found.file_system_id}, which is "
            f"{found.type} {found.storage_type} for {found.tags.get(tags.CAPACITY)} bytes; "
            "something else was asked for: another kind, size, zone, key or snapshot"
        )


def _wish(parameters: params.FilesystemParameters) -> dict[str, object]:
    """What a file system cannot change later and its other tags do not tell.

    Not its network: that is of its mount target, which may still have to be made, of a class that
    was mended meanwhile.
    """
    return {
        "zone": parameters.zone_id,
        "encryption": parameters.encrypt_type,
        "key": parameters.kms_key_id,
        "snapshot": parameters.snapshot_id,
        "resource group": parameters.resource_group_id,
    }


def choose_mount_target(
    found: nas_model.FileSystem, name: str, vpc_id: str
) -> nas_model.MountTarget | None:
    """The active mount target in VPC *vpc_id*; one that tells no VPC will do. None = none yet.

    Raises Exists when all there are lead into other VPCs, where the class's nodes are not.
    """
    fits = [each for each in found.mount_targets if each.vpc_id in ("", vpc_id)]
    if found.mount_targets and not fits:
        told = ", ".join(f"{each.domain} in {each.vpc_id}" for each in found.mount_targets)
        raise errors.Exists(
            f"volume {name} exists as file system {found.file_system_id} with {told}, and none in "
            f"{vpc_id}; make one there, or ask for that VPC"
        )
    return next((each for each in fits if each.active), None)


def version(want: made.VolumeRequest) -> dict[str, str]:
    """NFS version for the node: 3, or the class's; nothing when it sets one among its options."""
    flags = [flag for each in want.capabilities for flag in each.mount_flags]
    if any(flag.startswith(("vers=", "nfsvers=")) for flag in flags):
        return {}
    return {"vers": "3"}
