"""Elastic network interfaces and vSwitches as plain values; no API spelling here."""

import dataclasses
import datetime
import enum
import ipaddress
from collections.abc import Mapping


class EniStatus(enum.StrEnum):
    """Field Status of DescribeNetworkInterfaces."""

    CREATING = "Creating"
    AVAILABLE = "Available"
    ATTACHING = "Attaching"
    IN_USE = "InUse"
    DETACHING = "Detaching"
    DELETING = "Deleting"
    UNKNOWN = "Unknown"


class EniType(enum.StrEnum):
    """Field Type of DescribeNetworkInterfaces."""

    PRIMARY = "Primary"
    SECONDARY = "Secondary"
    TRUNK = "Trunk"
    MEMBER = "Member"
    UNKNOWN = "Unknown"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Eni:
    """An elastic network interface.

    mac: lower case. ipv4: all of its private addresses, the primary one first. instance_id: ""
    when it is attached nowhere.
    """

    eni_id: str
    mac: str
    status: EniStatus
    type: EniType
    vswitch_id: str = ""
    zone_id: str = ""
    instance_id: str = ""
    ipv4: tuple[ipaddress.IPv4Address, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    high_performance: bool = False
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    creation_time: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewEni:
    """Input of CreateNetworkInterface. ipv4_count: addresses in all, the primary one included."""

    vswitch_id: str
    security_group_ids: tuple[str, ...]
    ipv4_count: int
    tags: Mapping[str, str]
    resource_group_id: str = ""
    description: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VSwitch:
    """A subnet of a VPC. free_addresses: what the cloud can still hand out of it."""

    vswitch_id: str
    zone_id: str
    cidr_block: ipaddress.IPv4Network
    free_addresses: int

    @property
    def gateway(self) -> ipaddress.IPv4Address:
        """Third address from the end of the block. Source: spec/terway.md 2.1."""
        return self.cidr_block[-3]
