"""Bucket spaces of agentic buckets: buckets that a client makes at its first mount.

Source: spec/csi-driver.md 5.2.
"""

from collections.abc import Mapping

from cloud import metadata as cloud_metadata
from core import errors
from csi.oss import endpoint

_PREFIX, _SPACE = "bucketspaceprefix", "bucketspace"


async def resolve(metadata: cloud_metadata.Metadata, context: Mapping[str, str]) -> dict[str, str]:
    """*context* with the name of its bucket space in place of that name's prefix.

    Raises InvalidField, and what `Metadata.get` raises while the account's id is not known.
    """
    told = {key.strip().lower(): value.strip() for key, value in context.items()}
    prefix = told.get(_PREFIX, "")
    if not prefix:
        return dict(context)
    if told.get(_SPACE):
        raise errors.InvalidField(
            "bucketSpacePrefix", "and bucketSpace exclude each other", value=prefix
        )
    region_id = told.get("region", "") or endpoint.region_of(told.get("url", ""))
    if not region_id:
        region_id = await metadata.get(cloud_metadata.Key.REGION_ID)
    account_id = await metadata.get(cloud_metadata.Key.ACCOUNT_ID)
    kept = {key: text for key, text in context.items() if key.strip().lower() != _PREFIX}
    return {**kept, "bucketSpace": f"{prefix}-{account_id}-{region_id}-bs-apsr"}
