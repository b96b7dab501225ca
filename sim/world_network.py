"""The world's sections about the network: what their fields are."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vpc:
    """A virtual private cloud."""

    vpc_id: str
    cidr_block: str
    name: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VSwitch:
    """A subnet of a VPC in one zone.

    available_limit: most addresses in use, so that it can run dry; -1 = as many as the block has.
    """

    vswitch_id: str
    vpc_id: str
    zone_id: str
    cidr_block: str
    name: str = ""
    available_limit: int = -1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """A security group of a VPC."""

    security_group_id: str
    vpc_id: str
    name: str = ""
