"""What this node is: found once at start, remembered for starts without the cloud."""

import dataclasses
import ipaddress
import json
from collections.abc import Collection
from typing import Any, Protocol

from cloud import ecs_model, eni_model
from cloud import metadata as cloud_metadata
from core import errors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """eni_quantity: interfaces of the instance type, the primary one included.

    vswitch_id, security_group_ids, mac: of the primary interface; mac: "" when an older version
    remembered the rest.
    """

    instance_id: str
    instance_type: str
    zone_id: str
    node_ip: ipaddress.IPv4Address
    eni_quantity: int
    addresses_per_eni: int
    vswitch_id: str
    security_group_ids: tuple[str, ...]
    mac: str = ""


class InstanceApi(Protocol):
    """What we ask ECS about instances."""

    async def type(self, instance_type_id: str) -> ecs_model.InstanceType | None: ...


class EniFinder(Protocol):
    """What we ask ECS about interfaces."""

    async def find(self, *, instance_id: str = "") -> list[eni_model.Eni]: ...


async def read(
    metadata: cloud_metadata.Metadata, instances: InstanceApi, enis: EniFinder
) -> tuple[NodeFacts, list[eni_model.Eni]]:
    """Facts, and the interfaces attached to this instance. Raises Unavailable, Precondition."""
    instance_id = await metadata.get(cloud_metadata.Key.INSTANCE_ID)
    type_id = await metadata.get(cloud_metadata.Key.INSTANCE_TYPE)
    zone_id = await metadata.get(cloud_metadata.Key.ZONE_ID)
    kind = await instances.type(type_id)
    if kind is None:
        raise errors.Precondition(f"ECS does not know the type {type_id} of this instance")
    attached = await enis.find(instance_id=instance_id)
    primary = next((eni for eni in attached if eni.type is eni_model.EniType.PRIMARY), None)
    if primary is None or not primary.ipv4:
        raise errors.Unavailable(f"ECS shows no primary interface of {instance_id} (yet)")
    facts = NodeFacts(
        instance_id=instance_id,
        instance_type=type_id,
        zone_id=zone_id,
        node_ip=primary.ipv4[0],
        eni_quantity=kind.eni_quantity,
        addresses_per_eni=kind.eni_ipv4_quantity,
        vswitch_id=primary.vswitch_id,
        security_group_ids=primary.security_group_ids,
        mac=primary.mac,
    )
    return facts, attached


def is_of_this_machine(
    remembered: NodeFacts,
    *,
    instance_id: str,
    link_macs: Collection[str],
    eni_macs: Collection[str],
) -> bool:
    """Whether facts that were remembered are about the machine we are on. Pure.

    A machine made from another's image, or with its name and files, has that one's state.
    instance_id: what a source of metadata tells, "" = none does. link_macs: of the machine's
    links. eni_macs: of the interfaces remembered with the facts. No two interfaces share a MAC.
    """
    if instance_id and instance_id != remembered.instance_id:
        return False
    own = {remembered.mac, *eni_macs} - {""}
    return not own.isdisjoint(link_macs)


def to_json(facts: NodeFacts) -> str:
    """For the database."""
    return json.dumps({**dataclasses.asdict(facts), "node_ip": str(facts.node_ip)})


def from_json(text: str) -> NodeFacts | None:
    """What `to_json` wrote; None for anything else."""
    try:
        plain: dict[str, Any] = json.loads(text)
        plain["node_ip"] = ipaddress.IPv4Address(plain["node_ip"])
        plain["security_group_ids"] = tuple(plain["security_group_ids"])
        return NodeFacts(**plain)
    except (ValueError, TypeError, KeyError):
        return None
