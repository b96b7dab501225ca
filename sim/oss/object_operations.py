"""Objects: put, get, head, delete, one or many."""

import base64
import contextlib
import email.utils
import re

from sim.oss import calls, errors, model, rules, tags, told, wire, xml

_KEYS_AT_ONCE = 1000
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_OVERRIDES = tuple(f"response-{name}" for name in told.KEPT_HEADERS)


@calls.operation(
    "PutObject",
    "PUT",
    calls.Level.OBJECT,
    access=calls.Access.WRITE,
    takes_bytes=True,
    changes=True,
)
def put_object(call: calls.Call) -> calls.Answer:
    """Write a whole object."""
    ask, writer = call.ask, call.written
    assert writer is not None  # noqa: S101 - takes_bytes
    bucket = call.bucket()
    rules.check_key(ask.key)
    refuse_overwrite(call, bucket)
    headers, meta = told.kept(ask)
    rules.check_meta(meta)
    headers["content-md5"] = base64.b64encode(writer.md5).decode()
    made = model.Object(
        bucket=bucket.name,
        key=ask.key,
        blob=call.finish(writer),
        size_bytes=writer.size_bytes,
        etag=writer.etag,
        crc64=writer.crc64,
        modified_s=call.now_s,
        storage_class=rules.storage_class(ask, bucket.storage_class),
        acl=rules.object_acl(ask),
        headers=headers,
        meta=meta,
        tags=asked_tags(call),
    )
    replace(call, made)
    return calls.Answer(
        headers={
            "ETag": f'"{made.etag}"',
            "x-oss-hash-crc64ecma": made.crc64,
            "Content-MD5": headers["content-md5"],
        }
    )


@calls.operation("GetObject", "GET", calls.Level.OBJECT, access=calls.Access.READ)
def get_object(call: calls.Call) -> calls.Answer:
    """Read an object or a range of it."""
    found = readable(call)
    unmet = unmet_condition(call.ask, found)
    if unmet is not None:
        return unmet
    headers = told.object_headers(call.ask, found)
    for name in _OVERRIDES:
        if name not in call.ask.values:
            continue
        value = call.ask.values[name]
        if not value.isprintable():
            raise errors.invalid_argument("No value of a header.", name=name, value=value)
        headers[name.removeprefix("response-").title()] = value
    content_type = headers.pop("Content-Type")
    span = _span(call.ask, found.size_bytes)
    start, length = span or (0, found.size_bytes)
    if span is not None:
        headers.pop("Content-Md5", None)
        last = start + length - 1
        headers["Content-Range"] = f"bytes {start}-{last}/{found.size_bytes}"
    return calls.Answer(
        status=200 if span is None else 206,
        headers=headers,
        body=calls.Slice(blob=found.blob, start=start, length=length),
        content_type=content_type,
    )


@calls.operation(
    "HeadObject", "HEAD", calls.Level.OBJECT, ram="GetObject", access=calls.Access.READ
)
def head_object(call: calls.Call) -> calls.Answer:
    """What is known of an object."""
    found = readable(call)
    unmet = unmet_condition(call.ask, found)
    if unmet is not None:
        return unmet
    headers = told.object_headers(call.ask, found)
    headers["Content-Length"] = str(found.size_bytes)
    return calls.Answer(headers=headers, content_type=headers.pop("Content-Type"))


@calls.operation(
    "GetObjectMeta",
    "HEAD",
    calls.Level.OBJECT,
    "objectMeta",
    ram="GetObject",
    access=calls.Access.READ,
)
def get_object_meta(call: calls.Call) -> calls.Answer:
    """Length, ETag and time alone."""
    found = readable(call)
    return calls.Answer(
        headers={
            "ETag": f'"{found.etag}"',
            "Last-Modified": told.http_date(found.modified_s),
            "x-oss-hash-crc64ecma": found.crc64,
            "Content-Length": str(found.size_bytes),
        }
    )


@calls.operation(
    "DeleteObject", "DELETE", calls.Level.OBJECT, access=calls.Access.WRITE, changes=True
)
def delete_object(call: calls.Call) -> calls.Answer:
    """Delete an object; one that is not there is fine."""
    _delete(call, call.bucket(), call.ask.key)
    return calls.Answer(status=204)


@calls.operation(
    "DeleteMultipleObjects",
    "POST",
    calls.Level.BUCKET,
    "delete",
    ram="DeleteObject",
    access=calls.Access.WRITE,
    changes=True,
)
def delete_multiple_objects(call: calls.Call) -> calls.Answer:
    """Delete up to a thousand objects; each key's permission counts for itself."""
    bucket = call.bucket()
    if not call.ask.header("content-md5") and call.ask.dialect is wire.Dialect.OSS:
        raise errors.OssError("MissingContentMD5", 400, "The Content-MD5 header is required.")
    root = errors.parsed(call.body)
    keys = [row.findtext("Key") or "" for row in root.iter("Object")]
    if not keys or len(keys) > _KEYS_AT_ONCE or not all(keys):
        raise errors.malformed_xml()
    quiet = (root.findtext("Quiet") or "").lower() == "true"
    encoding = call.ask.values.get("encoding-type", "")
    items: list[xml.Item] = [("EncodingType", encoding)] if encoding else []
    for key in keys:
        refusal = _try_delete(call, bucket, key)
        if refusal is not None:
            code = (("Code", refusal.code), ("Message", refusal.message))
            items.append(("Error", (("Key", told.name_of(key, encoding)), *code)))
        elif not quiet:
            items.append(("Deleted", (("Key", told.name_of(key, encoding)),)))
    body = xml.document("DeleteResult", items, namespace=told.namespace(call.ask))
    return calls.Answer(body=body)


