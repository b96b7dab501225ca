"""What the simulated VPC asks of the machine: network interfaces, and a fabric between them.

Implementation: network.py; none when not wanted. Not here: any cloud rule. The caller says what the
whole network must look like; the fabric finds what has to change.
"""

import dataclasses
from collections.abc import Mapping
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One interface that is plugged into an instance.

    mac: lower case. addresses: all IPv4 addresses the VPC delivers to it, the primary one first.
    prefix_length: of the vSwitch's block.
    """

    eni_id: str
    mac: str
    instance_id: str
    primary: bool
    addresses: tuple[str, ...]
    gateway: str
    prefix_length: int
    source_dest_check: bool
    vpc_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """The whole network as it must be. instances: id → name of the node."""

    instances: Mapping[str, str]
    ports: tuple[Port, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drops:
    """Packets the fabric refused since it was made.

    spoofed: the source is no address of the port, or the frame not from its MAC. unassigned: no
    port has the destination.
    """

    spoofed: int
    unassigned: int


class Network(Protocol):
    """Interfaces and fabric of one state directory. Every method raises api.HardwareError."""

    def sync(self, fabric: Fabric) -> None:
        """Make the machine's network equal to *fabric*; again changes nothing."""

    def drops(self) -> Drops:
        """What was refused so far."""

    def release(self) -> None:
        """Remove every namespace and interface of this fabric."""
