"""Interfaces in the store: reading, writing, their addresses, and what happens by itself."""

import dataclasses
from collections.abc import Collection, Iterable

import structlog

from sim import actions, errors
from sim import cloud as cloud_module
from sim import world as world_module
from sim.ecs import eni_addresses, eni_model, fabric
from sim.ecs.eni_model import Eni

log = structlog.get_logger()

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
    """*eni* as it is once somebody has detached it; a member is Secondary again."""
    return dataclasses.replace(
        eni,
        type=eni_model.SECONDARY if eni.type == eni_model.MEMBER else eni.type,
        status=eni_model.AVAILABLE,
        instance_id="",
        trunk_eni_id="",
        vlan_id=0,
        due_s=None,
    )


def without(eni: Eni, gone: Collection[str]) -> Eni:
    """*eni* without these addresses and prefixes."""

    def left(texts: Iterable[str]) -> tuple[str, ...]:
        return tuple(text for text in texts if text not in gone)

    return dataclasses.replace(
        eni,
        ips=left(eni.ips),
        ipv6s=left(eni.ipv6s),
        ipv4_prefixes=left(eni.ipv4_prefixes),
        ipv6_prefixes=left(eni.ipv6_prefixes),
        arriving={text: due_s for text, due_s in eni.arriving.items() if text not in gone},
    )


def on_instance(cloud: cloud_module.Cloud, instance_id: str) -> list[Eni]:
    """Interfaces of an instance, coming and going ones included, the primary one first."""
    rows = cloud.store.by(eni_model.KIND, "instance_id", instance_id)
    return primary_first(Eni.from_row(row) for row in rows)


def primary_first(rows: Iterable[Eni]) -> list[Eni]:
    """The same interfaces, Primary ones before others."""
    return sorted(rows, key=lambda eni: eni.type != eni_model.PRIMARY)


def delete(cloud: cloud_module.Cloud, eni: Eni) -> None:
    """The interface is no more; its addresses are free."""
    cloud.store.delete(eni_model.KIND, eni.eni_id)
    gone = (*eni.ips, *eni.ipv6s, *eni.ipv4_prefixes, *eni.ipv6_prefixes)
    eni_addresses.forget(cloud, eni.vswitch_id, gone)


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
        cloud.network.sync(fabric.wanted(cloud, every(cloud)))


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
