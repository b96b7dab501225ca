"""Tags of disks, snapshots, groups, instances and interfaces, in the newer and the older calls.

TagResources, UntagResources, ListTagResources; AddTags, RemoveTags, DescribeTags. A resource's
tags are in its own row.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim import params as params_module
from sim.ecs import disk_model, eni_model, instances, names, snapshot_model

VERSION = "2014-05-26"
_MAX_RESOURCES = 50
_MAX_UNTAG_KEYS = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One taggable kind: the API's ResourceType → the store's kind and id field."""

    resource_type: str
    kind: str
    id_field: str
    count_name: str


_KINDS = {
    row.resource_type: row
    for row in (
        _Kind(resource_type="disk", kind=disk_model.KIND, id_field="disk_id", count_name="Disk"),
        _Kind(
            resource_type="snapshot",
            kind=snapshot_model.KIND,
            id_field="snapshot_id",
            count_name="Snapshot",
        ),
        _Kind(
            resource_type="snapshotgroup",
            kind=snapshot_model.GROUP_KIND,
            id_field="group_id",
            count_name="",
        ),
        _Kind(
            resource_type="instance",
            kind=instances.KIND,
            id_field="instance_id",
            count_name="Instance",
        ),
        _Kind(resource_type="eni", kind=eni_model.KIND, id_field="eni_id", count_name="Eni"),
    )
}
_COUNTS = (
    *("Ddh", "Disk", "Eni", "Image", "Instance", "KeyPair", "LaunchTemplate"),
    *("ReservedInstance", "Securitygroup", "Snapshot", "SnapshotPolicy", "Volume"),
)


@actions.action(VERSION, "TagResources")
def tag_resources(call: actions.Call) -> dict[str, Any]:
    """Add tags to up to 50 resources; a key that is there gets the new value."""
    kind = _kind(call.params)
    tags = names.parse_tags(call.params.structs("Tag"))
    if not tags:
        raise errors.missing_parameter("Tag.N.Key")
    for resource_id in _resource_ids(call.params):
        _add(call.cloud, kind, resource_id, tags)
    return {}


@actions.action(VERSION, "AddTags")
def add_tags(call: actions.Call) -> dict[str, Any]:
    """The older TagResources for one resource."""
    kind = _kind(call.params)
    tags = names.parse_tags(call.params.structs("Tag"))
    if not tags:
        raise errors.missing_parameter("Tag.N.Key")
    _add(call.cloud, kind, call.params.required("ResourceId"), tags)
    return {}


def _add(cloud: cloud_module.Cloud, kind: _Kind, resource_id: str, tags: Mapping[str, str]) -> None:
    row = _row(cloud, kind, resource_id)
    merged = {**row["tags"], **tags}
    limit = cloud.world.quotas.tags_per_resource
    if len(merged) > limit:
        raise names.too_many_tags(limit)
    cloud.store.put(kind.kind, resource_id, {**row, "tags": merged})


@actions.action(VERSION, "UntagResources")
def untag_resources(call: actions.Call) -> dict[str, Any]:
    """Remove keys, or with All=true and no keys every tag; keys that are absent are fine."""
    kind = _kind(call.params)
    keys = call.params.strings("TagKey")
    if len(keys) > _MAX_UNTAG_KEYS:
        raise names.too_many_tags(_MAX_UNTAG_KEYS)
    remove_all = bool(call.params.boolean("All")) and not keys
    if not keys and not remove_all:
        raise errors.missing_parameter("TagKey.N")
    for resource_id in _resource_ids(call.params):
        row = _row(call.cloud, kind, resource_id)
        kept = {
            key: value for key, value in row["tags"].items() if not remove_all and key not in keys
        }
        call.cloud.store.put(kind.kind, resource_id, {**row, "tags": kept})
    return {}


@actions.action(VERSION, "RemoveTags")
def remove_tags(call: actions.Call) -> dict[str, Any]:
    """The older UntagResources for one resource; a tag with a value must match it."""
    kind = _kind(call.params)
    resource_id = call.params.required("ResourceId")
    wanted = names.parse_filter(call.params.structs("Tag"))
    if not wanted:
        raise errors.missing_parameter("Tag.N.Key")
    row = _row(call.cloud, kind, resource_id)
    kept = {
        key: value
        for key, value in row["tags"].items()
        if not any(key == name and text in (None, value) for name, text in wanted)
    }
    call.cloud.store.put(kind.kind, resource_id, {**row, "tags": kept})
    return {}


