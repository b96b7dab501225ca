"""How OSS writes times, owners and what is known of an object. Pure."""

import email.utils
import urllib.parse
from collections.abc import Mapping
from datetime import UTC, datetime

from sim.oss import model, wire, xml

KEPT_HEADERS = (
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-type",
    "expires",
)  # fmt: skip
"""Headers of an upload that a download has again."""


def iso(epoch_s: float) -> str:
    """As in XML bodies: 2026-11-24T12:00:00.000Z."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def http_date(epoch_s: float) -> str:
    """As in headers."""
    return email.utils.formatdate(epoch_s, usegmt=True)


def owner(account_id: str) -> xml.Item:
    """The one account of this cloud."""
    return ("Owner", (("ID", account_id), ("DisplayName", account_id)))


def namespace(ask: wire.OssRequest) -> str:
    """Of answers in the S3 dialect; OSS has none."""
    return xml.S3_NAMESPACE if ask.dialect is wire.Dialect.S3 else ""


def name_of(text: str, encoding: str) -> str:
    """A key in a listing. encoding: "url" or ""."""
    return urllib.parse.quote(text, safe="/*-_.~") if encoding == "url" else text


def object_headers(ask: wire.OssRequest, row: model.Object) -> dict[str, str]:
    """What HEAD and GET say of an object, without its length."""
    own = ask.dialect.value
    headers = {
        "ETag": f'"{row.etag}"',
        "Last-Modified": http_date(row.modified_s),
        "Accept-Ranges": "bytes",
        f"{own}storage-class": row.storage_class,
        "x-oss-object-type": row.type,
        "x-oss-hash-crc64ecma": row.crc64,
    }
    headers.update({_title(name): value for name, value in row.headers.items()})
    if row.tags:
        headers[f"{own}tagging-count"] = str(len(row.tags))
    headers.update({f"{own}meta-{name}": value for name, value in row.meta.items()})
    return headers


def kept(ask: wire.OssRequest) -> tuple[dict[str, str], dict[str, str]]:
    """(standard headers, user's metadata) of an upload, as an object keeps them."""
    headers = {name: ask.header(name) for name in KEPT_HEADERS if ask.header(name)}
    headers.setdefault("content-type", "application/octet-stream")
    encodings = [part.strip() for part in headers.pop("content-encoding", "").split(",")]
    # Of the way here, not of the object.
    if lasting := [part for part in encodings if part not in ("", "aws-chunked")]:
        headers["content-encoding"] = ",".join(lasting)
    prefix = f"{ask.dialect.value}meta-"
    meta: Mapping[str, str] = {
        name.removeprefix(prefix): value for name, value in ask.headers if name.startswith(prefix)
    }
    return headers, dict(meta)


def _title(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("-"))
