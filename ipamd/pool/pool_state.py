"""The addresses of the node and who has them: all in memory, no I/O, one event loop.

The rules that no event may break: an address has at most one lease; a lease has exactly one
address; a released address is not given out before its cool-down has passed, and one that is kept
for a pod's successor to nobody else while it is.
"""

import ipaddress
import math
from collections.abc import Iterator

from core import errors
from ipamd import model
from ipamd.model import AddressState, EniState

_DOUBTED_S = 1e12
"""More than any time that an address was idle."""


class PoolState:
    """Interfaces by id. cool_down_s: seconds a released address rests."""

    def __init__(self, *, cool_down_s: float) -> None:
        self.enis: dict[str, model.PoolEni] = {}
        self._cool_down_s = cool_down_s
        self._leased: dict[model.AttachmentKey, tuple[str, ipaddress.IPv4Address]] = {}
        self._kept: dict[model.Holder, tuple[str, ipaddress.IPv4Address]] = {}

    def clear(self) -> None:
        """Forget everything, to start the recovery anew."""
        self.enis.clear()
        self._leased.clear()
        self._kept.clear()

    def add_eni(self, eni: model.PoolEni) -> None:
        """Take an interface with its addresses into the pool."""
        self.enis[eni.eni_id] = eni
        for address in eni.addresses.values():
            if address.key is not None:
                self._leased[address.key] = (eni.eni_id, address.ipv4)
        self.take_over(eni)

    def take_over(self, eni: model.PoolEni) -> None:
        """What another interface had of the addresses of *eni* is here now, with who holds it.

        The cloud has an address on one interface. One that somebody took away may come again with
        the next call for another interface: its pod has it all the same, and nobody else may.
        """
        for other in self.enis.values():
            if other is eni:
                continue
            for ipv4 in eni.addresses.keys() & other.addresses.keys():
                new, old = eni.addresses[ipv4], other.addresses[ipv4]
                # *eni* may be the one that loses it: it gives it back, or was not listed with it.
                if new.state is AddressState.RELEASING or new.unseen > 0:
                    continue
                # One that is being given back is dropped there when that call ends.
                if old.state is not AddressState.RELEASING and new.key is None:
                    del other.addresses[ipv4]
                    self._put(eni, old)

    def remove_eni(self, eni_id: str) -> model.PoolEni | None:
        """Drop an interface and every lease on it."""
        eni = self.enis.pop(eni_id, None)
        for address in eni.addresses.values() if eni else ():
            if address.key is not None:
                self._leased.pop(address.key, None)
        return eni

    def add_addresses(
        self, eni_id: str, addresses: tuple[ipaddress.IPv4Address, ...], now_s: float
    ) -> None:
        """Take addresses into the pool as warm; those that are there stay as they are."""
        eni = self.enis[eni_id]
        for ipv4 in addresses:
            eni.addresses.setdefault(
                ipv4, model.Address(ipv4=ipv4, state=AddressState.WARM, since_s=now_s)
            )
        self.take_over(eni)

    def find(self, key: model.AttachmentKey) -> tuple[model.PoolEni, model.Address] | None:
        """The address that *key* has."""
        place = self._leased.get(key)
        if place is None:
            return None
        eni = self.enis[place[0]]
        return eni, eni.addresses[place[1]]

    def allocate(
        self, key: model.AttachmentKey, now_s: float
    ) -> tuple[model.PoolEni, model.Address] | None:
        """Lease the free address that was idle longest; the same again for the same *key*.

        One that the metadata service did not list at the last look is given last: it may be
        somebody else's by now. None when no address is warm, nor has cooled down.
        """
        found = self.find(key)
        if found is not None:
            return found
        best: tuple[model.PoolEni, model.Address] | None = None
        best_s = math.inf
        # Every ADD looks at all addresses of the node: 0.05 ms for 600, so little is done for each.
        warm, cooling, cool_before_s = AddressState.WARM, AddressState.COOLING, self._cooled(now_s)
        for eni in self.enis.values():
            if eni.state is not EniState.IN_USE or eni.link is None:
                continue
            for address in eni.addresses.values():
                order_s = address.since_s if address.unseen <= 0 else address.since_s + _DOUBTED_S
                if order_s < best_s and (
                    address.state is warm
                    or (address.state is cooling and address.since_s <= cool_before_s)
                ):
                    best, best_s = (eni, address), order_s
        if best is None:
            self.warm_up(now_s)  # which sees a clock that went back
        else:
            self._lease(best[0], best[1], key, now_s)
        return best

    def restore(
        self, key: model.AttachmentKey, ipv4: ipaddress.IPv4Address, eni_id: str, now_s: float
    ) -> None:
        """Lease a certain address, as a record of an earlier run says.

        An address the interface does not have (any more) is kept as missing: the pod uses it.
        Raises Exists when somebody else has it.
        """
        eni = self.enis[eni_id]
        address = eni.addresses.get(ipv4)
        if address is None:
            address = model.Address(ipv4=ipv4, state=AddressState.MISSING, since_s=now_s)
            eni.addresses[ipv4] = address
        if address.key not in (None, key):
            raise errors.Exists(f"{ipv4} belongs to {address.key} already, not to {key}")
        missing = address.state is AddressState.MISSING
        self._lease(eni, address, key, now_s)
        if missing:
            address.state = AddressState.MISSING

    def take_kept(
        self, holder: model.Holder, key: model.AttachmentKey, now_s: float
    ) -> tuple[model.PoolEni, model.Address, model.Kept] | None:
        """Lease the address that is kept for *holder*; None when none is, or it cannot be used."""
        if key in self._leased:
            return None
        place = self._kept.pop(holder, None)
        if place is None:
            return None
        eni = self.enis.get(place[0])
        address = eni.addresses.get(place[1]) if eni is not None else None
        if eni is None or address is None or address.kept is None:
            return None
        if address.kept.holder != holder or address.state is not AddressState.RESERVED:
            return None
        kept = address.kept
        if eni.state is not EniState.IN_USE or eni.link is None:
            self._kept[holder] = place
            return None
        self._lease(eni, address, key, now_s)
        return eni, address, kept

    def release(
        self, key: model.AttachmentKey, now_s: float, kept: model.Kept | None = None
    ) -> ipaddress.IPv4Address | None:
        """Let the address of *key* cool down, or keep it; None when it has none."""
        place = self._leased.pop(key, None)
        if place is None:
            return None
        eni = self.enis[place[0]]
        address = eni.addresses[place[1]]
        address.key = None
        if address.state is AddressState.MISSING:
            del eni.addresses[address.ipv4]
        else:
            address.state, address.since_s = AddressState.COOLING, now_s
            if kept is not None:
                self._keep(eni, address, kept)
        return place[1]

    def keep(
        self, ipv4: ipaddress.IPv4Address, kept: model.Kept, released_at: float, now_s: float
    ) -> None:
        """Go on keeping an address that an earlier run kept; one that is in use stays so."""
        for eni in self.enis.values():
            address = eni.addresses.get(ipv4)
            if address is not None and address.state in (AddressState.WARM, AddressState.COOLING):
                address.since_s = min(released_at, now_s)
                self._keep(eni, address, kept)

    def cool(self, ipv4: ipaddress.IPv4Address, released_at: float, now_s: float) -> None:
        """Go on with a cool-down of an earlier run. A clock that went back starts it anew."""
        for eni in self.enis.values():
            address = eni.addresses.get(ipv4)
            if address is not None and address.state is AddressState.WARM:
                address.state = AddressState.COOLING
                address.since_s = min(released_at, now_s)

    def warm_up(self, now_s: float) -> list[ipaddress.IPv4Address]:
        """End the cool-downs that are over; those addresses. They are idle since their release."""
        warmed = []
        for _, address in self.addresses():
            if address.state is AddressState.RESERVED:
                self._end_keeping(address, now_s)
            if address.state is not AddressState.COOLING:
                continue
            address.since_s = min(address.since_s, now_s)
            if address.since_s <= self._cooled(now_s):
                address.state = AddressState.WARM
                warmed.append(address.ipv4)
        return warmed

    def next_warm_s(self, now_s: float) -> float | None:
        """Seconds until the next cool-down or keeping ends, None when nothing waits for that."""
        ends = [
            a.since_s + (a.kept.keep_s if a.kept is not None else self._cool_down_s)
            for _, a in self.addresses()
            if a.state in (AddressState.COOLING, AddressState.RESERVED)
        ]
        return max(0.0, min(ends) - now_s) if ends else None

    def addresses(self) -> Iterator[tuple[model.PoolEni, model.Address]]:
        """Every address with its interface."""
        for eni in self.enis.values():
            for address in eni.addresses.values():
                yield eni, address

    def count(self, state: AddressState) -> int:
        """How many addresses are in *state*."""
        return sum(eni.count(state) for eni in self.enis.values())

    def free(self) -> int:
        """How many addresses the next pods could have: warm ones of interfaces with a link."""
        return sum(eni.count(AddressState.WARM) for eni in self.enis.values() if eni.is_usable)

    def total(self) -> int:
        """How many addresses the node has, free or not."""
        return sum(len(eni.addresses) for eni in self.enis.values() if eni.has_place)

    def _put(self, eni: model.PoolEni, address: model.Address) -> None:
        """Let *address*, of another interface till now, be one of *eni*."""
        if address.state is AddressState.MISSING:
            address.state = AddressState.LEASED
        address.unseen = 0
        eni.addresses[address.ipv4] = address
        place = (eni.eni_id, address.ipv4)
        if address.key is not None:
            self._leased[address.key] = place
        if address.kept is not None:
            self._kept[address.kept.holder] = place

    def _keep(self, eni: model.PoolEni, address: model.Address, kept: model.Kept) -> None:
        address.state, address.kept = AddressState.RESERVED, kept
        before = self._kept.get(kept.holder)
        self._kept[kept.holder] = (eni.eni_id, address.ipv4)
        # One pod, one address: what was kept for it before, it did not come back for.
        older = self.enis.get(before[0]) if before is not None else None
        if before is not None and older is not None and before[1] != address.ipv4:
            other = older.addresses.get(before[1])
            if other is not None and other.kept == kept:
                other.state, other.kept = AddressState.COOLING, None

    def _end_keeping(self, address: model.Address, now_s: float) -> None:
        """Let an address go whose time is up. A clock that went back starts it anew."""
        address.since_s = min(address.since_s, now_s)
        if address.kept is None or now_s < address.since_s + address.kept.keep_s:
            return
        place = self._kept.get(address.kept.holder)
        if place is not None and place[1] == address.ipv4:
            del self._kept[address.kept.holder]
        address.state, address.kept = AddressState.COOLING, None

    def _cooled(self, now_s: float) -> float:
        """What was released until then has cooled down by *now_s*."""
        return now_s - self._cool_down_s

    def _lease(
        self, eni: model.PoolEni, address: model.Address, key: model.AttachmentKey, now_s: float
    ) -> None:
        address.state, address.key, address.since_s = AddressState.LEASED, key, now_s
        address.kept = None
        self._leased[key] = (eni.eni_id, address.ipv4)
