"""Lists of objects: version 1 and version 2."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from sim.oss import calls, errors, listing, rules, told, xml

_KEYS_MAX = 1000
_DEFAULT_KEYS = 100


@calls.operation("ListObjects", "GET", calls.Level.BUCKET, access=calls.Access.READ)
def list_objects(call: calls.Call) -> calls.Answer:
    """One page of a bucket's keys."""
    values = call.ask.values
    if values.get("list-type", "") not in ("", "1", "2"):
        raise errors.invalid_argument(
            "The list type must be 1 or 2.", name="list-type", value=values["list-type"]
        )
    is_second = values.get("list-type") == "2"
    encoding = _encoding(call)
    # S3 clients expect a thousand when they say nothing.
    default = _DEFAULT_KEYS if not told.namespace(call.ask) else _KEYS_MAX
    most = rules.positive(call.ask, "max-keys", default, _KEYS_MAX)
    marker = _marker(values) if is_second else values.get("marker", "")
    found = {row["key"]: row for row in call.rows.objects(call.bucket().name)}
    prefix, delimiter = values.get("prefix", ""), values.get("delimiter", "")
    page = listing.page(
        sorted(found, key=str.encode),
        prefix=prefix,
        delimiter=delimiter,
        marker=marker,
        most=most,
    )
    rows: list[xml.Item] = [
        ("Name", call.ask.bucket),
        ("Prefix", told.name_of(prefix, encoding)),
        ("MaxKeys", str(most)),
        ("Delimiter", told.name_of(delimiter, encoding)),
        ("IsTruncated", "true" if page.next_marker else "false"),
    ]
    if encoding:
        rows.append(("EncodingType", encoding))
    rows += _second(values, page, encoding) if is_second else _first(marker, page, encoding)
    with_owner = not is_second or values.get("fetch-owner", "").lower() == "true"
    account_id = call.cloud.world.account_id
    rows += [
        ("Contents", _contents(found[key], encoding, account_id, with_owner=with_owner))
        for key in page.keys
    ]
    rows += [
        ("CommonPrefixes", (("Prefix", told.name_of(row, encoding)),)) for row in page.prefixes
    ]
    body = xml.document("ListBucketResult", rows, namespace=told.namespace(call.ask))
    return calls.Answer(body=body)


def _first(marker: str, page: listing.Page, encoding: str) -> list[xml.Item]:
    rows: list[xml.Item] = [("Marker", told.name_of(marker, encoding))]
    if page.next_marker:
        rows.append(("NextMarker", told.name_of(page.next_marker, encoding)))
    return rows


def _second(values: dict[str, str], page: listing.Page, encoding: str) -> list[xml.Item]:
    rows: list[xml.Item] = [("KeyCount", str(len(page.keys) + len(page.prefixes)))]
    if "start-after" in values:
        rows.append(("StartAfter", told.name_of(values["start-after"], encoding)))
    if "continuation-token" in values:
        rows.append(("ContinuationToken", values["continuation-token"]))
    if page.next_marker:
        token = base64.b64encode(page.next_marker.encode()).decode()
        rows.append(("NextContinuationToken", token))
    return rows


def _marker(values: dict[str, str]) -> str:
    token = values.get("continuation-token", "")
    if not token:
        return values.get("start-after", "")
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as e:
        raise errors.invalid_argument(
            "The continuation token is not one of this list.",
            name="continuation-token",
            value=token,
        ) from e


def _encoding(call: calls.Call) -> str:
    given = call.ask.values.get("encoding-type", "")
    if given not in ("", "url"):
        raise errors.invalid_argument(
            "Invalid Encoding Method specified in Request.", name="encoding-type", value=given
        )
    return given


def _contents(
    row: Mapping[str, Any], encoding: str, account_id: str, *, with_owner: bool
) -> list[xml.Item]:
    items: list[xml.Item] = [
        ("Key", told.name_of(row["key"], encoding)),
        ("LastModified", told.iso(row["modified_s"])),
        ("ETag", f'"{row["etag"]}"'),
        ("Type", row["type"]),
        ("Size", str(row["size_bytes"])),
        ("StorageClass", row["storage_class"]),
    ]
    if with_owner:
        items.append(told.owner(account_id))
    return items
