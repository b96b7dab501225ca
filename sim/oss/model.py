"""Rows of buckets, objects, uploads and parts. Not here: their bytes (blobs.py)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from sim import store as store_module

BUCKET = "oss_bucket"
OBJECT = "oss_object"
UPLOAD = "oss_upload"
PART = "oss_part"
ACLS = ("private", "public-read", "public-read-write")
DEFAULT_ACL = "default"
"""ACL of an object that has none of its own: the bucket's counts."""
STORAGE_CLASSES = ("Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket. created_s: simulated epoch seconds."""

    name: str
    region_id: str
    acl: str
    storage_class: str
    created_s: float
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object. blob: where its bytes are. crc64: decimal text. etag: without quotes.

    headers: standard ones that are given back, such as content-type, names in lower case. meta: the
    user's, without the prefix. type: Normal or Multipart. acl: of ACLS or DEFAULT_ACL.
    """

    bucket: str
    key: str
    blob: str
    size_bytes: int
    etag: str
    crc64: str
    modified_s: float
    type: str = "Normal"
    storage_class: str = "Standard"
    acl: str = DEFAULT_ACL
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    meta: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A multipart upload that is not complete."""

    upload_id: str
    bucket: str
    key: str
    started_s: float
    storage_class: str
    acl: str
    headers: Mapping[str, str]
    meta: Mapping[str, str]
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of an upload."""

    upload_id: str
    number: int
    blob: str
    size_bytes: int
    etag: str
    crc64: str
    modified_s: float


class Rows:
    """The rows, typed. Writes need a transaction of the store."""

    def __init__(self, store: store_module.Store) -> None:
        self._store = store

    def bucket(self, name: str) -> Bucket | None:
        row = self._store.get(BUCKET, name)
        return None if row is None else Bucket(**row)

    def buckets(self) -> list[Bucket]:
        """By name."""
        return sorted((Bucket(**row) for row in self._store.all(BUCKET)), key=lambda row: row.name)

    def object(self, bucket: str, key: str) -> Object | None:
        row = self._store.get(OBJECT, f"{bucket}/{key}")
        return None if row is None else Object(**row)

    def objects(self, bucket: str) -> list[Mapping[str, Any]]:
        """Plain rows of a bucket's objects, in no order: lists look at thousands."""
        return list(self._store.by(OBJECT, "bucket", bucket))

    def upload(self, upload_id: str) -> Upload | None:
        row = self._store.get(UPLOAD, upload_id)
        return None if row is None else Upload(**row)

    def uploads(self, bucket: str) -> list[Upload]:
        """By key, then by id."""
        found = (Upload(**row) for row in self._store.by(UPLOAD, "bucket", bucket))
        return sorted(found, key=lambda row: (row.key, row.upload_id))

    def parts(self, upload_id: str) -> list[Part]:
        """By number."""
        found = (Part(**row) for row in self._store.by(PART, "upload_id", upload_id))
        return sorted(found, key=lambda row: row.number)

    def put(self, row: Bucket | Object | Upload | Part) -> None:
        """Add or replace."""
        kind, row_id = _address(row)
        self._store.put(kind, row_id, dataclasses.asdict(row))

    def delete(self, row: Bucket | Object | Upload | Part) -> None:
        """Remove."""
        self._store.delete(*_address(row))

    def blobs(self) -> set[str]:
        """Every blob that a row names."""
        rows = (*self._store.all(OBJECT), *self._store.all(PART))
        return {row["blob"] for row in rows}


def _address(row: Bucket | Object | Upload | Part) -> tuple[str, str]:
    match row:
        case Bucket():
            return BUCKET, row.name
        case Object():
            return OBJECT, f"{row.bucket}/{row.key}"
        case Upload():
            return UPLOAD, row.upload_id
        case Part():
            return PART, f"{row.upload_id}/{row.number:05d}"
