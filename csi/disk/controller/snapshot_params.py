"""VolumeSnapshotClass and VolumeGroupSnapshotClass parameters, parsed.

Pure. Source: spec/csi-driver.md 2.12.
"""

import dataclasses
from collections.abc import Mapping

from core import errors
from csi import class_parameters, values
from csi.disk.controller import tags

TAG_PREFIX = "snapshotTags/"
_RETENTION_DAYS_MAX = 65536
_NO_EFFECT = ("snapshotType", "instantAccess", "instantAccessRetentionDays", "forceDelete")
"""Accepted as in the reference: instant access is what the cloud does by itself now, and a snapshot
goes whatever was made from it. The classes of ACK's documentation have them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotParameters:
    """How a snapshot is to be made. retention_days: None = kept until deleted."""

    retention_days: int | None = None
    resource_group_id: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


def parse(parameters: Mapping[str, str]) -> SnapshotParameters:
    """Parameters of a single snapshot. Raises InvalidField."""
    own = _own(parameters, ("retentionDays",))
    days = own.get("retentionDays", "")
    return SnapshotParameters(
        retention_days=values.integer(
            "parameters[retentionDays]", days, minimum=1, maximum=_RETENTION_DAYS_MAX
        )
        if days
        else None,
        resource_group_id=own.get("resourceGroupId", ""),
        tags=_tags(own) | _created_for(parameters, "volumesnapshot", tags.SNAPSHOT),
    )


def parse_group(parameters: Mapping[str, str]) -> SnapshotParameters:
    """Parameters of a group snapshot, which the cloud cannot give a retention time."""
    own = _own(parameters, ())
    return SnapshotParameters(
        resource_group_id=own.get("resourceGroupId", ""),
        tags=_tags(own) | _created_for(parameters, "volumegroupsnapshot", tags.GROUP_SNAPSHOT),
    )


def _own(parameters: Mapping[str, str], more: tuple[str, ...]) -> dict[str, str]:
    known = (*more, "resourceGroupId", *_NO_EFFECT)
    own = {k: v for k, v in parameters.items() if not k.startswith(class_parameters.SIDECAR_PREFIX)}
    for key in own:
        if key not in known and not key.startswith(TAG_PREFIX):
            raise errors.InvalidField(
                "parameters",
                "has an unknown key",
                value=key,
                allowed=", ".join([*known, f"{TAG_PREFIX}<key>"]),
            )
    return own


def _tags(own: Mapping[str, str]) -> dict[str, str]:
    told = {k.removeprefix(TAG_PREFIX): v for k, v in own.items() if k.startswith(TAG_PREFIX)}
    for key, value in told.items():
        tags.require_user_tag(f"parameters[{TAG_PREFIX}{key}]", key, value)
    return told


def _created_for(parameters: Mapping[str, str], kind: str, prefix: str) -> dict[str, str]:
    """Tags from the sidecar's --extra-create-metadata; they beat the user's."""
    told = {}
    for what in ("name", "namespace"):
        value = parameters.get(f"{class_parameters.SIDECAR_PREFIX}{kind}/{what}", "")
        if value:
            told[prefix + what] = tags.shorten(value)
    return told
