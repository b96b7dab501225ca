"""What the simulated VPC asks of the machine: network interfaces, and a fabric between them.

Implementation: sim/hardware/network/; none when not wanted. Not here: any cloud rule. The caller
says what the whole network must look like; the fabric finds what has to change.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal, Protocol


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One interface that is plugged into an instance.

    mac: lower case. addresses: all IPv4 and IPv6 addresses the VPC delivers to it, the primary one
    first, as text without mask. prefixes: delegated blocks ("10.0.0.16/28"). gateway, ipv6_gateway:
    "" = none. prefix_length: of the vSwitch's IPv4 block. vlan_id: of a member interface, which is
    reached through trunk_eni_id with that tag; 0 = no member. security_group_ids: () = nothing is
    filtered.
    """

    eni_id: str
    mac: str
    instance_id: str
    primary: bool
    addresses: tuple[str, ...]
    prefixes: tuple[str, ...] = ()
    gateway: str
    prefix_length: int
    source_dest_check: bool
    vpc_id: str
    ipv6_gateway: str = ""
    security_group_ids: tuple[str, ...] = ()
    trunk_eni_id: str = ""
    vlan_id: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One security group rule. cidr_block: the other side; "" when source_group_id names it.

    source_group_id names the other side of egress rules too. icmp: of IPv4 and IPv6. port_from,
    port_to: -1 = any. Lower priority numbers win; drop wins over accept at the same number.
    """

    direction: Literal["ingress", "egress"]
    protocol: Literal["all", "tcp", "udp", "icmp", "gre"] = "all"
    cidr_block: str = ""
    source_group_id: str = ""
    port_from: int = -1
    port_to: int = -1
    policy: Literal["accept", "drop"] = "accept"
    priority: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A custom entry of a VPC's route table: traffic to cidr_block goes to that interface."""

    vpc_id: str
    cidr_block: str
    eni_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """The whole network as it must be now.

    instances: instance id → short name of the node, which names its namespace. security_groups:
    id → rules. vpc_cidrs: vpc id → its blocks.
    """

    instances: Mapping[str, str]
    ports: tuple[Port, ...]
    security_groups: Mapping[str, tuple[Rule, ...]] = dataclasses.field(default_factory=dict)
    vpc_cidrs: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    routes: tuple[Route, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drops:
    """Packets the fabric refused since it was made, by reason.

    spoofed: source not an address of the port. unassigned: no port has the destination.
    security_group: not allowed by the groups of either side. foreign_mac: the frame's source is not
    the port's MAC.
    """

    spoofed: int
    unassigned: int
    security_group: int = 0
    foreign_mac: int = 0


class Network(Protocol):
    """Interfaces and fabric of one state directory. Every method raises api.HardwareError."""

    def sync(self, fabric: Fabric) -> None:
        """Make the machine's network equal to *fabric*; again changes nothing."""

    def drops(self) -> Drops:
        """What was refused so far."""

    def release(self) -> None:
        """Remove every namespace and interface of this state directory."""
