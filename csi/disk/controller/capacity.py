"""GetCapacity: how large a volume of a StorageClass can be, somewhere.

The cloud has no end of space: a category is on sale in a zone or sold out. So the capacity is the
largest disk on offer, and 0 when nothing is.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from cloud import ecs_model
from core import units
from csi.disk.controller import capabilities, category, controller_requests, params, topology

Offer = ecs_model.AvailableDisk


class InstanceApi(Protocol):
    """What capacity needs of `cloud.ecs_instance.Instances`."""

    async def available_disks(
        self, *, zone_id: str = "", instance_type: str = "", region_scope: bool = False
    ) -> list[Offer]: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """In bytes; all 0 when nothing can be made."""

    available_bytes: int = 0
    minimum_bytes: int = 0
    maximum_bytes: int = 0


class CapacityReader:
    """Asks what is on sale. region: asks where we are."""

    def __init__(self, instances: InstanceApi, region: Callable[[], Awaitable[str]]) -> None:
        self._instances = instances
        self._region = region

    async def read(self, want: controller_requests.CapacityRequest) -> Capacity:
        """Capacity for what the request asks for, all of it optional."""
        if not is_servable(want):
            return Capacity()
        region_id = topology.region_of(want.segments)
        if region_id and region_id != await self._region():
            return Capacity()
        zone_id = topology.zone_of(want.segments)
        allowed = want.parameters.zone_ids
        if zone_id and allowed and zone_id not in allowed:
            return Capacity()
        kinds = [category.CATEGORIES[name] for name in want.parameters.categories]
        offers: list[Offer] = []
        if any(not kind.regional for kind in kinds):
            found = await self._instances.available_disks(zone_id=zone_id)
            zones = (zone_id,) if zone_id else allowed
            offers += [o for o in found if o.zone_id and (not zones or o.zone_id in zones)]
        if any(kind.regional for kind in kinds):
            found = await self._instances.available_disks(region_scope=True)
            offers += [o for o in found if category.of(o.category).regional]
        return choose_capacity(want.parameters, offers)


def is_servable(want: controller_requests.CapacityRequest) -> bool:
    """Whether disks of this class can serve every capability. Pure."""
    return not any(
        capabilities.choose_refusal(c, multi_attach=want.parameters.multi_attach)
        for c in want.capabilities
    )


def choose_capacity(parameters: params.VolumeParameters, offers: Sequence[Offer]) -> Capacity:
    """The widest range of sizes among *offers* that *parameters* allow. Pure."""
    ranges = [
        _sizes_gib(category.CATEGORIES[offer.category], parameters, offer)
        for offer in offers
        if offer.category in parameters.categories and not offer.sold_out
    ]
    ranges = [(low, high) for low, high in ranges if low <= high]
    if not ranges:
        return Capacity()
    minimum = units.gib_to_bytes(min(low for low, _ in ranges))
    maximum = units.gib_to_bytes(max(high for _, high in ranges))
    return Capacity(available_bytes=maximum, minimum_bytes=minimum, maximum_bytes=maximum)


def _sizes_gib(
    kind: category.Category, parameters: params.VolumeParameters, offer: Offer
) -> tuple[int, int]:
    """Smallest and largest size that table, parameters and offer agree on."""
    levels = parameters.performance_levels if kind.levels else ()
    low = min(kind.min_gib_of(level) for level in levels or ("",))
    low = max(low, offer.min_gib or 0)
    return low, min(kind.max_gib, offer.max_gib or kind.max_gib)
