"""Bucket spaces of agentic buckets: buckets that a client makes at its first mount.

Source: spec/csi-driver.md 5.2.
"""

import re
from collections.abc import Mapping

from cloud import metadata as cloud_metadata
from core import errors
from csi.oss import endpoint

_PREFIX, _SPACE = "bucketspaceprefix", "bucketspace"
_BEGINNING = re.compile(r"[a-z0-9][a-z0-9-]*")
"""Of a bucket's name."""


def stand_in(context: Mapping[str, str]) -> dict[str, str]:
    """*context* with some bucket space, to check the rest of it before anything is asked.

    Raises InvalidField for a prefix that can be none.
    """
    told = _low(context)
    prefix = told.get(_PREFIX, "")
    if not prefix:
        return dict(context)
    _require_alone(told)
    if not told.get("agenticbucket"):
        raise errors.InvalidField("bucketSpacePrefix", "needs agenticBucket", value=prefix)
    if not _BEGINNING.fullmatch(prefix):
        raise errors.InvalidField(
            "bucketSpacePrefix", "cannot begin a bucket's name", value=prefix,
            allowed="a-z, 0-9 and -",
        )  # fmt: skip
    return _named(context, "any-bs-apsr")


async def resolve(metadata: cloud_metadata.Metadata, context: Mapping[str, str]) -> dict[str, str]:
    """*context* with the name of its bucket space in place of that name's prefix.

    Raises InvalidField, and what `Metadata.get` raises while the account's id is not known.
    """
    told = _low(context)
    prefix = told.get(_PREFIX, "")
    if not prefix:
        return dict(context)
    _require_alone(told)
    region_id = told.get("region", "") or endpoint.region_of(told.get("url", ""))
    if not region_id:
        region_id = await metadata.get(cloud_metadata.Key.REGION_ID)
    account_id = await metadata.get(cloud_metadata.Key.ACCOUNT_ID)
    return _named(context, f"{prefix}-{account_id}-{region_id}-bs-apsr")


def _require_alone(told: Mapping[str, str]) -> None:
    if told.get(_SPACE):
        raise errors.InvalidField(
            "bucketSpacePrefix", "and bucketSpace exclude each other", value=told[_PREFIX]
        )


def _named(context: Mapping[str, str], name: str) -> dict[str, str]:
    """*context* with bucket space *name* in place of its prefix."""
    kept = {key: text for key, text in context.items() if key.strip().lower() != _PREFIX}
    return {**kept, "bucketSpace": name}


def _low(context: Mapping[str, str]) -> dict[str, str]:
    return {key.strip().lower(): value.strip() for key, value in context.items()}
