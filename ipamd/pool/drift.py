"""Comparing the pool with what the metadata service lists. Pure on the pool's own objects.

The service may lag behind the cloud, so nothing is believed that was seen only once.
"""

import dataclasses
import ipaddress
from collections.abc import Collection, Sequence

from ipamd import model
from ipamd.model import AddressState

SURE = 2
"""Looks in a row after which an absence, or a surplus, is believed."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Drift:
    """What changed, in words for the operator. taken: addresses that pods lost just now."""

    notes: list[str] = dataclasses.field(default_factory=list)
    taken: list[model.Address] = dataclasses.field(default_factory=list)


class Compare:
    """Remembers surplus addresses from one look to the next."""

    def __init__(self) -> None:
        self._surplus: dict[tuple[str, ipaddress.IPv4Address], int] = {}

    def addresses(
        self,
        eni: model.PoolEni,
        listed: Sequence[ipaddress.IPv4Address],
        now_s: float,
    ) -> Drift:
        """Bring *eni* to what the service lists. Not while a call about it is under way."""
        drift = Drift()
        present = set(listed)
        for ipv4, address in list(eni.addresses.items()):
            if ipv4 in present:
                self._seen(address, now_s, drift)
            else:
                self._unseen(eni, address, now_s, drift)
        for ipv4 in self._sure_surplus(eni.eni_id, present - eni.addresses.keys()):
            eni.addresses[ipv4] = model.Address(ipv4=ipv4, state=AddressState.WARM, since_s=now_s)
            drift.notes.append(f"{ipv4} is on {eni.eni_id} and was not known: taken up")
        return drift

    def _sure_surplus(
        self, eni_id: str, surplus: Collection[ipaddress.IPv4Address]
    ) -> list[ipaddress.IPv4Address]:
        """Those of *surplus* that were there in the last looks, too, without a break."""
        seen = {ipv4: self._surplus.get((eni_id, ipv4), 0) + 1 for ipv4 in surplus}
        self._surplus = {key: n for key, n in self._surplus.items() if key[0] != eni_id}
        sure = [ipv4 for ipv4, times in seen.items() if times >= SURE]
        self._surplus |= {(eni_id, ipv4): n for ipv4, n in seen.items() if ipv4 not in sure}
        return sure

    @staticmethod
    def _seen(address: model.Address, now_s: float, drift: Drift) -> None:
        # Below zero it counts looks that saw an address we asked the cloud to take back.
        address.unseen = min(0, address.unseen)
        if address.state is AddressState.MISSING and address.key is not None:
            address.state, address.since_s = AddressState.LEASED, now_s
            drift.notes.append(f"{address.ipv4} is back")
        elif address.state is AddressState.RELEASING:
            address.unseen -= 1
            if address.unseen <= -SURE:
                address.state, address.since_s, address.unseen = AddressState.COOLING, now_s, 0
                drift.notes.append(f"{address.ipv4} was not given back: kept")

    @staticmethod
    def _unseen(eni: model.PoolEni, address: model.Address, now_s: float, drift: Drift) -> None:
        address.unseen = max(0, address.unseen) + 1
        if address.unseen < SURE or address.state is AddressState.MISSING:
            return
        if address.key is not None:
            address.state, address.since_s = AddressState.MISSING, now_s
            drift.taken.append(address)
        else:
            del eni.addresses[address.ipv4]
            drift.notes.append(f"{address.ipv4} is no longer on {eni.eni_id}: dropped")
