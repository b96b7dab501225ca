"""Elastic network interfaces as rows, and the pure rules of their addresses."""

import dataclasses
import ipaddress
from collections.abc import Collection, Mapping
from typing import Any, Self

KIND = "eni"
PRIMARY, SECONDARY, TRUNK = "Primary", "Secondary", "Trunk"
CREATING, AVAILABLE, ATTACHING, IN_USE = "Creating", "Available", "Attaching", "InUse"
DETACHING, DELETING = "Detaching", "Deleting"
PLUGGED = (IN_USE, DETACHING)
"""An interface is in its instance from the end of Attaching to the end of Detaching."""
_RESERVED_AT_END = 3
"""The gateway and the two last addresses of a block. Source: VPC documentation, "vSwitch"."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Eni:
    """One interface.

    ips: private IPv4 addresses, the primary one first. due_s: end of a status that passes, on the
    simulated clock. instance_id: where it is, comes or goes; "" = nowhere. arriving: those of
    ips that do not work yet → when they will.
    """

    eni_id: str
    mac: str
    type: str
    status: str
    vswitch_id: str
    vpc_id: str
    zone_id: str
    ips: tuple[str, ...]
    security_group_ids: tuple[str, ...]
    creation_time: str
    instance_id: str = ""
    name: str = ""
    description: str = ""
    resource_group_id: str = ""
    source_dest_check: bool = True
    delete_on_release: bool = True
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    due_s: float | None = None
    arriving: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Inverse of row()."""
        fields = {name: row[name] for name in row if name in cls.__dataclass_fields__}
        fields["ips"] = tuple(row["ips"])
        fields["security_group_ids"] = tuple(row["security_group_ids"])
        return cls(**fields)

    @property
    def working_ips(self) -> tuple[str, ...]:
        """Addresses that the network delivers, the primary one first."""
        return tuple(ip for ip in self.ips if ip not in self.arriving)

    def row(self) -> dict[str, Any]:
        """JSON object for the store."""
        return dataclasses.asdict(self)


def usable(cidr_block: str) -> list[str]:
    """Addresses of a vSwitch that can be handed out, in order."""
    block = ipaddress.IPv4Network(cidr_block)
    count = block.num_addresses - 1 - _RESERVED_AT_END
    return [str(block[n]) for n in range(1, count + 1)]


def choose(free: Collection[str], freed: Mapping[str, float], count: int) -> list[str]:
    """*count* of *free*: those never used first, then those that were freed longest ago."""
    ordered = sorted(free, key=lambda ip: (freed.get(ip, 0.0), ipaddress.IPv4Address(ip)))
    return ordered[:count]
