"""Which vSwitch a new interface goes to. Source: spec/terway.md 5.6.

A vSwitch that ran dry is left alone for a while, twice as long each time, and comes back when its
time is over: addresses may have been freed since.
"""

import random
from collections.abc import Sequence
from typing import Protocol

import structlog

from cloud import eni_model
from core import clock, errors

log = structlog.get_logger()

_KEEP_S = 600.0
_BLOCK_FIRST_S = 30.0
_BLOCK_MAX_S = 600.0


class VSwitchApi(Protocol):
    """What we ask the VPC product."""

    async def read(self, vswitch_id: str) -> eni_model.VSwitch | None:
        """The vSwitch now, None when there is none."""
        ...


class NoVSwitch(errors.Exhausted):
    """No vSwitch can take an interface."""

    def __init__(self, zone_id: str, reasons: Sequence[str]) -> None:
        super().__init__(
            f"no vSwitch of zone {zone_id} has a free address: {'; '.join(reasons)}; "
            "free addresses there or add a vSwitch to eni_conf `vswitches`"
        )


class VSwitches:
    """The vSwitches this node may use, in the order the policy gives.

    most_free: try the one with the most free addresses first, else a random order.
    """

    def __init__(
        self,
        api: VSwitchApi,
        time: clock.Clock,
        *,
        zone_id: str,
        vswitch_ids: Sequence[str],
        most_free: bool,
    ) -> None:
        self._api = api
        self._clock = time
        self._zone_id = zone_id
        self._ids = tuple(vswitch_ids)
        self._most_free = most_free
        self._seen: dict[str, tuple[float, eni_model.VSwitch]] = {}
        self._blocked: dict[str, tuple[float, float]] = {}

    async def choose(self) -> list[str]:
        """Ids of those worth trying, best first. Raises NoVSwitch when there is none."""
        dry = self.dry()
        if len(self._ids) == 1 and not dry:
            return list(self._ids)  # no choice, so no call: an API's SDK costs 4 MiB
        usable: list[eni_model.VSwitch] = []
        reasons: list[str] = []
        for vswitch_id in self._ids:
            why = (
                "ran dry a moment ago"
                if vswitch_id in dry
                else await self._judge(vswitch_id, usable)
            )
            if why:
                reasons.append(f"{vswitch_id} {why}")
        if not usable:
            raise NoVSwitch(self._zone_id, reasons)
        if self._most_free:
            usable.sort(key=lambda each: -each.free_addresses)
        else:
            random.shuffle(usable)
        return [each.vswitch_id for each in usable]

    def block(self, vswitch_id: str) -> None:
        """Leave a vSwitch alone that the cloud says is dry."""
        _, last_s = self._blocked.get(vswitch_id, (0.0, 0.0))
        for_s = min(max(last_s * 2, _BLOCK_FIRST_S), _BLOCK_MAX_S)
        self._blocked[vswitch_id] = (self._clock.monotonic_s() + for_s, for_s)
        self._seen.pop(vswitch_id, None)
        log.warning("vSwitch has no free address", vswitch_id=vswitch_id, retry_s=for_s)

    def worked(self, vswitch_id: str) -> None:
        """Forget that a vSwitch was dry."""
        self._blocked.pop(vswitch_id, None)

    def dry(self) -> frozenset[str]:
        """Those that are left alone now."""
        now_s = self._clock.monotonic_s()
        return frozenset(each for each, (until_s, _) in self._blocked.items() if now_s < until_s)

    def retry_s(self) -> float | None:
        """Seconds until the next one may be tried again, None when none is blocked."""
        now_s = self._clock.monotonic_s()
        left = [until_s - now_s for until_s, _ in self._blocked.values() if until_s > now_s]
        return min(left) if left else None

    async def _judge(self, vswitch_id: str, usable: list[eni_model.VSwitch]) -> str:
        """Put the vSwitch into *usable*, or say why not."""
        found = await self._read(vswitch_id)
        if found is None:
            return "does not exist"
        if found.zone_id != self._zone_id:
            return f"is in zone {found.zone_id}"
        if found.free_addresses < 1:
            self.block(vswitch_id)
            return "has none"
        usable.append(found)
        return ""

    async def _read(self, vswitch_id: str) -> eni_model.VSwitch | None:
        kept = self._seen.get(vswitch_id)
        if kept is not None and self._clock.monotonic_s() < kept[0]:
            return kept[1]
        found = await self._api.read(vswitch_id)
        if found is not None:
            self._seen[vswitch_id] = (self._clock.monotonic_s() + _KEEP_S, found)
        return found
