"""Settings of the disk driver's controller service; the node's are in `csi.disk.node_settings`.

Source of names: spec/csi-driver.md 2.2 and 1.4. Where a default differs from the reference, the
reason is told at the field and in docs/reference/disk.md.
"""

import dataclasses
from collections.abc import Mapping

from core import settings

FATAL_EVENTS = frozenset(
    {
        "ecs_alarm_center.vm.guest_os_oom:critical",
        "ecs_alarm_center.vm.guest_os_kernel_panic:critical",
        "ecs_alarm_center.vm.guest_os_kernel_panic:fatal",
        "ecs_alarm_center.vm.vmexit_exception_vm_hang:fatal",
    }
)
"""History events after which an instance cannot end a detach. Source: spec/csi-driver.md 2.8."""
DETACH_PATIENCE_S = 10.0
"""A detach that takes longer makes us look for fatal events; a normal one ends before."""
MAX_CONCURRENCY = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DiskSettings:
    """Everything the controller may be told from outside.

    steal_on_attach: detach a disk from the instance that has it. Off here, on in the reference:
    two nodes writing one file system destroys it, and only the CO knows that the first is dead.
    detach_on_delete: detach a disk before deleting it. Off here, on in the reference: a disk in
    use is not to be deleted (CSI: FAILED_PRECONDITION).
    keep_attached: ControllerUnpublishVolume leaves the disk where it is.
    attach_slots, detach_slots: per instance at once; 0 = no limit. Both 1 = one shared slot.
    snapshot_on_delete: take a snapshot of a disk with the retention tag before deleting it.
    cluster_id: "" = unknown; tags new disks and snapshots, and narrows the lists.
    """

    steal_on_attach: bool = False
    detach_on_delete: bool = False
    keep_attached: bool = False
    tag_on_attach: bool = False
    attach_slots: int = 1
    detach_slots: int = 1
    snapshot_on_delete: bool = False
    cluster_id: str = ""
    private_topology_key: bool = False
    fatal_events: frozenset[str] = FATAL_EVENTS
    group_snapshots: bool = True


def read_disk(reader: settings.Reader, gates: Mapping[str, bool]) -> DiskSettings:
    """Effective settings; faults are left in *reader* for the caller to finish.

    gates: feature gates of the process; a gate and its older variable are the same switch.
    """
    attach = reader.integer("DISK_ATTACH_CONCURRENCY", 32, minimum=0, maximum=MAX_CONCURRENCY)
    detach = reader.integer("DISK_DETACH_CONCURRENCY", 5, minimum=0, maximum=MAX_CONCURRENCY)
    if reader.boolean("DISK_MULTI_TENANT_ENABLE", default=False):
        reader.fault("DISK_MULTI_TENANT_ENABLE: multi-tenancy was removed; allowed: false")
    snapshot_on_delete = reader.boolean("VOLUME_DEL_AUTO_SNAP", default=False)
    extra_events = reader.text("ADDON_VM_FATAL_EVENTS").split(",")
    return DiskSettings(
        steal_on_attach=reader.boolean("DISK_FORCE_DETACHED", default=False),
        detach_on_delete=reader.boolean("DISK_DETACH_BEFORE_DELETE", default=False),
        keep_attached=reader.boolean("DISK_DETACH_DISABLE", default=False),
        tag_on_attach=reader.boolean("DISK_TAGED_BY_PLUGIN", default=False),
        attach_slots=attach if gates.get("DiskParallelAttach") else 1,
        detach_slots=detach if gates.get("DiskParallelDetach") else 1,
        snapshot_on_delete=snapshot_on_delete or bool(gates.get("EnableDeleteAutoSnapshots")),
        cluster_id=reader.text("CLUSTER_ID"),
        private_topology_key=reader.boolean("PRIVATE_TOPOLOGY_KEY", default=False),
        fatal_events=FATAL_EVENTS | {event.strip() for event in extra_events if event.strip()},
        group_snapshots=gates.get("EnableVolumeGroupSnapshots", True),
    )
