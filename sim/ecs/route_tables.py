"""The custom routes a VPC has now: those of the world until a call changes them.

A VPC has one route table. A row holds all its custom entries and stands for the world's. Not
here: requests and answers (sim/vpc_routes.py).
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

from sim import world as world_module
from sim.ecs import group_rules
from sim.hardware import network_api

KIND = "route_table"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A custom entry: traffic to cidr_block goes to an interface, or to an instance's primary one.

    eni_id, instance_id: the next hop, one of both.
    """

    cidr_block: str
    eni_id: str = ""
    instance_id: str = ""
    name: str = ""
    description: str = ""

    @property
    def next_hop_id(self) -> str:
        """The one that is set."""
        return self.eni_id or self.instance_id

    def entry_id(self, vpc_id: str) -> str:
        """`rte-…`: the same for the same entry of a table, which has each destination once."""
        text = f"{vpc_id} {self.cidr_block} {self.next_hop_id}"
        return f"rte-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def table_id(vpc_id: str) -> str:
    """Id of the VPC's route table."""
    return f"vtb-{vpc_id.removeprefix('vpc-')}"


def entries_of(reader: group_rules.Reader, vpc: world_module.Vpc) -> tuple[Entry, ...]:
    """Custom entries of *vpc*, oldest first."""
    row = reader.get(KIND, vpc.vpc_id)
    if row is None:
        return tuple(Entry(**dataclasses.asdict(route)) for route in vpc.routes)
    return tuple(Entry(**each) for each in row["entries"])


def every(reader: group_rules.Reader, world: world_module.World) -> tuple[network_api.Route, ...]:
    """Custom entries of all VPCs as the network takes them."""
    primary = {row.instance_id: row.eni_id for row in world.instances}
    return tuple(
        network_api.Route(vpc_id=vpc.vpc_id, cidr_block=each.cidr_block, eni_id=eni_id)
        for vpc in world.vpcs
        for each in entries_of(reader, vpc)
        if (eni_id := each.eni_id or primary.get(each.instance_id, ""))
    )


def row(entries: Sequence[Entry]) -> dict[str, Any]:
    """JSON object for the store."""
    return {"entries": [dataclasses.asdict(each) for each in entries]}
