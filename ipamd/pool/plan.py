"""What to do about the pool: a pure function from what is to what shall be done.

Grow at once, shrink seldom. Cooling addresses are neither free nor a reason to grow beyond what
waits (AWS VPC CNI issue 2896: counting them as free starves pods; counting them as used grows for
nothing at every redeploy).
"""

import dataclasses
import ipaddress
from collections.abc import Collection, Sequence

from ipamd import model
from ipamd.model import AddressState, EniState
from ipamd.pool import limits

ASSIGN_MAX = 49
"""Most addresses one cloud call brings. Source: `cloud.ecs_eni.ASSIGN_MAX`."""
_YOUNG_S = 60.0
"""An interface younger than this is never deleted. Source: spec/terway.md 12.1."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CreateEni:
    """Make and attach an interface with *count* addresses."""

    count: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """Add *count* addresses to an interface."""

    eni_id: str
    count: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unassign:
    """Give addresses of an interface back."""

    eni_id: str
    addresses: tuple[ipaddress.IPv4Address, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeleteEni:
    """Detach and delete an interface nobody uses."""

    eni_id: str


Action = CreateEni | Assign | Unassign | DeleteEni


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """waiting: ADDs without an address. creating: addresses of each interface being made."""

    waiting: int
    creating: tuple[int, ...] = ()


def plan_growth(
    enis: Sequence[model.PoolEni],
    demand: Demand,
    targets: limits.Targets,
    *,
    pack: bool = True,
    dry_vswitch_ids: Collection[str] = (),
    links_expected: bool = False,
) -> list[Action]:
    """Calls that bring what is short. pack: fill the fullest interface first, else the emptiest.

    dry_vswitch_ids: vSwitches without free addresses; their interfaces are not asked for more.
    links_expected: interfaces without a link will have one in a moment, and then their addresses
    are free.
    """
    enis = [eni for eni in enis if eni.has_place]
    free = sum(eni.count(AddressState.WARM) for eni in enis if eni.is_usable)
    total = sum(len(eni.addresses) for eni in enis)
    coming = sum(eni.assigning for eni in enis) + sum(demand.creating)
    late = [eni for eni in enis if links_expected and lacks_link(eni)]
    free_soon = sum(eni.count(AddressState.WARM) for eni in late)
    short = max(
        demand.waiting + targets.min_free - free - free_soon - coming,
        targets.minimum_total - total - coming,
    )
    short = min(short, targets.capacity - total - coming)
    actions: list[Action] = []
    usable = [
        eni
        for eni in enis
        if eni.is_usable and not eni.busy and not eni.full and eni.vswitch_id not in dry_vswitch_ids
    ]
    for eni in sorted(usable, key=lambda e: (len(e.addresses), e.eni_id), reverse=pack):
        room = targets.addresses_per_eni - len(eni.addresses)
        count = min(short, room, ASSIGN_MAX)
        if count > 0:
            actions.append(Assign(eni_id=eni.eni_id, count=count))
            short -= count
    # Interfaces at work can be asked for more once they are done: quicker than a new one.
    at_work = [eni for eni in enis if eni.busy or (links_expected and lacks_link(eni))]
    short -= _room_soon(at_work, demand, targets, dry_vswitch_ids)
    slots = targets.max_enis - len(enis) - len(demand.creating)
    while short > 0 and slots > 0:
        count = min(short, targets.addresses_per_eni, ASSIGN_MAX + 1)
        actions.append(CreateEni(count=count))
        short -= count
        slots -= 1
    return actions


def lacks_link(eni: model.PoolEni) -> bool:
    """Whether all that *eni* needs to be usable is its link."""
    return eni.state is EniState.IN_USE and eni.link is None


def _room_soon(
    at_work: Sequence[model.PoolEni],
    demand: Demand,
    targets: limits.Targets,
    dry_vswitch_ids: Collection[str],
) -> int:
    """Addresses that interfaces at work could still take after it, and those being made."""
    most = targets.addresses_per_eni
    rooms = (
        most - len(eni.addresses) - eni.assigning
        for eni in at_work
        if eni.state is EniState.IN_USE and eni.vswitch_id not in dry_vswitch_ids
    )
    return sum(rooms) + sum(most - count for count in demand.creating)


def plan_shrink(
    enis: Sequence[model.PoolEni],
    demand: Demand,
    targets: limits.Targets,
    *,
    now_s: float,
    extra: int = 0,
) -> list[Action]:
    """Calls that give back what is too much; [] while anybody waits.

    extra: addresses beyond that to give back, but never below the free minimum.

    Whole interfaces first, since those cost a slot; then single addresses of the emptiest one.
    """
    if demand.waiting or demand.creating:
        return []
    # As growth counts: what one of the two takes for free, the other must not miss.
    free = sum(eni.count(AddressState.WARM) for eni in enis if eni.is_usable)
    total = sum(len(eni.addresses) for eni in enis if eni.state is EniState.IN_USE)
    over = max(0, free - targets.max_free)
    over += min(extra, max(0, free - over - targets.min_free))
    over = min(over, total - targets.minimum_total)
    actions: list[Action] = []
    for eni in sorted(enis, key=lambda e: (e.count(AddressState.LEASED), len(e.addresses))):
        if over <= 0:
            break
        if eni.busy or not eni.ours or not eni.is_usable:
            continue
        warm = [a for a in eni.addresses.values() if a.state is AddressState.WARM]
        # One of a clock that was ahead is not young for as long as it was.
        old = not 0 <= now_s - eni.created_at < _YOUNG_S
        if len(warm) == len(eni.addresses) <= over and old:
            actions.append(DeleteEni(eni_id=eni.eni_id))
            over -= len(warm)
            continue
        # Those idle longest go last: they are the next to be leased, being long out of use.
        given = sorted(
            (a for a in warm if a.ipv4 != eni.primary), key=lambda a: a.since_s, reverse=True
        )[:over]
        if given:
            actions.append(Unassign(eni_id=eni.eni_id, addresses=tuple(a.ipv4 for a in given)))
            over -= len(given)
    return actions
