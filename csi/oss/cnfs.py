"""ContainerNetworkFileSystem objects of type oss in place of bucket and url. Pure.

Source: spec/csi-driver.md 3.6, 5.2.
"""

from collections.abc import Mapping

from core import errors
from csi import cnfs as csi_cnfs
from kube import cnfs

KEY = csi_cnfs.KEY
_KIND = "oss"


def name_in(told: Mapping[str, str]) -> str:
    """Name of the object that attributes or parameters need, "" = they tell bucket and url."""
    low = _low(told)
    is_complete = low.get("bucket") and low.get("url")
    return "" if is_complete else low.get(KEY.lower(), "")


def stand_in(told: Mapping[str, str]) -> cnfs.Cnfs:
    """An object that goes with *told*, to check the rest of it without the API server."""
    return csi_cnfs.stand_in(_KIND, bucket=_low(told).get("bucket", ""))


def complete(told: Mapping[str, str], found: cnfs.Cnfs) -> dict[str, str]:
    """*told* with the bucket and the url of *found*; a url that is told is kept.

    Raises InvalidField for another bucket than the object's, and an object of another type;
    Precondition while the object does not tell them.
    """
    csi_cnfs.require_kind(found, _KIND, field=KEY)
    csi_cnfs.require_told(found, {"bucketName": found.bucket, "endPoint": found.internal_endpoint})
    bucket = _low(told).get("bucket", found.bucket)
    if bucket != found.bucket:
        raise errors.InvalidField(
            "bucket",
            f"is not that of ContainerNetworkFileSystem {found.name}",
            value=bucket,
            allowed=found.bucket,
        )
    return {"url": found.internal_endpoint, **told, "bucket": found.bucket}


def _low(told: Mapping[str, str]) -> dict[str, str]:
    return {key.strip().lower(): text.strip() for key, text in told.items()}
