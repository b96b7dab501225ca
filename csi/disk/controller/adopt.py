"""CreateVolume for a disk that is there already and that the parameters name."""

from collections.abc import Mapping
from typing import Protocol

from cloud import ecs_model
from core import errors, units
from csi.disk.controller import (
    capabilities,
    controller_requests,
    names,
    tags,
    topology,
    volume_context,
)

Disk = ecs_model.Disk

_FIELD = "parameters[volume.alibabacloud.com/disk-id]"


class DiskApi(Protocol):
    """What adopting a disk needs of `cloud.ecs_disk.Disks`."""

    async def read(self, disk_id: str) -> Disk | None: ...

    async def tag(self, disk_id: str, tags: Mapping[str, str]) -> None: ...


async def adopt(
    disks: DiskApi, want: controller_requests.VolumeRequest, *, cluster_id: str
) -> Disk:
    """The existing disk the parameters name, tagged as ours. It must fit exactly.

    Raises InvalidField when it does not, Exists when it is another volume or another cluster's,
    Unreachable when it is where nobody asked for it.
    """
    field, disk_id = _FIELD, want.parameters.adopt_disk_id
    if want.source is not None:
        raise errors.InvalidField(
            field,
            f"and {want.source.kind} {want.source.source_id} cannot be given together",
            value=disk_id,
        )
    disk = await disks.read(disk_id)
    if disk is None:
        raise errors.InvalidField(field, "does not exist", value=disk_id)
    if disk.disk_type != "data":
        raise errors.InvalidField(field, "is a system disk", value=disk_id)
    size_bytes = units.gib_to_bytes(disk.size_gib)
    if size_bytes != want.required_bytes:
        raise errors.InvalidField(
            field,
            f"has {size_bytes} bytes, not the {want.required_bytes} required",
            value=disk_id,
        )
    _require_promised(disk, want)
    _require_free(disk, want.name, cluster_id=cluster_id)
    segments = volume_context.place(disk, private_topology_key=False)
    if not topology.is_reachable(want.requirement, segments):
        raise topology.Unreachable(
            f"disk {disk_id} is in {disk.zone_id or disk.region_id}, which was not asked for"
        )
    wanted = tags.disk_tags(
        want.name,
        cluster_id=cluster_id,
        retention_days=want.parameters.delete_retention_days,
        wanted=want.parameters.tags,
    )
    if any(disk.tags.get(key) != value for key, value in wanted.items()):
        await disks.tag(disk_id, wanted)
    return disk


def _require_promised(disk: Disk, want: controller_requests.VolumeRequest) -> None:
    """Raise InvalidField for a disk that lacks the protection or the modes that are wanted."""
    capabilities.require(want.capabilities, multi_attach=disk.multi_attach, restored=True)
    wanted = want.parameters
    if wanted.encrypted and not disk.encrypted:
        raise errors.InvalidField(_FIELD, "is not encrypted", value=disk.disk_id)
    if wanted.encrypted and wanted.kms_key_id not in ("", disk.kms_key_id):
        raise errors.InvalidField(
            _FIELD,
            f"is encrypted with key {disk.kms_key_id}",
            value=disk.disk_id,
            allowed=wanted.kms_key_id,
        )


def _require_free(disk: Disk, name: str, *, cluster_id: str) -> None:
    """Raise Exists for a disk that carries the tags of another volume or another cluster."""
    owner = disk.tags.get(tags.VOLUME_NAME, "")
    if owner not in ("", names.tag_value(name)):
        raise errors.Exists(f"disk {disk.disk_id} is volume {owner} already")
    conflict = tags.cluster_conflict(disk.tags, cluster_id=cluster_id)
    if conflict:
        raise errors.Exists(f"disk {disk.disk_id} {conflict}")
