"""Where a volume may be made and where it can be used. Pure.

Source: spec/csi-driver.md 2.5, 2.6; spec/conformance.md b.5. A requirement that cannot be met is an
error here; the reference takes any zone of the StorageClass then.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from core import errors
from csi.disk import topology_keys
from csi.disk.controller import tags

Segments = Mapping[str, str]


class Unreachable(errors.Exhausted):
    """No place satisfies the accessibility requirements; the CO may try another node."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """Topology terms of a request, in the CO's order."""

    requisite: tuple[Segments, ...] = ()
    preferred: tuple[Segments, ...] = ()

    @property
    def terms(self) -> tuple[Segments, ...]:
        """Preferred terms, then requisite ones, without repeats."""
        told: list[Segments] = []
        for term in (*self.preferred, *self.requisite):
            if term not in told:
                told.append(term)
        return tuple(told)

    @property
    def instance_id(self) -> str:
        """Instance the CO has chosen, "" when it has not."""
        return next(
            (t[topology_keys.INSTANCE] for t in self.terms if t.get(topology_keys.INSTANCE)), ""
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lingjun:
    """What a volume for Lingjun machines carries: tags of the disk, segments of the volume."""

    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    segments: Mapping[str, str] = dataclasses.field(default_factory=dict)


def zone_of(term: Segments) -> str:
    """Zone that *term* names, "" when it names none."""
    return term.get(topology_keys.DISK_ZONE, "") or term.get(topology_keys.ZONE, "")


def region_of(term: Segments) -> str:
    """Region that *term* names, "" when it names none."""
    return term.get(topology_keys.DISK_REGION, "") or term.get(topology_keys.REGION, "")


def require_region(requirement: Requirement, region_id: str) -> list[Segments]:
    """Terms that can be met in *region_id*. Raises Unreachable when all are elsewhere."""
    terms = [t for t in requirement.terms if region_of(t) in ("", region_id)]
    if requirement.terms and not terms:
        regions = ", ".join(sorted({region_of(t) for t in requirement.terms}))
        raise Unreachable(f"accessibility_requirements ask for {regions}; this is {region_id}")
    return terms


def choose_zones(
    requirement: Requirement, *, wanted: Sequence[str], region_id: str
) -> tuple[str, ...]:
    """Zones to try, in order; empty = neither says anything.

    wanted: zones of the StorageClass, in its order, empty = any.
    Raises Unreachable when a requirement rules out every wanted zone.
    """
    terms = require_region(requirement, region_id)
    zones = tuple(dict.fromkeys(zone for t in terms if (zone := zone_of(t))))
    if zones:
        chosen = tuple(zone for zone in zones if not wanted or zone in wanted)
        if not chosen:
            raise Unreachable(
                f"accessibility_requirements ask for {', '.join(zones)}, the StorageClass allows "
                f"zoneId {', '.join(wanted)} only"
            )
        return chosen
    return tuple(wanted)


def is_reachable(requirement: Requirement, segments: Segments) -> bool:
    """Whether a volume with accessible topology *segments* satisfies *requirement*."""
    if not requirement.requisite:
        return True
    zone_id, region_id = zone_of(segments), region_of(segments)
    return any(
        (not zone_id or zone_of(term) in ("", zone_id))
        and (not region_id or region_of(term) in ("", region_id))
        for term in requirement.requisite
    )


def plan_lingjun(
    requirement: Requirement, user_tags: Mapping[str, str], *, restrict_to_hpn_zone: bool
) -> Lingjun:
    """Tags and segments for Lingjun machines; empty ones for other machines.

    They apply when every term (of the preferred, else of the requisite ones) is a Lingjun machine,
    or when the user's tags say so. Source: spec/csi-driver.md 2.6.
    """
    terms = requirement.preferred or requirement.requisite
    by_terms = bool(terms) and all(t.get(topology_keys.LINGJUN) == "true" for t in terms)
    said = user_tags.get(tags.LINGJUN_PRODUCT)
    if by_terms and said not in (None, tags.LINGJUN_PRODUCT_EFLO):
        raise errors.InvalidField(
            f"parameters[diskTags/{tags.LINGJUN_PRODUCT}]",
            "contradicts the Lingjun nodes asked for",
            value=said,
            allowed=tags.LINGJUN_PRODUCT_EFLO,
        )
    if not by_terms and said != tags.LINGJUN_PRODUCT_EFLO:
        return Lingjun()
    told = {tags.LINGJUN_PRODUCT: tags.LINGJUN_PRODUCT_EFLO}
    segments = {topology_keys.LINGJUN: "true"}
    if restrict_to_hpn_zone:
        hpn_zone = _hpn_zone(terms, user_tags)
        told[tags.LINGJUN_HPN_ZONE] = hpn_zone
        segments[topology_keys.LINGJUN_HPN_ZONE] = hpn_zone
    return Lingjun(tags=told, segments=segments)


def _hpn_zone(terms: Sequence[Segments], user_tags: Mapping[str, str]) -> str:
    if tags.LINGJUN_HPN_ZONE in user_tags:
        raise errors.InvalidField(
            f"parameters[diskTags/{tags.LINGJUN_HPN_ZONE}]",
            "is set by restrictToHpnZone",
            value=user_tags[tags.LINGJUN_HPN_ZONE],
        )
    hpn_zone = terms[0].get(topology_keys.LINGJUN_HPN_ZONE, "") if terms else ""
    if not hpn_zone:
        raise errors.InvalidField(
            "parameters[restrictToHpnZone]",
            "needs a node with an HPN zone",
            value="always",
            allowed="a StorageClass with volumeBindingMode: WaitForFirstConsumer",
        )
    return hpn_zone
