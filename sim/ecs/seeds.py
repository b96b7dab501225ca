"""System disks of the declared instances, and the machine brought to the store's state.

Runs at every start and after a reset; registered after the instances' own seeder.
"""

from sim import actions
from sim import cloud as cloud_module
from sim import world as world_module
from sim.ecs import categories, disk_model, disks, snapshot_model
from sim.ecs.disk_model import Attachment, AttachmentState, Disk
from sim.hardware import api

_SYSTEM_DEVICE = "/dev/xvda"


@actions.seeder
def seed_system_disks(cloud: cloud_module.Cloud) -> None:
    """A system disk, In_use, for every declared instance whose disk is not there yet.

    System disks are records only: the machine that plays the node has its own.
    """
    for instance in cloud.world.instances:
        if cloud.store.get(disk_model.KIND, system_disk_id(instance)) is None:
            disks.put(cloud, _system_disk(cloud, instance))


def system_disk_id(instance: world_module.Instance) -> str:
    """The declared id, or one derived from the instance id."""
    return instance.system_disk_id or f"d-sys{instance.instance_id.removeprefix('i-')}"


def _system_disk(cloud: cloud_module.Cloud, instance: world_module.Instance) -> Disk:
    now = cloud.clock.timestamp()
    disk_id = system_disk_id(instance)
    category = instance.system_disk_category
    return Disk(
        disk_id=disk_id,
        region_id=cloud.world.region_id,
        zone_id=instance.zone_id,
        category=category,
        performance_level=categories.choose_level(category, ""),
        size_gib=instance.system_disk_size_gib,
        serial_number=disk_id.removeprefix("d-"),
        creation_time=now,
        type="system",
        attached_time=now,
        delete_with_instance=True,
        ever_attached=True,
        origin_instance_id=instance.instance_id,
        attachments=(
            Attachment(
                instance_id=instance.instance_id,
                device=_SYSTEM_DEVICE,
                state=AttachmentState.ATTACHED,
                attached_time=now,
            ),
        ),
    )


@actions.seeder
def reconcile_hardware(cloud: cloud_module.Cloud) -> None:
    """Make loop devices, links and images agree with the store.

    A failure stops the start: a simulator whose devices differ from its records would lie.
    """
    if cloud.hardware is None:
        return
    cloud.hardware.place(
        [
            api.Machine(
                instance_id=row.instance_id,
                by_id_dir=row.by_id_dir,
                local_disks_gib=row.local_disks_gib,
            )
            for row in cloud.world.instances
        ]
    )
    rows = [Disk.from_row(row) for row in cloud.store.all(disk_model.KIND)]
    data_disks = [disk for disk in rows if disk.type != "system"]
    cloud.hardware.reconcile(
        [binding for disk in data_disks for binding in _bindings(disk)],
        disk_ids=[disk.disk_id for disk in data_disks],
        snapshot_ids=[row["snapshot_id"] for row in cloud.store.all(snapshot_model.KIND)],
    )


def _bindings(disk: Disk) -> list[api.Binding]:
    """Who must see the disk: attached instances. A device that is on its way out may stay open."""
    attached = tuple(
        item.instance_id for item in disk.attachments if item.state is AttachmentState.ATTACHED
    )
    if not attached:
        return []
    return [api.Binding(disk_id=disk.disk_id, serial=disk.serial_number, instance_ids=attached)]