@calls.operation("AppendObject", "POST", calls.Level.OBJECT, "append", ram="PutObject")
def append_object(_: calls.Call) -> calls.Answer:
    """Not simulated: no volume needs it."""
    raise errors.not_implemented("appendable objects; put the whole object instead")


def readable(call: calls.Call) -> model.Object:
    """The object that a request reads. Raises OssError NoSuchKey."""
    bucket = call.bucket()
    found = call.rows.object(bucket.name, call.ask.key)
    if found is None:
        raise errors.no_such_key(call.ask.key)
    return found


def asked_tags(call: calls.Call) -> dict[str, str]:
    """The tags an upload gives its object. Raises OssError InvalidTag, AccessDenied."""
    found = tags.given(call.ask)
    if found:
        call.require("oss:PutObjectTagging", call.bucket(), call.ask.key, calls.Access.NONE)
    return found


def replace(call: calls.Call, made: model.Object) -> None:
    """Put *made* in the place of what has its key."""
    old = call.rows.object(made.bucket, made.key)
    if old is not None:
        call.unused.append(old.blob)
    call.rows.put(made)


def refuse_overwrite(call: calls.Call, bucket: model.Bucket) -> None:
    """Raise OssError FileAlreadyExists for `x-oss-forbid-overwrite: true` where there is one."""
    forbidden = call.ask.header("x-oss-forbid-overwrite").lower() == "true"
    forbidden = forbidden or call.ask.header("if-none-match") == "*"
    if forbidden and call.rows.object(bucket.name, call.ask.key) is not None:
        raise errors.OssError(
            "FileAlreadyExists",
            409,
            "The object you specified already exists and can not be overwritten.",
            ec="0026-00000023",
        )


def unmet_condition(
    ask: wire.OssRequest, found: model.Object, prefix: str = ""
) -> calls.Answer | None:
    """304 when a reader has it already. Raises OssError PreconditionFailed.

    prefix: of the headers' names, `x-oss-copy-source-` for a copy.
    """
    etag = ask.header(f"{prefix}if-match").strip('"')
    since_s = _http_s(ask.header(f"{prefix}if-unmodified-since"))
    changed = since_s is not None and int(found.modified_s) > since_s
    if (etag and etag not in (found.etag, "*")) or (changed and not etag):
        raise errors.OssError(
            "PreconditionFailed",
            412,
            "At least one of the pre-conditions you specified did not hold.",
            more={"Condition": "If-Match" if etag else "If-Unmodified-Since"},
        )
    other = ask.header(f"{prefix}if-none-match").strip('"')
    since_s = _http_s(ask.header(f"{prefix}if-modified-since"))
    same = other in (found.etag, "*") if other else None
    old = since_s is not None and int(found.modified_s) <= since_s
    if same or (same is None and old):
        headers = {"ETag": f'"{found.etag}"', "Last-Modified": told.http_date(found.modified_s)}
        return calls.Answer(status=304, headers=headers)
    return None


def _span(ask: wire.OssRequest, size_bytes: int) -> tuple[int, int] | None:
    """(start, length) of a Range header; None = all of it.

    OSS answers a range that goes beyond the object with everything, unless it is asked for the
    standard. Source: API page of GetObject, x-oss-range-behavior.
    """
    text = ask.header("range")
    if not text:
        return None
    own_way = ask.dialect is wire.Dialect.OSS and ask.header("x-oss-range-behavior") != "standard"
    match = _RANGE.fullmatch(text.replace(" ", ""))
    if match is not None and any(match.groups()):
        first, last = match.groups()
        start = int(first) if first else max(size_bytes - int(last), 0)
        end = size_bytes - 1 if not (first and last) else int(last)
        goes_beyond = end >= size_bytes
        end = min(end, size_bytes - 1)
        if start <= end and (first or int(last)) and not (goes_beyond and own_way):
            return start, end - start + 1
    if own_way:
        return None
    raise errors.OssError(
        "InvalidRange",
        416,
        "The requested range cannot be satisfied.",
        more={"ActualObjectSize": str(size_bytes), "RangeRequested": text},
    )


def _http_s(text: str) -> float | None:
    if not text:
        return None
    with contextlib.suppress(ValueError):
        return email.utils.parsedate_to_datetime(text).timestamp()
    return None


def _delete(call: calls.Call, bucket: model.Bucket, key: str) -> None:
    found = call.rows.object(bucket.name, key)
    if found is not None:
        call.unused.append(found.blob)
        call.rows.delete(found)


def _try_delete(call: calls.Call, bucket: model.Bucket, key: str) -> errors.OssError | None:
    try:
        call.require("oss:DeleteObject", bucket, key, calls.Access.WRITE)
    except errors.OssError as e:
        return e
    _delete(call, bucket, key)
    return None
