"""ContainerNetworkFileSystem objects of type oss in place of bucket and url. Pure.

Source: spec/csi-driver.md 3.6, 5.2.
"""

from collections.abc import Mapping

from core import errors
from kube import cnfs

KEY = "containerNetworkFileSystem"
_KIND = "oss"


def name_in(told: Mapping[str, str]) -> str:
    """Name of the object that attributes or parameters need, "" = they tell bucket and url."""
    low = {key.strip().lower(): text.strip() for key, text in told.items()}
    complete = low.get("bucket") and low.get("url")
    return "" if complete else low.get(KEY.lower(), "")


def complete(told: Mapping[str, str], found: cnfs.Cnfs | None, name: str) -> dict[str, str]:
    """*told* with the bucket and the url of *found*, which is object *name*; None = there is none.

    A url that is told is kept. Raises InvalidField for another bucket than the object's, an object
    of another type or none; Precondition while the object does not tell them.
    """
    if found is None:
        raise errors.InvalidField(KEY, "does not exist in this cluster", value=name)
    if found.kind and found.kind != _KIND:
        raise errors.InvalidField(KEY, f"is of type {found.kind}", value=name, allowed=_KIND)
    low = {key.strip().lower(): text.strip() for key, text in told.items()}
    for field, text in (("bucketName", found.bucket), ("endPoint", found.internal_endpoint)):
        if not text:
            raise errors.Precondition(
                f"ContainerNetworkFileSystem {name} does not tell status.fsAttributes.{field}; its "
                f"status is {found.status or 'empty'}: look at the storage operator"
            )
    if low.get("bucket", found.bucket) != found.bucket:
        raise errors.InvalidField(
            "bucket",
            f"is not that of ContainerNetworkFileSystem {name}",
            value=low["bucket"],
            allowed=found.bucket,
        )
    return {"url": found.internal_endpoint, **told, "bucket": found.bucket}
