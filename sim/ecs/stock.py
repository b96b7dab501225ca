"""What is on sale: the world's disk stock, narrowed by the categories' own ranges. Pure."""

import dataclasses
from collections.abc import Iterable

from sim import errors
from sim import world as world_module
from sim.ecs import categories, refusals


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One category on sale in a zone ("" = the region); min/max over its performance levels."""

    zone_id: str
    category: str
    min_gib: int
    max_gib: int
    status: str


def require_sold(
    world: world_module.World, *, zone_id: str, category: str, level: str, size_gib: int
) -> None:
    """Refuse what the zone does not sell.

    403 InvalidDataDiskCategory.NotSupported when the zone has no such category at all,
    403 OperationDenied.NoStock when it is sold out, 403 InvalidDiskSize.NotSupported for a size
    outside what this zone sells.
    """
    rows = [row for row in world.stock(category=category) if row.zone_id == zone_id]
    rows = [row for row in rows if row.performance_level in ("", level)]
    if not rows:
        raise errors.ApiError(
            "InvalidDataDiskCategory.NotSupported",
            403,
            f"The specified disk category {category} {level} is not supported in "
            f"{zone_id or 'this region'}.",
        )
    if all(row.status == "WithoutStock" for row in rows):
        raise refusals.no_stock(category, zone_id)
    if not any(row.min_gib <= size_gib <= row.max_gib for row in rows):
        raise errors.ApiError(
            "InvalidDiskSize.NotSupported",
            403,
            f"The disk size is not supported: {size_gib} GiB of {category} in "
            f"{zone_id or 'this region'}.",
        )


def offers(world: world_module.World, zone_id: str) -> list[Offer]:
    """What the zone sells, one entry per category, in the world's order."""
    rows: dict[str, list[world_module.DiskStock]] = {}
    for row in world.disk_stock:
        if row.zone_id == zone_id:
            rows.setdefault(row.category, []).append(row)
    return [_offer(zone_id, category, found) for category, found in rows.items()]


def _offer(zone_id: str, category: str, rows: list[world_module.DiskStock]) -> Offer:
    sold = [row for row in rows if row.status != "WithoutStock"]
    limits = categories.CATEGORIES.get(category)
    return Offer(
        zone_id=zone_id,
        category=category,
        min_gib=max(min(row.min_gib for row in rows), limits.min_gib if limits else 1),
        max_gib=min(max(row.max_gib for row in rows), limits.max_gib if limits else 65536),
        status=_best(row.status for row in sold) if sold else "WithoutStock",
    )


def _best(statuses: Iterable[str]) -> str:
    return "WithStock" if "WithStock" in set(statuses) else "ClosedWithStock"
