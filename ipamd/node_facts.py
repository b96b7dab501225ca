"""What this node is: found once at start, remembered for starts without the cloud."""

import dataclasses
import ipaddress
import json
from typing import Any, Protocol

from cloud import ecs_model, eni_model
from cloud import metadata as cloud_metadata
from core import errors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """eni_quantity: interfaces of the instance type, the primary one included.

    vswitch_id, security_group_ids: of the primary interface.
    """

    instance_id: str
    instance_type: str
    zone_id: str
    node_ip: ipaddress.IPv4Address
    eni_quantity: int
    addresses_per_eni: int
    vswitch_id: str
    security_group_ids: tuple[str, ...]


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
    )
    return facts, attached


def recall(text: str, instance_id: str) -> NodeFacts | None:
    """What `to_json` wrote about this node; None for anything else. instance_id: "" = not known.

    The machine may have been made of another one's image, with that one's files on it.
    """
    found = from_json(text)
    return None if found is None or instance_id not in ("", found.instance_id) else found


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
