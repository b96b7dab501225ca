"""Instances: the world's declaration plus what changes (status, tags, locks), which is a row.

Also the seeder: instance rows, their system disks, and the hardware's state after a start.
Not here: the Describe calls (instance_actions.py).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from sim import actions, errors
from sim import cloud as cloud_module
from sim import world as world_module
from sim.ecs import refusals

KIND = "instance"
RUNNING = "Running"
STOPPED = "Stopped"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InstanceState:
    """The changing part of an instance.

    status: Running, Stopping, Stopped, Starting. due_s: end of Stopping or Starting, simulated
    epoch seconds. reboot: a stop that is followed by a start. releasing: one that is followed by
    the instance's end; while the world does not have it any more, the machine is still at it.
    operation_locks: "security" forbids everything.
    """

    instance_id: str
    status: str
    creation_time: str
    start_time: str
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    operation_locks: tuple[str, ...] = ()
    due_s: float | None = None
    reboot: bool = False
    releasing: bool = False

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Inverse of row()."""
        fields = {name: row[name] for name in row if name in cls.__dataclass_fields__}
        fields["operation_locks"] = tuple(row["operation_locks"])
        return cls(**fields)

    def row(self) -> dict[str, Any]:
        """JSON object for the store."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance with both halves."""

    declared: world_module.Instance
    state: InstanceState
    type: world_module.InstanceType

    @property
    def instance_id(self) -> str:
        """The id both halves share."""
        return self.declared.instance_id


def require(cloud: cloud_module.Cloud, instance_id: str) -> Instance:
    """The instance; 404 InvalidInstanceId.NotFound."""
    row = cloud.store.get(KIND, instance_id)
    instance = None if row is None else join(cloud.world, row)
    if instance is None:
        raise refusals.instance_not_found(instance_id)
    return instance


def join(world: world_module.World, row: Mapping[str, Any]) -> Instance | None:
    """A stored row with its declaration; None when the world no longer has it."""
    declared = world.instance(row["instance_id"])
    if declared is None:
        return None
    kind = world.instance_type(declared.instance_type_id)
    if kind is None:
        return None
    return Instance(declared=declared, state=InstanceState.from_row(row), type=kind)


def put(cloud: cloud_module.Cloud, state: InstanceState) -> None:
    """Store the changing part."""
    cloud.store.put(KIND, state.instance_id, state.row())


def require_running_or_stopped(
    cloud: cloud_module.Cloud, instance_id: str, *, status: int = 403
) -> Instance:
    """The instance, which must be Running or Stopped and not locked for security.

    *status* IncorrectInstanceStatus (AttachDisk answers 400), 403 InstanceLockedForSecurity.
    """
    instance = require(cloud, instance_id)
    if "security" in instance.state.operation_locks:
        raise errors.ApiError(
            "InstanceLockedForSecurity",
            403,
            f"The instance {instance_id} is locked due to security.",
        )
    if instance.state.status not in {RUNNING, STOPPED}:
        raise incorrect_status(instance, "Running or Stopped", status=status)
    return instance


def incorrect_status(instance: Instance, expected: str, *, status: int = 403) -> errors.ApiError:
    """IncorrectInstanceStatus that names the status found."""
    return errors.ApiError(
        "IncorrectInstanceStatus",
        status,
        "The current status of the resource does not support this operation: instance "
        f"{instance.instance_id} is {instance.state.status}, expected {expected}.",
    )


@actions.seeder
def seed_instances(cloud: cloud_module.Cloud) -> None:
    """A row for every declared instance that has none."""
    now = cloud.clock.timestamp()
    for declared in cloud.world.instances:
        if cloud.store.get(KIND, declared.instance_id) is None:
            put(
                cloud,
                InstanceState(
                    instance_id=declared.instance_id,
                    status=declared.status,
                    creation_time=now,
                    start_time=now if declared.status == RUNNING else "",
                    tags=dict(declared.tags),
                ),
            )
