"""What to try, in which order, to make a disk; and what to tell when nothing was possible. Pure.

Source: spec/csi-driver.md 2.7. Our own: zones are tried in the CO's order (spec/conformance.md
b.5), largest sizes and IOPS are checked, and the error's kind tells what would help.
"""

import dataclasses
import enum
from collections.abc import Sequence

from core import errors, units
from csi.disk.controller import category, params


class Why(enum.StrEnum):
    """What kept an attempt from succeeding."""

    SIZE = "size"
    STOCK = "stock"
    PARAMETER = "parameter"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SizeRange:
    """How large the disk may be. required_gib, limit_bytes: 0 = not given.

    source_gib: size of what it is made from, 0 = empty disk.
    """

    required_gib: int
    limit_bytes: int = 0
    source_gib: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One CreateDisk. zone_id "" = regional. performance_level "" = the cloud's default."""

    category: category.Category
    performance_level: str
    zone_id: str
    size_gib: int

    @property
    def label(self) -> str:
        """For messages, e.g. `cloud_essd.PL1 in cn-hangzhou-k`."""
        return _label(self.category, self.performance_level, self.zone_id)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An attempt that was not made or did not succeed. text: which, and why."""

    why: Why
    text: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Attempts in order, and those ruled out beforehand."""

    attempts: tuple[Attempt, ...]
    refusals: tuple[Refusal, ...]


def needs_zone(parameters: params.VolumeParameters) -> bool:
    """Whether any category asked for is bound to a zone."""
    return not all(category.CATEGORIES[name].regional for name in parameters.categories)


def plan_attempts(
    parameters: params.VolumeParameters,
    *,
    zone_ids: Sequence[str],
    size: SizeRange,
    instance_id: str,
) -> Plan:
    """Every zone with every type and level, in the order given; a regional type only once.

    instance_id: node the CO has chosen, "" = none yet.
    Raises OutOfRange when what the disk is made from does not fit under the limit.
    """
    if size.limit_bytes and units.gib_to_bytes(size.source_gib) > size.limit_bytes:
        raise errors.OutOfRange(
            f"capacity_range.limit_bytes {size.limit_bytes} is less than the source's size, "
            f"{size.source_gib} GiB"
        )
    attempts: list[Attempt] = []
    refusals: list[Refusal] = []
    for kind, level, zone_id in _combinations(parameters, zone_ids):
        attempt = Attempt(
            category=kind,
            performance_level=level,
            zone_id=zone_id,
            size_gib=choose_size_gib(kind, level, size, raise_small=parameters.raise_small),
        )
        refusal = choose_refusal(
            attempt, size, provisioned_iops=parameters.provisioned_iops, instance_id=instance_id
        )
        if refusal is None:
            attempts.append(attempt)
        elif refusal not in refusals:
            refusals.append(refusal)
    return Plan(attempts=tuple(attempts), refusals=tuple(refusals))


def choose_size_gib(
    kind: category.Category, level: str, size: SizeRange, *, raise_small: bool
) -> int:
    """Size in GiB to ask for; with no wish at all the smallest there is."""
    wanted = max(size.required_gib, size.source_gib) or kind.min_gib_of(level)
    return max(wanted, params.VOLUME_SIZE_FLOOR_GIB) if raise_small else wanted


def choose_refusal(
    attempt: Attempt, size: SizeRange, *, provisioned_iops: int | None, instance_id: str
) -> Refusal | None:
    """Why the cloud would refuse *attempt*, as far as tables know; None = worth trying."""
    kind, size_gib = attempt.category, attempt.size_gib
    smallest = kind.min_gib_of(attempt.performance_level)
    if size_gib < smallest:
        hint = ""
        if smallest <= params.VOLUME_SIZE_FLOOR_GIB:
            hint = f" (volumeSizeAutoAvailable: true would make it {params.VOLUME_SIZE_FLOOR_GIB})"
        return _refuse(attempt, Why.SIZE, f"{size_gib} GiB is below {smallest} GiB{hint}")
    if size_gib > kind.max_gib:
        return _refuse(attempt, Why.SIZE, f"{size_gib} GiB is above {kind.max_gib} GiB")
    if size.limit_bytes and units.gib_to_bytes(size_gib) > size.limit_bytes:
        text = f"{size_gib} GiB, whole GiB only, exceed limit_bytes {size.limit_bytes}"
        return _refuse(attempt, Why.SIZE, text)
    if kind.single_instance and not instance_id:
        text = "needs a node chosen beforehand: volumeBindingMode WaitForFirstConsumer"
        return _refuse(attempt, Why.PARAMETER, text)
    if kind.provisions and provisioned_iops:
        fault = category.provisioned_iops_fault(size_gib, provisioned_iops)
        if fault:
            return _refuse(attempt, Why.PARAMETER, fault)
    return None


def no_attempt_left(refusals: Sequence[Refusal]) -> errors.Error:
    """The error for a volume that could not be made.

    Out of stock → Exhausted, so that the CO may try another node. Only sizes → OutOfRange.
    Else Invalid. The message tells every attempt.
    """
    text = "no disk could be made: " + "; ".join(refusal.text for refusal in refusals)
    reasons = {refusal.why for refusal in refusals}
    if Why.STOCK in reasons:
        return errors.Exhausted(text)
    if reasons == {Why.SIZE}:
        return errors.OutOfRange(text)
    return errors.Invalid(text)


def _combinations(
    parameters: params.VolumeParameters, zone_ids: Sequence[str]
) -> list[tuple[category.Category, str, str]]:
    told: list[tuple[category.Category, str, str]] = []
    for zone_id in zone_ids or ("",):
        for name in parameters.categories:
            kind = category.CATEGORIES[name]
            levels = parameters.performance_levels if kind.levels else ()
            for level in levels or ("",):
                combination = (kind, level, "" if kind.regional else zone_id)
                if combination not in told:
                    told.append(combination)
    return told


def _refuse(attempt: Attempt, why: Why, text: str) -> Refusal:
    # Sizes are the same in every zone, so the zone is left out of these texts.
    label = _label(attempt.category, attempt.performance_level, "")
    return Refusal(why=why, text=f"{label}: {text}")


def _label(kind: category.Category, level: str, zone_id: str) -> str:
    name = f"{kind.name}.{level}" if level else kind.name
    return f"{name} in {zone_id}" if zone_id else name
