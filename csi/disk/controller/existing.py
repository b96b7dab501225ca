"""Is this existing disk the volume that a request asks for? Pure.

Source: CSI CreateVolume ("already exists"), spec/csi-driver.md 2.7.
"""

from cloud import ecs_model
from core import units
from csi.disk.controller import (
    category,
    controller_requests,
    params,
    tags,
    topology,
    volume_context,
)

_SourceKind = controller_requests.SourceKind


def choose_conflict(disk: ecs_model.Disk, want: controller_requests.VolumeRequest) -> str:
    """What of *disk* contradicts *want*, "" when nothing does."""
    return (
        _capacity(disk, want)
        or _source(disk, want)
        or _parameters(disk, want.parameters)
        or _place(disk, want)
        or _missing_tags(disk, want.parameters)
    )


def parameters_conflict(disk: ecs_model.Disk, parameters: params.VolumeParameters) -> str:
    """What of *disk* contradicts *parameters*, "" when nothing does."""
    return _parameters(disk, parameters) or _missing_tags(disk, parameters)


def _capacity(disk: ecs_model.Disk, want: controller_requests.VolumeRequest) -> str:
    size_bytes = units.gib_to_bytes(disk.size_gib)
    if size_bytes < want.required_bytes:
        return f"it has {size_bytes} bytes, {want.required_bytes} are required"
    if want.limit_bytes and size_bytes > want.limit_bytes:
        return f"it has {size_bytes} bytes, above the limit of {want.limit_bytes}"
    return ""


def _source(disk: ecs_model.Disk, want: controller_requests.VolumeRequest) -> str:
    clone_of = disk.tags.get(tags.CLONE_OF, "")
    source = want.source
    if source is None:
        restored = disk.source_snapshot_id or clone_of
        return f"it was made from {restored}" if restored else ""
    if source.kind is _SourceKind.VOLUME:
        told = clone_of or disk.source_snapshot_id or "nothing"
        return "" if clone_of == source.source_id else f"it was made from {told}"
    if disk.source_snapshot_id == source.source_id and not clone_of:
        return ""
    return f"it was made from {clone_of or disk.source_snapshot_id or 'nothing'}"


def _parameters(disk: ecs_model.Disk, wanted: params.VolumeParameters) -> str:
    """Only what was asked for is compared: the cloud fills in the rest by its own defaults."""
    levels = wanted.performance_levels if category.of(disk.category).levels else ()
    multi_attach = str(disk.multi_attach).lower()
    for differs, told in (
        (disk.category not in wanted.categories, f"type is {disk.category}"),
        (
            bool(levels and disk.performance_level) and disk.performance_level not in levels,
            f"performanceLevel is {disk.performance_level}",
        ),
        (wanted.encrypted and not disk.encrypted, "encrypted is false"),
        (wanted.multi_attach != disk.multi_attach, f"multiAttach is {multi_attach}"),
    ):
        if differs:
            return f"its {told}"
    return _owner(disk, wanted) or _performance(disk, wanted)


def _owner(disk: ecs_model.Disk, wanted: params.VolumeParameters) -> str:
    for name, asked, found in (
        ("kmsKeyId", wanted.kms_key_id if wanted.encrypted else "", disk.kms_key_id),
        ("resourceGroupId", wanted.resource_group_id, disk.resource_group_id),
        ("storageClusterId", wanted.storage_cluster_id, disk.storage_cluster_id),
    ):
        if asked and asked != found:
            return f"its {name} is {found or 'not set'}"
    return ""


def _performance(disk: ecs_model.Disk, wanted: params.VolumeParameters) -> str:
    if not category.of(disk.category).provisions:
        return ""
    iops = wanted.provisioned_iops
    if iops is not None and iops != (disk.provisioned_iops or 0):
        return f"its provisionedIops are {disk.provisioned_iops or 0}"
    bursting = wanted.bursting_enabled
    if bursting is not None and bursting != disk.bursting_enabled:
        return f"its burstingEnabled is {str(disk.bursting_enabled).lower()}"
    return ""


def _place(disk: ecs_model.Disk, want: controller_requests.VolumeRequest) -> str:
    zones = want.parameters.zone_ids
    if disk.zone_id and zones and disk.zone_id not in zones:
        return f"it is in {disk.zone_id}"
    segments = volume_context.place(disk, private_topology_key=False)
    if not topology.is_reachable(want.requirement, segments):
        return f"it is in {disk.zone_id or disk.region_id}, which was not asked for"
    return ""


def _missing_tags(disk: ecs_model.Disk, wanted: params.VolumeParameters) -> str:
    for key, value in wanted.tags.items():
        if disk.tags.get(key) != value:
            return f"its tag {key} is {disk.tags.get(key, 'not there')}"
    return ""
