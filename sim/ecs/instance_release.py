"""DeleteInstance, and what becomes of an instance's disks and interfaces when it is gone.

Sources: ECS DeleteInstance (Force, DryRun, error codes, DeleteWithInstance, security locks);
CreateNetworkInterface (DeleteOnRelease). New instances come with the world: POST /_sim/world.
"""

import dataclasses
from typing import Any

from sim import actions, errors
from sim import cloud as cloud_module
from sim.ecs import (
    disk_model,
    disks,
    eni_model,
    enis,
    fabric,
    hands,
    instances,
    lists,
    route_tables,
)
from sim.ecs.disk_model import Disk
from sim.ecs.instances import Instance, InstanceState

VERSION = "2014-05-26"
_LOCK = "security"


@actions.action(VERSION, "DeleteInstance")
def delete_instance(call: actions.Call) -> dict[str, Any]:
    """Begin to release an instance; it is gone after the world's latency.

    A Running one with Force=true only. ForceStop and TerminateSubscription change nothing here:
    no guest shuts down, and there are no subscriptions.
    """
    cloud, params = call.cloud, call.params
    instance = instances.require(cloud, params.required("InstanceId"))
    allowed = [instances.STOPPED]
    if params.boolean("Force"):
        allowed.append(instances.RUNNING)
    params.boolean("ForceStop")
    params.boolean("TerminateSubscription")
    if instance.state.status not in allowed:
        raise instances.incorrect_status(instance, " or ".join(allowed))
    _refuse_next_hop(cloud, instance)
    lists.refuse_dry_run(params)
    due_s = cloud.clock.now_s() + cloud.latency("release_instance")
    instances.put(
        cloud,
        dataclasses.replace(instance.state, status="Stopping", releasing=True, due_s=due_s),
    )
    return {}


def settle(cloud: cloud_module.Cloud, state: InstanceState, now_s: float) -> float | None:
    """The instance ends: records first, then the machine until it agrees. When to come again."""
    instance_id = state.instance_id
    if cloud.world.instance(instance_id) is not None:
        # The instance is out of the world before its disks are looked at again.
        cloud.release_instance(instance_id)
        for disk in disks.on_instance(cloud, instance_id):
            _let_go(cloud, disk, instance_id, now_s, is_locked=_LOCK in state.operation_locks)
        for eni in enis.on_instance(cloud, instance_id):
            if eni.type == eni_model.PRIMARY or eni.delete_on_release:
                enis.delete(cloud, eni)
            else:
                enis.put(cloud, enis.taken_away(eni))
    if fabric.settle(cloud, enis.every(cloud)) and hands.settle(
        cloud, lambda hardware: hardware.forget(instance_id)
    ):
        cloud.store.delete(instances.KIND, instance_id)
        return None
    again = dataclasses.replace(state, due_s=now_s + hands.RETRY_S)
    instances.put(cloud, again)
    return again.due_s


def _let_go(
    cloud: cloud_module.Cloud, disk: Disk, instance_id: str, now_s: float, *, is_locked: bool
) -> None:
    """A disk leaves the instance, in whatever state it is there."""
    if disk.type == "system":
        cloud.store.delete(disk_model.KIND, disk.disk_id)
        return
    leaving = disk_model.begin_detach(disk, instance_id, due_s=now_s)
    if is_locked and not disk.multi_attach:
        leaving = dataclasses.replace(leaving, delete_with_instance=True)
    disks.put(cloud, leaving)


def _refuse_next_hop(cloud: cloud_module.Cloud, instance: Instance) -> None:
    """400 DependencyViolation.RouteEntry while a custom route leads to it or its interfaces."""
    hops = {eni.eni_id for eni in enis.on_instance(cloud, instance.instance_id)}
    hops.add(instance.instance_id)
    for vpc in cloud.world.vpcs:
        for entry in route_tables.entries_of(cloud.store, vpc):
            if entry.next_hop_id in hops:
                raise errors.ApiError(
                    "DependencyViolation.RouteEntry",
                    400,
                    f"The instance {instance.instance_id} is used by the route entry "
                    f"{entry.entry_id(vpc.vpc_id)} of {route_tables.table_id(vpc.vpc_id)}.",
                )
