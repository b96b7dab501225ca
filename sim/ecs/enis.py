"""Interfaces in the store: reading, writing, their addresses, and what happens by itself."""

import dataclasses

import structlog

from sim import actions, errors
from sim import cloud as cloud_module
from sim import world as world_module
from sim.ecs import eni_model, fabric
from sim.ecs.eni_model import Eni

log = structlog.get_logger()

_FREED_KIND = "freed_ip"
_RETRY_S = 0.25


def find(cloud: cloud_module.Cloud, eni_id: str) -> Eni | None:
    """The interface, None when it is absent."""
    row = cloud.store.get(eni_model.KIND, eni_id)
    return None if row is None else Eni.from_row(row)


def require(cloud: cloud_module.Cloud, eni_id: str) -> Eni:
    """The interface; 404 InvalidEniId.NotFound."""
    eni = find(cloud, eni_id)
    if eni is None:
        raise errors.ApiError(
            "InvalidEniId.NotFound", 404, f"The specified EniId {eni_id} does not exist."
        )
    return eni


def put(cloud: cloud_module.Cloud, eni: Eni) -> None:
    """Store the interface."""
    cloud.store.put(eni_model.KIND, eni.eni_id, eni.row())


def every(cloud: cloud_module.Cloud) -> list[Eni]:
    """All interfaces, oldest first."""
    return [Eni.from_row(row) for row in cloud.store.all(eni_model.KIND)]


def taken_away(eni: Eni) -> Eni:
    """*eni* as it is once somebody has detached it."""
    return dataclasses.replace(eni, status=eni_model.AVAILABLE, instance_id="", due_s=None)


def on_instance(cloud: cloud_module.Cloud, instance_id: str) -> list[Eni]:
    """Interfaces of an instance, coming and going ones included, the primary one first."""
    rows = cloud.store.by(eni_model.KIND, "instance_id", instance_id)
    mine = [Eni.from_row(row) for row in rows]
    return sorted(mine, key=lambda eni: eni.type != eni_model.PRIMARY)


def free_ips(cloud: cloud_module.Cloud, vswitch: world_module.VSwitch) -> list[str]:
    """Addresses of the vSwitch that nobody has, as far as its limit goes."""
    rows = cloud.store.by(eni_model.KIND, "vswitch_id", vswitch.vswitch_id)
    taken = {ip for row in rows for ip in row["ips"]}
    free = [ip for ip in eni_model.usable(vswitch.cidr_block) if ip not in taken]
    if vswitch.available_limit >= 0:
        free = free[: max(0, vswitch.available_limit - len(taken))]
    return free


def allot(cloud: cloud_module.Cloud, vswitch: world_module.VSwitch, count: int) -> list[str]:
    """*count* addresses for an interface; 403 InvalidVSwitchId.IpNotEnough."""
    free = free_ips(cloud, vswitch)
    if len(free) < count:
        raise errors.ApiError(
            "InvalidVSwitchId.IpNotEnough",
            403,
            f"The specified VSwitch {vswitch.vswitch_id} has not enough IpAddress: {count} asked, "
            f"{len(free)} free.",
        )
    freed = {key: row["at_s"] for key, row in cloud.store.items(_FREED_KIND)}
    return eni_model.choose(free, freed, count)


def forget_ips(cloud: cloud_module.Cloud, ips: tuple[str, ...]) -> None:
    """Note when addresses became free: they are used again last."""
    for ip in ips:
        cloud.store.put(_FREED_KIND, ip, {"at_s": cloud.clock.now_s()})


@actions.seeder
def seed_primary(cloud: cloud_module.Cloud) -> None:
    """The primary interface of every declared instance."""
    for instance in cloud.world.instances:
        if find(cloud, instance.eni_id) is not None:
            continue
        vswitch = cloud.world.vswitch(instance.vswitch_id)
        put(
            cloud,
            Eni(
                eni_id=instance.eni_id,
                mac=instance.mac,
                type=eni_model.PRIMARY,
                status=eni_model.IN_USE,
                vswitch_id=instance.vswitch_id,
                vpc_id=vswitch.vpc_id if vswitch else "",
                zone_id=instance.zone_id,
                ips=(instance.private_ip,),
                security_group_ids=instance.security_group_ids,
                creation_time=cloud.clock.timestamp(),
                instance_id=instance.instance_id,
            ),
        )


@actions.seeder
def seed_network(cloud: cloud_module.Cloud) -> None:
    """The machine's network brought to the store's state, after a start or a reset."""
    if cloud.network is not None:
        cloud.network.sync(fabric.build(cloud.world, every(cloud)))


@actions.settler
def settle(cloud: cloud_module.Cloud, now_s: float) -> float | None:
    """End what is due."""
    next_due_s: float | None = None
    for eni in every(cloud):
        due_s = eni.due_s
        if due_s is not None and due_s <= now_s:
            due_s = _settle(cloud, eni, now_s)
        if due_s is not None and (next_due_s is None or due_s < next_due_s):
            next_due_s = due_s
    return next_due_s


def _settle(cloud: cloud_module.Cloud, eni: Eni, now_s: float) -> float | None:
    if eni.status == eni_model.DELETING:
        cloud.store.delete(eni_model.KIND, eni.eni_id)
        forget_ips(cloud, eni.ips)
        return None
    ended = dataclasses.replace(eni, due_s=None)
    if eni.status == eni_model.ATTACHING:
        ended = dataclasses.replace(ended, status=eni_model.IN_USE)
    elif eni.status == eni_model.DETACHING:
        ended = dataclasses.replace(ended, status=eni_model.AVAILABLE, instance_id="")
    else:
        ended = dataclasses.replace(ended, status=eni_model.AVAILABLE)
    put(cloud, ended)
    if not fabric.settle(cloud, every(cloud)):
        put(cloud, dataclasses.replace(eni, due_s=now_s + _RETRY_S))
        return now_s + _RETRY_S
    return None
