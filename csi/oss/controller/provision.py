"""Directories and buckets that are made for one volume, and their end. Blocking.

Each carries its volume's name from its first moment: a directory in the metadata of the object
that stands for it, a bucket in a tag. What carries another name, or none, is never taken and never
deleted. Deleting removes that mark last, so that whoever goes on knows what is left to do.
"""

import secrets
from collections.abc import Mapping

import structlog

from core import errors
from csi.oss.controller import places, storage

log = structlog.get_logger()

_NAME, _BYTES, _LIFE = "csi-volume", "csi-capacity", "csi-life"
"""_LIFE tells a volume from an earlier one of its name, whose archive it must not write over."""
_ARCHIVED = "archived-"
_LIFE_BYTES = 4


def make_directory(bucket: storage.Bucket, place: places.Place, name: str, size_bytes: int) -> None:
    """Make *place* for volume *name*; again = nothing. Raises Exists when it is somebody else's."""
    mark = {_NAME: places.written(name), _BYTES: str(size_bytes)}
    there = bucket.read_marker(place.marker)
    if there is None:
        _require_nothing_in(bucket, place)
        if bucket.put_marker(place.marker, mark | {_LIFE: secrets.token_hex(_LIFE_BYTES)}):
            return
        there = bucket.read_marker(place.marker)
    _require_same(there, mark, f"directory {place.path}")


def make_bucket(bucket: storage.Bucket, place: places.Place, name: str, size_bytes: int) -> None:
    """Make the bucket of volume *name*; again = nothing. Raises Exists when it is another's."""
    mark = {_NAME: places.written(name), _BYTES: str(size_bytes)}
    tags = bucket.read_tags()
    if tags is not None and (tags or not bucket.is_empty()):
        _require_same(tags, mark, f"bucket {place.bucket}")
        return
    bucket.create(mark)  # also one that is empty and unmarked: we were killed between the two steps


def remove_directory(bucket: storage.Bucket, place: places.Place) -> None:
    """Delete what is in *place*, or move it beside; again = go on."""
    mark = bucket.read_marker(place.marker)
    if mark is None:
        if next(bucket.pages(place.marker), None) is None:
            return
        raise errors.Precondition(
            f"directory {place.path} of bucket {place.bucket} does not carry a volume's name any "
            "more; nothing is deleted. Look at what is in it, and delete it by hand"
        )
    _require_ours(mark, place)
    is_kept = place.policy is places.DeletePolicy.ARCHIVE
    target = _archive(place, mark.get(_LIFE, "")) if is_kept else ""
    count = 0
    for page in bucket.pages(place.marker):
        rest = [(key, size) for key, size in page if key != place.marker]
        for key, size in rest if target else ():
            bucket.copy(key, target + key.removeprefix(place.marker), size)
        if rest:
            bucket.delete([key for key, _ in rest])
        count += len(rest)
        log.info("removing a volume's objects", path=place.path, objects=count, archive=target)
    bucket.abort_uploads(place.marker)
    bucket.delete([place.marker])


def remove_bucket(bucket: storage.Bucket, place: places.Place) -> None:
    """Delete the bucket with all in it; again = go on."""
    tags = bucket.read_tags()
    if tags is None:
        return
    _require_ours(tags, place)
    count = 0
    for page in bucket.pages(""):
        bucket.delete([key for key, _ in page])
        count += len(page)
        log.info("removing a volume's objects", bucket=place.bucket, objects=count)
    bucket.abort_uploads("")
    bucket.remove()


def _archive(place: places.Place, life: str) -> str:
    parent, slash, name = place.path.rpartition("/")
    return f"{parent}{slash}{_ARCHIVED}{name}{f'.{life}' if life else ''}/"


def _require_nothing_in(bucket: storage.Bucket, place: places.Place) -> None:
    """Raise Exists for objects that were there before: DeleteVolume would take them along."""
    page = next(bucket.pages(place.marker), [])
    found = next((key for key, _ in page if key != place.marker), "")
    if found:
        raise errors.Exists(
            f"directory {place.path} of bucket {place.bucket} has objects already, such as "
            f"{found!r}, and is no volume's; choose another path, or use it by volumeAs sharepath"
        )


def _require_same(found: Mapping[str, str] | None, wanted: Mapping[str, str], what: str) -> None:
    if found is None or found.get(_NAME) != wanted[_NAME]:
        raise errors.Exists(f"{what} is there already and is not this volume's")
    if found.get(_BYTES) != wanted[_BYTES]:
        raise errors.Exists(
            f"volume {wanted[_NAME]} exists with {found.get(_BYTES)} bytes, not {wanted[_BYTES]}"
        )


def _require_ours(mark: Mapping[str, str], place: places.Place) -> None:
    name = mark.get(_NAME, "")
    if not places.is_of(place, name):
        whose = f"is of another volume ({name})" if name else "does not carry a volume's name"
        raise errors.Precondition(f"{place.path or place.bucket} {whose}; it is not deleted")
