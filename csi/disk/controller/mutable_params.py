"""Mutable parameters: the keys of a VolumeAttributesClass, at creation and for a change.

Pure. Source: spec/csi-driver.md 2.10.
"""

import dataclasses
from collections.abc import Mapping

from core import errors
from csi import class_parameters, values
from csi.disk.controller import category, params, tags

REMOVE_TAG_PREFIX = "-" + params.DISK_TAG_PREFIX
_KEYS = ("type", "performanceLevel", "provisionedIops", "burstingEnabled")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MutableParameters:
    """What is to change; "" and None = stays as it is."""

    category: str = ""
    performance_level: str = ""
    provisioned_iops: int | None = None
    bursting_enabled: bool | None = None
    add_tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    remove_tags: tuple[str, ...] = ()

    @property
    def changes_spec(self) -> bool:
        """Whether ModifyDiskSpec has something to do."""
        return bool(self.category or self.performance_level) or self.provisioned_iops is not None


def parse(parameters: Mapping[str, str], field: str = "mutable_parameters") -> MutableParameters:
    """Parse *parameters*. Raises InvalidField naming the key and what is allowed."""
    own = {k: v for k, v in parameters.items() if not k.startswith(class_parameters.SIDECAR_PREFIX)}
    for key in own:
        if key not in _KEYS and not key.startswith((params.DISK_TAG_PREFIX, REMOVE_TAG_PREFIX)):
            raise errors.InvalidField(
                field,
                "has an unknown key",
                value=key,
                allowed=", ".join(
                    [*_KEYS, f"{params.DISK_TAG_PREFIX}<key>", f"{REMOVE_TAG_PREFIX}<key>"]
                ),
            )
    wanted = MutableParameters(
        category=_one(field, "type", own, tuple(category.CATEGORIES)),
        performance_level=_one(field, "performanceLevel", own, category.PERFORMANCE_LEVELS),
        provisioned_iops=_iops(field, own),
        bursting_enabled=_bursting(field, own),
        add_tags=_added(field, own),
        remove_tags=_removed(field, own),
    )
    target = category.CATEGORIES.get(wanted.category)
    if target is not None:
        require_possible(field, wanted, target)
    return wanted


def require_possible(field: str, wanted: MutableParameters, target: category.Category) -> None:
    """Refuse what a disk of category *target* cannot have."""
    if wanted.bursting_enabled and not target.provisions:
        raise errors.InvalidField(
            f"{field}[burstingEnabled]",
            f"is not possible for {target.name}",
            value="true",
            allowed="cloud_auto disks",
        )
    if wanted.provisioned_iops and not target.provisions:
        raise errors.InvalidField(
            f"{field}[provisionedIops]",
            f"is not possible for {target.name}",
            value=wanted.provisioned_iops,
            allowed="cloud_auto disks",
        )
    if wanted.performance_level and wanted.performance_level not in target.levels:
        raise errors.InvalidField(
            f"{field}[performanceLevel]",
            f"is not possible for {target.name}",
            value=wanted.performance_level,
            allowed=", ".join(target.levels) or "no level",
        )


def override(base: params.VolumeParameters, wanted: MutableParameters) -> params.VolumeParameters:
    """*base* with *wanted* in place of what it says: at creation the mutable ones win."""
    kept = {key: text for key, text in base.tags.items() if key not in wanted.remove_tags}
    level = wanted.performance_level
    return dataclasses.replace(
        base,
        categories=(wanted.category,) if wanted.category else base.categories,
        performance_levels=(level,) if level else base.performance_levels,
        provisioned_iops=base.provisioned_iops
        if wanted.provisioned_iops is None
        else wanted.provisioned_iops,
        bursting_enabled=base.bursting_enabled
        if wanted.bursting_enabled is None
        else wanted.bursting_enabled,
        tags={**kept, **wanted.add_tags},
    )


def _one(field: str, key: str, own: Mapping[str, str], allowed: tuple[str, ...]) -> str:
    text = own.get(key, "")
    if text and text not in allowed:
        raise errors.InvalidField(
            f"{field}[{key}]", "is not known", value=text, allowed=", ".join(allowed)
        )
    return text


def _iops(field: str, own: Mapping[str, str]) -> int | None:
    text = own.get("provisionedIops", "")
    if not text:
        return None
    name = f"{field}[provisionedIops]"
    return values.integer(name, text, minimum=0, maximum=values.UINT32_MAX)


def _bursting(field: str, own: Mapping[str, str]) -> bool | None:
    text = own.get("burstingEnabled", "")
    return values.boolean(f"{field}[burstingEnabled]", text) if text else None


def _added(field: str, own: Mapping[str, str]) -> dict[str, str]:
    prefix = params.DISK_TAG_PREFIX
    told = {k.removeprefix(prefix): v for k, v in own.items() if k.startswith(prefix)}
    for key, value in told.items():
        tags.require_user_tag(f"{field}[{prefix}{key}]", key, value)
    return told


def _removed(field: str, own: Mapping[str, str]) -> tuple[str, ...]:
    prefix = REMOVE_TAG_PREFIX
    told = tuple(sorted(k.removeprefix(prefix) for k in own if k.startswith(prefix)))
    for key in told:
        tags.require_user_key(f"{field}[{prefix}{key}]", key)
        if params.DISK_TAG_PREFIX + key in own:
            raise errors.InvalidField(f"{field}[{prefix}{key}]", "is added as well", value=key)
    return told
