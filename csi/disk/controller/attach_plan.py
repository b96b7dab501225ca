"""Where a disk is attached, and what to do about it: pure decisions on a described disk.

Source: spec/csi-driver.md 2.8; CSI ControllerPublishVolume.
"""

import enum

from cloud import ecs_model
from core import errors
from csi.disk.controller import category

Disk = ecs_model.Disk
State = ecs_model.DiskState

_ON_ITS_WAY = frozenset({State.ATTACHING, State.DETACHING, State.CREATING, State.REINITING})


class AttachAction(enum.StrEnum):
    """What brings a disk to an instance."""

    NOTHING = "nothing"
    WAIT = "wait"
    DETACH_FIRST = "detach first"
    ATTACH = "attach"
    FORCE_ATTACH = "force attach"


def instances_of(disk: Disk) -> tuple[str, ...]:
    """Instances that have *disk*, or give it up just now. Unknown while it is Attaching."""
    single = (disk.instance_id,) if disk.instance_id else ()
    return tuple(dict.fromkeys((*single, *disk.attached_instance_ids)))


def is_attached(disk: Disk, instance_id: str) -> bool:
    """Whether *instance_id* can use *disk* now."""
    return disk.state is State.IN_USE and instance_id in instances_of(disk)


def is_settled(disk: Disk | None) -> bool:
    """Whether *disk* stays as it is until somebody acts; also true when it is gone."""
    return disk is None or disk.state not in _ON_ITS_WAY


def choose_attach_action(
    disk: Disk, instance_id: str, *, shared: bool, may_steal: bool
) -> AttachAction:
    """Action that brings *disk* to *instance_id*.

    shared: several nodes may have the volume at once. may_steal: take the disk from another
    instance that has it.
    While a disk is on its way somewhere the answer is WAIT: perhaps an earlier try of this very
    call is on the way here, and what an Attaching disk goes to is not told. A shared disk need not
    wait for other instances to let go of it: a dead one never does.
    Raises Precondition when the disk is in use elsewhere, Busy in a state we do not know.
    """
    others = tuple(other for other in instances_of(disk) if other != instance_id)
    if _is_open_to(disk, instance_id, shared=shared):
        return AttachAction.ATTACH
    match disk.state:
        case State.IN_USE:
            if is_attached(disk, instance_id):
                return AttachAction.NOTHING
            if may_steal:
                return AttachAction.DETACH_FIRST
            raise errors.Precondition(
                f"disk {disk.disk_id} is attached to {', '.join(others)}; detach it there before "
                f"it can go to {instance_id}"
            )
        case State.DETACHING if may_steal and category.of(disk.category).regional and others:
            # The zone of the other instance may be lost, and the detach would never end.
            return AttachAction.FORCE_ATTACH
        case State.UNKNOWN:
            raise errors.Busy(f"disk {disk.disk_id} is in a state we do not know; retry later")
        case _:
            return AttachAction.WAIT


def _is_open_to(disk: Disk, instance_id: str, *, shared: bool) -> bool:
    """Whether *disk* may be attached at once, whoever else has it."""
    holders = instances_of(disk)
    joins = disk.multi_attach and shared and instance_id not in holders
    match disk.state:
        case State.AVAILABLE:
            return True
        case State.IN_USE:
            return joins or not holders
        case _:
            return disk.state is State.DETACHING and joins


def choose_detach_targets(disk: Disk, instance_id: str) -> tuple[str, ...]:
    """Instances to detach *disk* from. instance_id: only this one, "" = all."""
    return tuple(other for other in instances_of(disk) if instance_id in ("", other))
