"""What a datapath is asked for and what it answers: pure data."""

import dataclasses
import ipaddress
import pathlib
from typing import Literal

from core import errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
DEFAULT = ipaddress.IPv4Network("0.0.0.0/0")
DEFAULT_V6 = ipaddress.IPv6Network("::/0")

PRIORITY_TO_POD = 512
PRIORITY_FROM_POD = 2048
"""Of the rules that are ours. Source: spec/terway.md 4.0."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Eni:
    """An interface of this node, as the datapath needs it."""

    mac: str
    gateway: ipaddress.IPv4Address
    ipv6_gateway: ipaddress.IPv6Address | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EniLink:
    """An interface that is ready for pods. table: 1000 + index.

    kept_mtu: what its device goes on with, having refused the one we want; 0 = has that.
    """

    mac: str
    ifname: str
    index: int
    table: int
    kept_mtu: int = dataclasses.field(default=0, compare=False)


class EniGone(errors.Unavailable):
    """The kernel does not have an ENI any more, or has another link in its place."""

    def __init__(self, eni: EniLink) -> None:
        super().__init__(f"interface {eni.ifname} ({eni.mac}) is not on this node any more")


class NetnsGone(errors.Error):
    """The pod's network namespace is not there."""

    kind = errors.Kind.INVALID

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(f"CNI_NETNS {str(path)!r} is not a network namespace")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """Limits; rate 0 = unlimited. Burst 0 = the default. Ingress is what the pod receives."""

    ingress_bytes_per_s: int = 0
    ingress_burst_bytes: int = 0
    egress_bytes_per_s: int = 0
    egress_burst_bytes: int = 0


UNLIMITED = Bandwidth()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """One pod interface. alias: the attachment's mark, kept on the host's link, ≤ 255 bytes."""

    alias: str
    netns_path: pathlib.Path
    ifname: str
    host_ifname: str
    ipv4: ipaddress.IPv4Address
    gateway: ipaddress.IPv4Address
    eni: EniLink
    ipv6: ipaddress.IPv6Address | None = None
    ipv6_gateway: ipaddress.IPv6Address | None = None
    mtu: int = 1500
    bandwidth: Bandwidth = UNLIMITED
    extra_routes: tuple[ipaddress.IPv4Network, ...] = ()
    default_route: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unwiring:
    """What is known of a pod's interface when it goes: also where its ENI went before.

    netns_path: None where it is not known. The others are as in `Wiring`.
    """

    alias: str
    netns_path: pathlib.Path | None
    ifname: str
    host_ifname: str
    addresses: tuple[Address, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MadeLink:
    """A link that was made."""

    ifname: str
    index: int
    mac: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PodAddress:
    """An address in the pod. gateway: its next hop, as the pod sees it."""

    interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface
    gateway: Address


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PodRoute:
    """A route in the pod."""

    network: Network
    gateway: Address


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """What was made: what the result of ADD says, too. host, pod: the ends."""

    host: MadeLink
    pod: MadeLink
    addresses: tuple[PodAddress, ...]
    routes: tuple[PodRoute, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it was made."""

    where: Literal["node", "pod"]
    what: str
    expected: str
    found: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostLink:
    """A veth of the node whose name starts with "cali"."""

    ifname: str
    index: int
    alias: str
    up: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostRule:
    """A rule of one of our priorities."""

    priority: int
    address: Address
    table: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostRoute:
    """A host route of the main table over a "cali" link."""

    address: Address
    index: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """An address that a pod's link has. table: of the ENI its traffic goes by, 0 = no rule says."""

    link: HostLink
    address: Address
    table: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """What the node carries."""

    links: tuple[HostLink, ...]
    rules: tuple[HostRule, ...]
    routes: tuple[HostRoute, ...]

    def uses(self) -> list[Use]:
        """Who uses which address: a route to it over a link says so."""
        links = {link.index: link for link in self.links}
        tables = {
            rule.address: rule.table for rule in self.rules if rule.priority == PRIORITY_FROM_POD
        }
        return [
            Use(
                link=links[route.index],
                address=route.address,
                table=tables.get(route.address, 0),
            )
            for route in self.routes
            if route.index in links
        ]
