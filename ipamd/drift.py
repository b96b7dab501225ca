"""Comparing the pool with what the metadata service lists. Pure on the pool's own objects.

The service may lag behind the cloud, so nothing is believed that was seen only once.
"""

import dataclasses
import ipaddress
from collections.abc import Sequence

from ipamd import model
from ipamd.model import AddressState

SURE = 2
"""Looks in a row after which an absence, or a surplus, is believed."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Drift:
    """What changed, in words for the operator; warnings concern addresses that pods use."""

    notes: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)


class Compare:
    """Remembers surplus addresses from one look to the next."""

    def __init__(self) -> None:
        self._surplus: dict[ipaddress.IPv4Address, int] = {}

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
        for ipv4 in present - eni.addresses.keys():
            self._surplus[ipv4] = self._surplus.get(ipv4, 0) + 1
            if self._surplus[ipv4] >= SURE:
                del self._surplus[ipv4]
                eni.addresses[ipv4] = model.Address(
                    ipv4=ipv4, state=AddressState.WARM, since_s=now_s
                )
                drift.notes.append(f"{ipv4} is on {eni.eni_id} and was not known: taken up")
        return drift

    @staticmethod
    def _seen(address: model.Address, now_s: float, drift: Drift) -> None:
        address.unseen = 0
        if address.state is AddressState.MISSING and address.key is not None:
            address.state, address.since_s = AddressState.LEASED, now_s
            drift.notes.append(f"{address.ipv4} is back")
        elif address.state is AddressState.RELEASING:
            address.state, address.since_s = AddressState.COOLING, now_s
            drift.notes.append(f"{address.ipv4} was not given back: kept")

    @staticmethod
    def _unseen(eni: model.PoolEni, address: model.Address, now_s: float, drift: Drift) -> None:
        address.unseen += 1
        if address.unseen < SURE or address.state is AddressState.MISSING:
            return
        if address.key is not None:
            address.state, address.since_s = AddressState.MISSING, now_s
            drift.warnings.append(
                f"{address.ipv4} of {address.key} is no longer on {eni.eni_id}: its pod has no "
                "network; delete the pod, and find out who took the address away"
            )
        else:
            del eni.addresses[address.ipv4]
            drift.notes.append(f"{address.ipv4} is no longer on {eni.eni_id}: dropped")
