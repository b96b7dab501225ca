"""Interfaces in the store: reading, writing, their addresses, and what happens by itself."""

import dataclasses
from collections.abc import Collection, Iterable, Sequence

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
        raise not_found(eni_id)
    return eni


def not_found(eni_id: str) -> errors.ApiError:
    """404 InvalidEniId.NotFound."""
    return errors.ApiError(
        "InvalidEniId.NotFound", 404, f"The specified EniId {eni_id} does not exist."
    )


def put(cloud: cloud_module.Cloud, eni: Eni) -> None:
    """Store the interface."""
    cloud.store.put(eni_model.KIND, eni.eni_id, eni.row())


def every(cloud: cloud_module.Cloud) -> list[Eni]:
    """All interfaces, oldest first."""
    return [Eni.from_row(row) for row in cloud.store.all(eni_model.KIND)]


def taken_away(eni: Eni) -> Eni:
    """*eni* as it is once somebody has detached it."""
    return dataclasses.replace(eni, status=eni_model.AVAILABLE, instance_id="", due_s=None)


def without_ips(eni: Eni, ips: Collection[str]) -> Eni:
    """*eni* without these addresses."""
    return dataclasses.replace(
        eni,
        ips=tuple(ip for ip in eni.ips if ip not in ips),
        arriving={ip: due_s for ip, due_s in eni.arriving.items() if ip not in ips},
    )


def on_instance(cloud: cloud_module.Cloud, instance_id: str) -> list[Eni]:
    """Interfaces of an instance, coming and going ones included, the primary one first."""
    rows = cloud.store.by(eni_model.KIND, "instance_id", instance_id)
    return primary_first(Eni.from_row(row) for row in rows)


def primary_first(rows: Iterable[Eni]) -> list[Eni]:
    """The same interfaces, Primary ones before others."""
    return sorted(rows, key=lambda eni: eni.type != eni_model.PRIMARY)


def unused_ips(cloud: cloud_module.Cloud, vswitch: world_module.VSwitch) -> list[str]:
    """Addresses of the vSwitch that nobody has, whatever its limit."""
    rows = cloud.store.by(eni_model.KIND, "vswitch_id", vswitch.vswitch_id)
    taken = {ip for row in rows for ip in row["ips"]}
    return [ip for ip in eni_model.usable(vswitch.cidr_block) if ip not in taken]


def free_count(cloud: cloud_module.Cloud, vswitch: world_module.VSwitch) -> int:
    """How many more addresses the vSwitch hands out: what is unused, as far as its limit goes."""
    unused = len(unused_ips(cloud, vswitch))
    if vswitch.available_limit < 0:
        return unused
    rows = cloud.store.by(eni_model.KIND, "vswitch_id", vswitch.vswitch_id)
    taken = sum(len(row["ips"]) for row in rows)
    return max(0, min(unused, vswitch.available_limit - taken))


def allot(
    cloud: cloud_module.Cloud,
    vswitch: world_module.VSwitch,
    count: int,
    *,
    named: Sequence[str] = (),
) -> list[str]:
    """The addresses *named* and *count* others; 403 InvalidVSwitchId.IpNotEnough.

    named: unused ones, checked by the caller.
    """
    left = free_count(cloud, vswitch)
    if left < len(named) + count:
        raise errors.ApiError(
            "InvalidVSwitchId.IpNotEnough",
            403,
            f"The specified VSwitch {vswitch.vswitch_id} has not enough IpAddress: "
            f"{len(named) + count} asked, {left} free.",
        )
    free = set(unused_ips(cloud, vswitch)) - set(named)
    rows = cloud.store.by(_FREED_KIND, "vswitch_id", vswitch.vswitch_id)
    freed = {row["ip"]: row["at_s"] for row in rows}
    return [*named, *eni_model.choose(free, freed, count)]


def forget_ips(cloud: cloud_module.Cloud, vswitch_id: str, ips: Sequence[str]) -> None:
    """Note when addresses became free: they are used again last."""
    for ip in ips:
        row = {"vswitch_id": vswitch_id, "ip": ip, "at_s": cloud.clock.now_s()}
        cloud.store.put(_FREED_KIND, f"{vswitch_id}/{ip}", row)


def delete(cloud: cloud_module.Cloud, eni: Eni) -> None:
    """The interface is no more; its addresses are free."""
    cloud.store.delete(eni_model.KIND, eni.eni_id)
    forget_ips(cloud, eni.vswitch_id, eni.ips)


@actions.seeder
def seed_primary(cloud: cloud_module.Cloud) -> None:
    """The primary interface of every declared instance.

    WorldError when another interface has the address or the MAC of one that is new.
    """
    for instance in cloud.world.instances:
        if find(cloud, instance.eni_id) is not None:
            continue
        vswitch = cloud.world.vswitch(instance.vswitch_id)
        _require_unused(cloud, instance)
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


def _require_unused(cloud: cloud_module.Cloud, instance: world_module.Instance) -> None:
    for eni in every(cloud):
        same_block = eni.vswitch_id == instance.vswitch_id
        if eni.mac == instance.mac or (same_block and instance.private_ip in eni.ips):
            what = f"{instance.private_ip} or {instance.mac}"
            fault = f"instances: {instance.instance_id} wants what {eni.eni_id} has: {what}"
            raise world_module.WorldError([fault])


@actions.seeder
def seed_network(cloud: cloud_module.Cloud) -> None:
    """The machine's network brought to the store's state, after a start or a reset."""
    if cloud.network is not None:
        cloud.network.sync(fabric.build(cloud.world, every(cloud)))


@actions.settler
def settle(cloud: cloud_module.Cloud, now_s: float) -> float | None:
    """End what is due. Returns when the next thing is due, None when nothing is under way."""
    for eni in every(cloud):
        if eni.due_s is not None and eni.due_s <= now_s:
            _settle_status(cloud, eni, now_s)
    for eni in every(cloud):
        if eni.arriving and min(eni.arriving.values()) <= now_s:
            _settle_addresses(cloud, eni, now_s)
    dues = [
        due_s
        for eni in every(cloud)
        for due_s in (eni.due_s, *eni.arriving.values())
        if due_s is not None
    ]
    return min(dues, default=None)


def _settle_status(cloud: cloud_module.Cloud, eni: Eni, now_s: float) -> None:
    if eni.status == eni_model.DELETING:
        delete(cloud, eni)
        return
    if eni.status == eni_model.ATTACHING:
        ended = dataclasses.replace(eni, status=eni_model.IN_USE, due_s=None)
    else:
        ended = taken_away(eni)
    put(cloud, ended)
    if not fabric.settle(cloud, every(cloud)):
        put(cloud, dataclasses.replace(eni, due_s=now_s + _RETRY_S))


def _settle_addresses(cloud: cloud_module.Cloud, eni: Eni, now_s: float) -> None:
    """Addresses that were assigned a while ago begin to work."""
    late = {ip: due_s for ip, due_s in eni.arriving.items() if due_s > now_s}
    put(cloud, dataclasses.replace(eni, arriving=late))
    if not fabric.settle(cloud, every(cloud)):
        again = dict.fromkeys(set(eni.arriving) - set(late), now_s + _RETRY_S)
        put(cloud, dataclasses.replace(eni, arriving={**late, **again}))
