"""CreateVolume for a disk that is there already and that the parameters name."""

from collections.abc import Mapping
from typing import Protocol

from cloud import ecs_model
from core import errors, units
from csi.disk.controller import controller_requests, names, tags, topology, volume_context

Disk = ecs_model.Disk


class DiskApi(Protocol):
    """What adopting a disk needs of `cloud.ecs_disk.Disks`."""

    async def read(self, disk_id: str) -> Disk | None: ...

    async def tag(self, disk_id: str, tags: Mapping[str, str]) -> None: ...


async def adopt(
    disks: DiskApi, want: controller_requests.VolumeRequest, *, cluster_id: str
) -> Disk:
    """The existing disk the parameters name, tagged as ours. It must fit exactly.

    Raises InvalidField when it does not, Exists when it is another volume, Unreachable when it is
    where nobody asked for it.
    """
    field, disk_id = (
        "parameters[volume.alibabacloud.com/disk-id]",
        want.parameters.adopt_disk_id,
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
    owner = disk.tags.get(tags.VOLUME_NAME, "")
    if owner not in ("", names.tag_value(want.name)):
        raise errors.Exists(f"disk {disk_id} is volume {owner} already")
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
