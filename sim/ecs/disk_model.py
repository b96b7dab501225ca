"""A disk as the simulator stores it, and its state machine as pure functions.

Creating → Available → Attaching → In_use → Detaching → Available; the status is derived from the
attachments, so that a disk can never be in two states. Not here: what is allowed (disk_rules.py,
attach_rules.py), and the API's names (disk_view.py).
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, Self

KIND = "disk"


class DiskStatus(enum.StrEnum):
    """Values of the API field Status. ReIniting is never reached: ReInitDisk is not simulated."""

    CREATING = "Creating"
    AVAILABLE = "Available"
    ATTACHING = "Attaching"
    IN_USE = "In_use"
    DETACHING = "Detaching"


class AttachmentState(enum.StrEnum):
    """Where one attachment is on its way."""

    ATTACHING = "attaching"
    ATTACHED = "attached"
    DETACHING = "detaching"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One instance that has, gets or gives up the disk.

    due_s: simulated epoch seconds when the state ends; None for attached.
    """

    instance_id: str
    device: str
    state: AttachmentState
    attached_time: str = ""
    due_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """All that is known about a disk.

    zone_id: "" for regional disks. create_due_s: end of Creating, None afterwards.
    delete_due_s: when the disk vanishes from Describe; every other action already misses it.
    origin_instance_id: first instance of an elastic ephemeral disk, the only one it may return to.
    spec_task_id: the running ModifyDiskSpec task, "" if none. cool_until_s: no category change
    before. resizing_until_s: no other resize before. stale_size: an offline resize the instance
    has not seen yet. operation_locks: "security", "financial".
    """

    disk_id: str
    region_id: str
    zone_id: str
    category: str
    performance_level: str
    size_gib: int
    serial_number: str
    creation_time: str
    type: str = "data"
    portable: bool = True
    name: str = ""
    description: str = ""
    encrypted: bool = False
    kms_key_id: str = ""
    resource_group_id: str = ""
    storage_cluster_id: str = ""
    storage_set_id: str = ""
    storage_set_partition_number: int = 0
    multi_attach: bool = False
    provisioned_iops: int | None = None
    bursting_enabled: bool = False
    source_snapshot_id: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    attached_time: str = ""
    detached_time: str = ""
    delete_with_instance: bool = False
    delete_auto_snapshot: bool = False
    enable_auto_snapshot: bool = True
    attachments: tuple[Attachment, ...] = ()
    create_due_s: float | None = None
    delete_due_s: float | None = None
    ever_attached: bool = False
    origin_instance_id: str = ""
    spec_task_id: str = ""
    cool_until_s: float = 0.0
    resizing_until_s: float = 0.0
    stale_size: bool = False
    operation_locks: tuple[str, ...] = ()

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Inverse of row()."""
        fields = {name: value for name, value in row.items() if name in cls.__dataclass_fields__}
        fields["attachments"] = tuple(
            Attachment(**{**item, "state": AttachmentState(item["state"])})
            for item in row["attachments"]
        )
        fields["operation_locks"] = tuple(row["operation_locks"])
        return cls(**fields)

    def row(self) -> dict[str, Any]:
        """JSON object for the store, with the earliest due time on top for the settler."""
        return {**dataclasses.asdict(self), "due_s": self.due_s}

    @property
    def due_s(self) -> float | None:
        """When this disk changes by itself next; None when it does not."""
        due = [item.due_s for item in self.attachments if item.due_s is not None]
        due += [at for at in (self.create_due_s, self.delete_due_s) if at is not None]
        return min(due, default=None)

    @property
    def status(self) -> DiskStatus:
        """API status. A multi-attach disk is In_use while one instance has it."""
        if self.create_due_s is not None:
            return DiskStatus.CREATING
        states = {item.state for item in self.attachments}
        if AttachmentState.ATTACHED in states:
            return DiskStatus.IN_USE
        if AttachmentState.ATTACHING in states:
            return DiskStatus.ATTACHING
        if AttachmentState.DETACHING in states:
            return DiskStatus.DETACHING
        return DiskStatus.AVAILABLE

    def on(self, instance_id: str) -> Attachment | None:
        """The attachment to *instance_id*, in any state."""
        return next((item for item in self.attachments if item.instance_id == instance_id), None)

    def others(self, instance_id: str) -> tuple[str, ...]:
        """Instances other than *instance_id* on which the disk is visible."""
        return tuple(
            item.instance_id
            for item in self.attachments
            if item.instance_id != instance_id and item.state is not AttachmentState.ATTACHING
        )


def finish_create(disk: Disk) -> Disk:
    """Creating → Available."""
    return dataclasses.replace(disk, create_due_s=None)


def begin_attach(disk: Disk, instance_id: str, *, device: str, due_s: float) -> Disk:
    """Available → Attaching; a further attachment for a multi-attach disk."""
    attachment = Attachment(
        instance_id=instance_id, device=device, state=AttachmentState.ATTACHING, due_s=due_s
    )
    return dataclasses.replace(disk, attachments=(*disk.attachments, attachment))


def finish_attach(disk: Disk, instance_id: str, *, at: str) -> Disk:
    """Attaching → In_use. at: time as the API prints it."""
    done = _with_attachment(disk, instance_id, AttachmentState.ATTACHED, due_s=None, at=at)
    return dataclasses.replace(
        done,
        ever_attached=True,
        attached_time=at,
        origin_instance_id=disk.origin_instance_id or instance_id,
    )


def begin_detach(disk: Disk, instance_id: str, *, due_s: float) -> Disk:
    """In_use → Detaching."""
    return _with_attachment(disk, instance_id, AttachmentState.DETACHING, due_s=due_s)


def finish_detach(disk: Disk, instance_id: str, *, at: str) -> Disk:
    """Detaching → Available. A detached disk is no longer released with the instance."""
    return dataclasses.replace(
        disk,
        attachments=tuple(i for i in disk.attachments if i.instance_id != instance_id),
        detached_time=at,
        delete_with_instance=False,
        stale_size=False,
    )


def retry_at(disk: Disk, instance_id: str, *, due_s: float) -> Disk:
    """The same state with a later end: the machine was not ready."""
    current = disk.on(instance_id)
    return disk if current is None else _with_attachment(disk, instance_id, current.state, due_s)


def _with_attachment(
    disk: Disk, instance_id: str, state: AttachmentState, due_s: float | None, at: str = ""
) -> Disk:
    changed = tuple(
        dataclasses.replace(item, state=state, due_s=due_s, attached_time=at or item.attached_time)
        if item.instance_id == instance_id
        else item
        for item in disk.attachments
    )
    return dataclasses.replace(disk, attachments=changed)


def drop_attachments(disk: Disk, *, at: str) -> Disk:
    """Take the disk away from every instance at once, as a forced attach does."""
    for attachment in disk.attachments:
        disk = finish_detach(disk, attachment.instance_id, at=at)
    return disk
