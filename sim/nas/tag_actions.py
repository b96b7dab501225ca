"""TagResources, UntagResources, ListTagResources of file systems and access points."""

from collections.abc import Mapping, Sequence
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim import params as params_module
from sim.ecs import names
from sim.nas import model

VERSION = "2017-06-26"
_KINDS = {
    "filesystem": (model.FILE_SYSTEM, "file_system_id"),
    "accesspoint": (model.ACCESS_POINT, "access_point_id"),
}
_MAX_RESOURCES = 50


@actions.action(VERSION, "TagResources")
def tag_resources(call: actions.Call) -> dict[str, Any]:
    """Add tags to up to 50 resources; a key that is there gets the new value."""
    cloud, params = call.cloud, call.params
    tags = names.parse_tags(params.structs("Tag"))
    if not tags:
        raise errors.missing_parameter("Tag.N.Key")
    limit = cloud.world.quotas.tags_per_resource
    for resource_id in _resource_ids(params):
        row = _row(cloud, params, resource_id)
        merged = {**row["tags"], **tags}
        if len(merged) > limit:
            raise names.too_many_tags(limit)
        cloud.store.put(_kind(params)[0], resource_id, {**row, "tags": merged})
    return {}


@actions.action(VERSION, "UntagResources")
def untag_resources(call: actions.Call) -> dict[str, Any]:
    """Remove keys, or with All=true and no keys every tag; keys that are absent are fine."""
    cloud, params = call.cloud, call.params
    keys = params.strings("TagKey")
    if len(keys) > names.MAX_TAGS:
        raise names.too_many_tags(names.MAX_TAGS)
    everything = bool(params.boolean("All")) and not keys
    if not keys and not everything:
        raise errors.missing_parameter("TagKey.N")
    for resource_id in _resource_ids(params):
        row = _row(cloud, params, resource_id)
        kept = {k: v for k, v in row["tags"].items() if not everything and k not in keys}
        cloud.store.put(_kind(params)[0], resource_id, {**row, "tags": kept})
    return {}


@actions.action(VERSION, "ListTagResources")
def list_tag_resources(call: actions.Call) -> dict[str, Any]:
    """(resource, tag) pairs of the resources that are named, or that have all the tags named."""
    params = call.params
    kind, id_field = _kind(params)
    ids = params.strings("ResourceId")
    wanted = names.parse_filter(params.structs("Tag"))
    if not ids and not wanted:
        raise errors.missing_parameter("ResourceId.N or Tag.N")
    pairs = [
        {
            "ResourceType": params.text("ResourceType"),
            "ResourceId": row[id_field],
            "TagKey": key,
            "TagValue": value,
        }
        for row in call.cloud.view.all(kind)
        if (not ids or row[id_field] in ids) and names.match(row["tags"], wanted)
        for key, value in row["tags"].items()
    ]
    page = paging.by_token(
        params, pairs, lambda pair: f"{pair['ResourceId']}/{pair['TagKey']}", minimum=50
    )
    return {**page.fields, "TagResources": {"TagResource": page.items}}


def _kind(params: params_module.Params) -> tuple[str, str]:
    resource_type = params.required("ResourceType")
    if resource_type not in _KINDS:
        raise errors.ApiError(
            "InvalidResourceType.NotFound",
            404,
            f"The ResourceType {resource_type} is not known here (known: {', '.join(_KINDS)}).",
        )
    return _KINDS[resource_type]


def _resource_ids(params: params_module.Params) -> Sequence[str]:
    ids = params.strings("ResourceId")
    if not ids:
        raise errors.missing_parameter("ResourceId.N")
    if len(ids) > _MAX_RESOURCES:
        raise errors.invalid_parameter(
            "ResourceId.N", f"{len(ids)} ids", f"up to {_MAX_RESOURCES}", "NumberExceed.ResourceIds"
        )
    return list(dict.fromkeys(ids))


def _row(
    cloud: cloud_module.Cloud, params: params_module.Params, resource_id: str
) -> Mapping[str, Any]:
    row = cloud.store.get(_kind(params)[0], resource_id)
    if row is None:
        raise errors.ApiError(
            "InvalidResourceId.NotFound", 404, f"The resource {resource_id} does not exist."
        )
    return row
