"""Parameters of a StorageClass. Pure. Source: spec/csi-driver.md 5.1, 5.2."""

import dataclasses
import enum
import re
from collections.abc import Mapping

from core import errors
from csi import class_parameters, values
from csi.oss import volume_context
from csi.oss.controller import places

_RECLAIM = class_parameters.RECLAIM_POLICY
_OWN = ("volumeas", "deletepolicy", "bucketprefix")
KNOWN = frozenset({*_OWN, _RECLAIM.lower()})
"""Parameters of a class alone, in lower case; all others are attributes of the volume."""
_BUCKET_PREFIX = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


class VolumeAs(enum.StrEnum):
    """What a volume is. BUCKET is ours: a bucket for each volume."""

    DIRECT = "direct"
    SHAREPATH = "sharepath"
    SUBPATH = "subpath"
    BUCKET = "bucket"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """context: for the node, without what depends on the volume's name. path: of the class."""

    volume_as: VolumeAs
    policy: places.DeletePolicy
    bucket_prefix: str
    path: str
    context: Mapping[str, str]


def parse(parameters: Mapping[str, str]) -> Parameters:
    """The parameters. Raises InvalidField naming the one that is wrong."""
    told = {key.strip().lower(): value.strip() for key, value in parameters.items()}
    volume_as = values.member("volumeAs", told.get("volumeas") or VolumeAs.SHAREPATH, VolumeAs)
    policy = _policy(told, volume_as)
    prefix = told.get("bucketprefix", "")
    context = {
        key: value
        for key, value in class_parameters.wishes(parameters).items()
        if key.strip().lower() not in KNOWN
    }
    if volume_as is VolumeAs.BUCKET:
        if "bucket" in told:
            raise errors.InvalidField(
                "bucket", "is made for each volume with volumeAs bucket; set bucketPrefix",
                value=told["bucket"],
            )  # fmt: skip
        prefix = prefix or "csi"
        if not _BUCKET_PREFIX.fullmatch(prefix):
            raise errors.InvalidField(
                "bucketPrefix", "cannot begin a bucket's name", value=prefix,
                allowed="1 to 31 of a-z, 0-9 and -",
            )  # fmt: skip
    elif prefix:
        raise errors.InvalidField("bucketPrefix", "needs volumeAs bucket", value=prefix)
    return Parameters(
        volume_as=volume_as,
        policy=policy,
        bucket_prefix=prefix,
        path=volume_context.parse_path(told.get("path", "")),
        context=context,
    )


def _policy(told: Mapping[str, str], volume_as: VolumeAs) -> places.DeletePolicy:
    text = told.get("deletepolicy", "")
    default = places.DeletePolicy.RETAIN
    policy = values.member("deletePolicy", text or default, places.DeletePolicy)
    if policy is not places.DeletePolicy.RETAIN and volume_as in (
        VolumeAs.DIRECT,
        VolumeAs.SHAREPATH,
    ):
        raise errors.InvalidField(
            "deletePolicy", f"cannot be {policy} for what volumes share", value=str(volume_as),
            allowed="retain, or volumeAs subpath or bucket",
        )  # fmt: skip
    if policy is places.DeletePolicy.ARCHIVE and volume_as is VolumeAs.BUCKET:
        raise errors.InvalidField(
            "deletePolicy", "cannot be archive with volumeAs bucket", allowed="retain, delete"
        )
    reclaim = told.get(_RECLAIM.lower(), "")
    if reclaim not in ("", "Retain") and not text:
        raise errors.InvalidField(
            _RECLAIM, "would delete nothing", value=reclaim,
            allowed="Retain; or say with deletePolicy what becomes of the data",
        )  # fmt: skip
    return policy
