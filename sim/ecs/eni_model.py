"""Elastic network interfaces as rows. Their addresses: eni_addresses.py."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Self

KIND = "eni"
PRIMARY, SECONDARY, TRUNK, MEMBER = "Primary", "Secondary", "Trunk", "Member"
STANDARD, HIGH_PERFORMANCE = "Standard", "HighPerformance"
CREATING, AVAILABLE, ATTACHING, IN_USE = "Creating", "Available", "Attaching", "InUse"
DETACHING, DELETING = "Detaching", "Deleting"
PLUGGED = (IN_USE, DETACHING)
"""An interface is in its instance from the end of Attaching to the end of Detaching."""
_TUPLES = ("ips", "security_group_ids", "ipv6s", "ipv4_prefixes", "ipv6_prefixes")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Eni:
    """One interface.

    ips: private IPv4 addresses, the primary one first. ipv4_prefixes: blocks of 16 addresses
    ("10.0.0.16/28"), ipv6_prefixes: /80 blocks. due_s: end of a status that passes, on the
    simulated clock. instance_id: where it is, comes or goes; "" = nowhere. trunk_eni_id, vlan_id:
    of a member interface. arriving: addresses and prefixes that do not work yet → when they will.
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
    ipv6s: tuple[str, ...] = ()
    ipv4_prefixes: tuple[str, ...] = ()
    ipv6_prefixes: tuple[str, ...] = ()
    instance_id: str = ""
    trunk_eni_id: str = ""
    vlan_id: int = 0
    traffic_mode: str = STANDARD
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
        fields |= {name: tuple(row[name]) for name in _TUPLES if name in row}
        return cls(**fields)

    def working(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Those of its addresses or prefixes that the network delivers, in their order."""
        return tuple(text for text in texts if text not in self.arriving)

    @property
    def ipv4_count(self) -> int:
        """What counts against eni_private_ip_quantity: a prefix is as one address."""
        return len(self.ips) + len(self.ipv4_prefixes)

    @property
    def ipv6_count(self) -> int:
        """What counts against eni_ipv6_quantity: a prefix is as one address."""
        return len(self.ipv6s) + len(self.ipv6_prefixes)

    def row(self) -> dict[str, Any]:
        """JSON object for the store."""
        return dataclasses.asdict(self)