@actions.action(VERSION, "ListTagResources")
def list_tag_resources(call: actions.Call) -> dict[str, Any]:
    """(resource, tag) pairs of the resources that are named, or that have all the tags named."""
    params = call.params
    kind = _kind(params)
    ids = params.strings("ResourceId")
    if len(ids) > _MAX_RESOURCES:
        raise _too_many_resources(len(ids))
    wanted = [*names.parse_filter(params.structs("Tag")), *_tag_filter(params)]
    if not ids and not wanted:
        raise errors.missing_parameter("ResourceId.N or Tag.N")
    pairs = [
        {
            "ResourceType": kind.resource_type,
            "ResourceId": row[kind.id_field],
            "TagKey": key,
            "TagValue": value,
        }
        for row in call.cloud.view.all(kind.kind)
        if (not ids or row[kind.id_field] in ids) and names.match(row["tags"], wanted)
        for key, value in row["tags"].items()
    ]
    page = paging.by_token(
        params, pairs, lambda pair: f"{pair['ResourceId']}/{pair['TagKey']}", minimum=50
    )
    return {**page.fields, "TagResources": {"TagResource": page.items}}


def _tag_filter(params: params_module.Params) -> list[tuple[str, str | None]]:
    """`TagFilter.N.TagKey` with at most one value; more would mean "any of", which is refused."""
    found = []
    for item in params.structs("TagFilter"):
        values = [value for name, value in item.items() if name.startswith("TagValues.")]
        if len(values) > 1:
            raise errors.invalid_parameter("TagFilter.N.TagValues", str(values), "one value")
        found.append((item.get("TagKey", ""), values[0] if values else None))
    return found


@actions.action(VERSION, "DescribeTags")
def describe_tags(call: actions.Call) -> dict[str, Any]:
    """Distinct tags with the number of resources of each kind that carry them."""
    params = call.params
    only = _KINDS.get(params.text("ResourceType"))
    if "ResourceType" in params and only is None:
        raise _unknown_type(params.text("ResourceType"))
    resource_id = params.text("ResourceId")
    wanted = names.parse_filter(params.structs("Tag"))
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for kind in [only] if only else list(_KINDS.values()):
        for row in call.cloud.view.all(kind.kind):
            if resource_id not in ("", row[kind.id_field]):
                continue
            for key, value in row["tags"].items():
                if wanted and not any(key == k and v in (None, value) for k, v in wanted):
                    continue
                count = counts.setdefault((key, value), dict.fromkeys(_COUNTS, 0))
                if kind.count_name:
                    count[kind.count_name] += 1
    rows = [
        {"TagKey": key, "TagValue": value, "ResourceTypeCount": count}
        for (key, value), count in counts.items()
    ]
    page = paging.by_number(params, rows, default=50)
    return {**page.fields, "Tags": {"Tag": page.items}}


def _kind(params: params_module.Params) -> _Kind:
    resource_type = params.required("ResourceType")
    kind = _KINDS.get(resource_type)
    if kind is None:
        raise _unknown_type(resource_type)
    return kind


def _unknown_type(resource_type: str) -> errors.ApiError:
    return errors.ApiError(
        "InvalidResourceType.NotFound",
        404,
        f"The ResourceType {resource_type} is not known here (known: {', '.join(_KINDS)}).",
    )


def _resource_ids(params: params_module.Params) -> Sequence[str]:
    ids = params.strings("ResourceId")
    if not ids:
        raise errors.missing_parameter("ResourceId.N")
    if len(ids) > _MAX_RESOURCES:
        raise _too_many_resources(len(ids))
    return list(dict.fromkeys(ids))


def _too_many_resources(count: int) -> errors.ApiError:
    return errors.ApiError(
        "NumberExceed.ResourceIds",
        400,
        f"The ResourceIds parameter's number is exceeded: {count}, valid: {_MAX_RESOURCES}.",
    )


def _row(cloud: cloud_module.Cloud, kind: _Kind, resource_id: str) -> Mapping[str, Any]:
    """The row; 404 InvalidResourceId.NotFound."""
    row = cloud.store.get(kind.kind, resource_id)
    if row is None or row.get("delete_due_s") is not None:
        raise errors.ApiError(
            "InvalidResourceId.NotFound",
            404,
            f"The specified {kind.resource_type} {resource_id} is not found in our records.",
        )
    return row
