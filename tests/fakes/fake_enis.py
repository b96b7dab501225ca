"""A cloud of interfaces in memory, typed like the parts of ipamd it stands in for."""

import asyncio
import ipaddress
from collections.abc import Sequence

from core import errors
from ipamd import model
from ipamd.datapath import model as datapath_model
from ipamd.model import AddressState


class FakeMaker:
    """Makes interfaces and addresses at once, or fails as it is told.

    failures: raised by the next calls, one each. hold: while set, calls wait for it.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.failures: list[errors.Error] = []
        self.hold: asyncio.Event | None = None
        self.dry_ids: frozenset[str] = frozenset()
        self._enis = 0
        self._hosts: dict[str, int] = {}

    async def create(self, count: int) -> model.PoolEni:
        await self._step("create", count)
        self._enis += 1
        number = self._enis
        eni_id = f"eni-{number}"
        self._hosts[eni_id] = count
        addresses = [ipaddress.IPv4Address(f"10.0.{number}.{n + 1}") for n in range(count)]
        return model.PoolEni(
            eni_id=eni_id,
            mac=f"00:16:3e:00:00:{number:02x}",
            vswitch_id="vsw-1",
            gateway=ipaddress.IPv4Address(f"10.0.{number}.253"),
            primary=addresses[0],
            created_at=0.0,
            link=datapath_model.EniLink(
                mac="", ifname=f"eth{number}", index=number, table=1000 + number
            ),
            addresses={
                ipv4: model.Address(ipv4=ipv4, state=AddressState.WARM, since_s=0.0)
                for ipv4 in addresses
            },
        )

    async def assign(self, eni: model.PoolEni, count: int) -> tuple[ipaddress.IPv4Address, ...]:
        await self._step("assign", count)
        first = self._hosts[eni.eni_id] + 1
        self._hosts[eni.eni_id] += count
        number = eni.eni_id.removeprefix("eni-")
        return tuple(ipaddress.IPv4Address(f"10.0.{number}.{first + n}") for n in range(count))

    async def unassign(
        self, eni: model.PoolEni, addresses: Sequence[ipaddress.IPv4Address]
    ) -> None:
        await self._step("unassign", len(addresses))

    async def remove(self, eni_id: str) -> None:
        await self._step("remove", 1)

    def dry(self) -> frozenset[str]:
        return self.dry_ids

    def retry_s(self) -> float | None:
        return None

    async def _step(self, name: str, count: int) -> None:
        self.calls.append((name, count))
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
