"""What ipamd knows, as plain values: attachments, leases, addresses and interfaces of the pool."""

import dataclasses
import enum
import ipaddress
from collections.abc import Mapping

from ipamd.datapath import model as datapath_model

ADOPTED = ".terway"
"""Network of leases found in the kernel under links without our mark: pods of a stock Terway. No
network configuration can have this name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class AttachmentKey:
    """What CNI identifies an attachment by. Source: CNI specification, "Attachment parameters"."""

    network: str
    container_id: str
    ifname: str

    def __str__(self) -> str:
        return f"{self.network}/{self.container_id}/{self.ifname}"

    @classmethod
    def parse(cls, text: str) -> "AttachmentKey | None":
        """The key that was written as *text*, None when it is none of ours."""
        parts = text.split("/")
        if len(parts) != len(dataclasses.fields(cls)) or not all(parts):
            return None
        network, container_id, ifname = parts
        return cls(network=network, container_id=container_id, ifname=ifname)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """The pod behind a container; "" where the runtime does not tell."""

    namespace: str = ""
    name: str = ""
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.name else ""


NO_POD = Pod()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whom an address is kept for: an interface of the pod of that name, whichever its uid."""

    namespace: str
    name: str
    ifname: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A released address that waits for its pod's successor for *keep_s* seconds."""

    holder: Holder
    keep_s: float


class Owner(enum.StrEnum):
    """Who programs the kernel for a lease."""

    DAEMON = "daemon"
    CALLER = "caller"  # the stock CNI executable, over rpc.TerwayBackend


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An address that an attachment has.

    netns: path, "" when not known. mtu, bandwidth: what ADD was asked for. created_at: seconds
    since 1970. keep_s: how long the address is kept for the pod's successor, 0 = not.
    learned: whether what the pod asks for was known; False = it is still to be looked up.
    """

    key: AttachmentKey
    ipv4: ipaddress.IPv4Address
    eni_id: str
    host_ifname: str
    created_at: float
    pod: Pod = NO_POD
    netns: str = ""
    mtu: int = 1500
    bandwidth: datapath_model.Bandwidth = datapath_model.UNLIMITED
    owner: Owner = Owner.DAEMON
    keep_s: float = 0.0
    learned: bool = True

    @property
    def alias(self) -> str:
        """The mark its link carries, "" when a stock Terway made the link."""
        return "" if self.key.network == ADOPTED else str(self.key)

    @property
    def holder(self) -> Holder | None:
        """For whom the address would be kept; None where the pod is not known."""
        return holder_of(self.pod, self.key)

    @property
    def kept(self) -> Kept | None:
        """How the address waits when the lease ends; None when it does not."""
        holder = self.holder
        return (
            None if not self.keep_s or holder is None else Kept(holder=holder, keep_s=self.keep_s)
        )


def holder_of(pod: Pod, key: AttachmentKey) -> Holder | None:
    """The holder that the attachment of *pod* is, None without a pod."""
    if not pod.name:
        return None
    return Holder(namespace=pod.namespace, name=pod.name, ifname=key.ifname)


class AddressState(enum.StrEnum):
    """Where an address of the pool stands."""

    WARM = "warm"  # free and ready
    COOLING = "cooling"  # released, not yet reusable
    RESERVED = "reserved"  # released, kept for the successor of its pod
    LEASED = "leased"
    RELEASING = "releasing"  # being given back to the cloud
    MISSING = "missing"  # the cloud does not have it any more, but a lease does


@dataclasses.dataclass(slots=True, kw_only=True)
class Address:
    """One address of an interface. since_s: when it entered its state, seconds since 1970.

    kept: for whom, when it is reserved.
    """

    ipv4: ipaddress.IPv4Address
    state: AddressState
    since_s: float
    key: AttachmentKey | None = None
    unseen: int = 0
    """How often in a row the metadata service did not list it."""
    kept: Kept | None = None


class EniState(enum.StrEnum):
    """Where an interface of the pool stands."""

    IN_USE = "InUse"
    DRAINING = "Draining"  # takes no new leases
    DELETING = "Deleting"


@dataclasses.dataclass(slots=True, kw_only=True)
class PoolEni:
    """An interface whose addresses pods get.

    cidr_block: of its vSwitch, None where nobody told. primary: its own first address, which
    cannot be given back alone. link: None until the kernel has it. busy: a cloud call about it
    is under way. ours: made by us or by Terway: only such interfaces, and addresses of them,
    are ever given back. assigning: addresses that call will bring. full: the cloud refused more,
    whatever we count; until the next comparison.
    """

    eni_id: str
    mac: str
    vswitch_id: str
    gateway: ipaddress.IPv4Address
    primary: ipaddress.IPv4Address
    created_at: float
    cidr_block: ipaddress.IPv4Network | None = None
    state: EniState = EniState.IN_USE
    link: datapath_model.EniLink | None = None
    addresses: dict[ipaddress.IPv4Address, Address] = dataclasses.field(default_factory=dict)
    busy: bool = False
    ours: bool = True
    assigning: int = 0
    full: bool = False
    unseen: int = 0

    @property
    def is_usable(self) -> bool:
        """Whether pods may get addresses of it: those of one without a link lead nowhere."""
        return self.state is EniState.IN_USE and self.link is not None

    @property
    def has_place(self) -> bool:
        """Whether it counts on the node: not one taken away, though pods still have addresses."""
        return self.state is not EniState.DRAINING or self.link is not None

    def count(self, state: AddressState) -> int:
        """How many of its addresses are in *state*."""
        return sum(1 for address in self.addresses.values() if address.state is state)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EniRecord:
    """What is stored of an interface, to start without the metadata service."""

    eni_id: str
    mac: str
    vswitch_id: str
    gateway: ipaddress.IPv4Address
    primary: ipaddress.IPv4Address
    created_at: float
    addresses: tuple[ipaddress.IPv4Address, ...]
    cidr_block: ipaddress.IPv4Network | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredState:
    """All that a restart starts from. released_at: when cooling addresses were released.

    facts: what was remembered about the node, by name. kept: released addresses that wait for a
    pod's successor.
    """

    enis: tuple[EniRecord, ...] = ()
    leases: tuple[Lease, ...] = ()
    released_at: Mapping[ipaddress.IPv4Address, float] = dataclasses.field(default_factory=dict)
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    kept: Mapping[ipaddress.IPv4Address, tuple[Kept, float]] = dataclasses.field(
        default_factory=dict
    )
