"""Multipart uploads."""

import dataclasses
import hashlib
import re
from collections.abc import Iterable

from sim.oss import (
    blobs,
    calls,
    copying,
    errors,
    model,
    object_operations,
    rules,
    told,
    xml,
)

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@calls.operation(
    "InitiateMultipartUpload",
    "POST",
    calls.Level.OBJECT,
    "uploads",
    ram="PutObject",
    access=calls.Access.WRITE,
    changes=True,
)
def initiate(call: calls.Call) -> calls.Answer:
    """Begin an upload; its id."""
    ask, bucket = call.ask, call.bucket()
    rules.check_key(ask.key)
    headers, meta = told.kept(ask)
    rules.check_meta(meta)
    made = model.Upload(
        upload_id=call.cloud.ids.secret(32).upper(),
        bucket=bucket.name,
        key=ask.key,
        started_s=call.now_s,
        storage_class=rules.storage_class(ask, bucket.storage_class),
        acl=rules.object_acl(ask),
        headers=headers,
        meta=meta,
        tags=object_operations.asked_tags(call),
    )
    call.rows.put(made)
    items = [("Bucket", bucket.name), ("Key", ask.key), ("UploadId", made.upload_id)]
    return _answer(call, "InitiateMultipartUploadResult", items)


@calls.operation(
    "UploadPart",
    "PUT",
    calls.Level.OBJECT,
    "uploadId",
    ram="PutObject",
    access=calls.Access.WRITE,
    takes_bytes=True,
    changes=True,
)
def upload_part(call: calls.Call) -> calls.Answer:
    """Write one part; the same number again replaces it."""
    assert call.written is not None  # noqa: S101 - takes_bytes
    made = _put_part(call, find_upload(call), call.written)
    return calls.Answer(headers=_digests(made.etag, made.crc64))


@calls.operation(
    "UploadPartCopy",
    "COPY",
    calls.Level.OBJECT,
    "uploadId",
    ram="PutObject",
    access=calls.Access.WRITE,
    changes=True,
)
def upload_part_copy(call: calls.Call) -> calls.Answer:
    """Make a part of an object's bytes."""
    upload = find_upload(call)
    source = copying.find_source(call)
    start, length = 0, source.size_bytes
    text = call.ask.own("copy-source-range")
    if text:
        match = _RANGE.fullmatch(text)
        if match is None or not int(match[1]) <= int(match[2]) < source.size_bytes:
            raise errors.invalid_argument(
                f"The range must lie within the source's {source.size_bytes} bytes.",
                name="x-oss-copy-source-range",
                value=text,
            )
        start, length = int(match[1]), int(match[2]) - int(match[1]) + 1
    made = _put_part(call, upload, call.blobs.copy(source.blob, start, length))
    items = [("LastModified", told.iso(made.modified_s)), ("ETag", f'"{made.etag}"')]
    answer = _answer(call, "CopyPartResult", items)
    return dataclasses.replace(answer, headers=_digests(made.etag, made.crc64))


@calls.operation(
    "CompleteMultipartUpload",
    "POST",
    calls.Level.OBJECT,
    "uploadId",
    ram="PutObject",
    access=calls.Access.WRITE,
    changes=True,
)
def complete(call: calls.Call) -> calls.Answer:
    """Make the object of the parts that are named."""
    upload = find_upload(call)
    bucket = call.bucket()
    object_operations.refuse_overwrite(call, bucket)
    parts = {row.number: row for row in call.rows.parts(upload.upload_id)}
    if call.ask.header("x-oss-complete-all") == "yes":
        chosen = list(parts.values())
    else:
        chosen = [_chosen(parts, number, etag) for number, etag in _named(call.body)]
    if not chosen:
        raise errors.malformed_xml()
    for row in chosen[:-1]:
        if row.size_bytes < rules.PART_BYTES_MIN:
            raise errors.OssError(
                "EntityTooSmall",
                400,
                "Your proposed upload smaller than the minimum allowed size.",
                more={
                    "MinSizeAllowed": str(rules.PART_BYTES_MIN),
                    "ProposedSize": str(row.size_bytes),
                    "PartNumber": str(row.number),
                },
            )
    writer = call.blobs.join([row.blob for row in chosen])
    digest = hashlib.md5(
        b"".join(bytes.fromhex(row.etag) for row in chosen), usedforsecurity=False
    ).hexdigest()
    made = model.Object(
        bucket=upload.bucket,
        key=upload.key,
        blob=call.finish(writer),
        size_bytes=writer.size_bytes,
        etag=f"{digest.upper()}-{len(chosen)}",
        crc64=writer.crc64,
        modified_s=call.now_s,
        type="Multipart",
        storage_class=upload.storage_class,
        acl=upload.acl,
        headers=upload.headers,
        meta=upload.meta,
        tags=upload.tags,
    )
    object_operations.replace(call, made)
    _forget(call, upload)
    place = f"http://{bucket.name}.oss-{bucket.region_id}.aliyuncs.com/{upload.key}"
    items = [
        ("Location", place),
        ("Bucket", upload.bucket),
        ("Key", upload.key),
        ("ETag", f'"{made.etag}"'),
    ]
    answer = _answer(call, "CompleteMultipartUploadResult", items)
    return dataclasses.replace(answer, headers=_digests(made.etag, made.crc64))


@calls.operation(
    "AbortMultipartUpload",
    "DELETE",
    calls.Level.OBJECT,
    "uploadId",
    access=calls.Access.WRITE,
    changes=True,
)
def abort(call: calls.Call) -> calls.Answer:
    """Give an upload up, with its parts."""
    _forget(call, find_upload(call))
    return calls.Answer(status=204)


def find_upload(call: calls.Call) -> model.Upload:
    """The upload that a request names. Raises OssError NoSuchUpload."""
    bucket = call.bucket()
    upload_id = call.ask.values["uploadId"]
    found = call.rows.upload(upload_id)
    if found is None or (found.bucket, found.key) != (bucket.name, call.ask.key):
        raise errors.no_such_upload(upload_id)
    return found


def _put_part(call: calls.Call, upload: model.Upload, writer: blobs.Writer) -> model.Part:
    number = rules.positive(call.ask, "partNumber", 0, rules.PARTS_MAX)
    if number == 0:
        raise errors.invalid_argument(
            f"Part number must be an integer between 1 and {rules.PARTS_MAX}, inclusive.",
            name="partNumber",
            value=call.ask.values.get("partNumber", ""),
        )
    made = model.Part(
        upload_id=upload.upload_id,
        number=number,
        blob=call.finish(writer),
        size_bytes=writer.size_bytes,
        etag=writer.etag,
        crc64=writer.crc64,
        modified_s=call.now_s,
    )
    parts = call.rows.parts(upload.upload_id)
    call.unused += [row.blob for row in parts if row.number == number]
    call.rows.put(made)
    return made


def _forget(call: calls.Call, upload: model.Upload) -> None:
    for row in call.rows.parts(upload.upload_id):
        call.unused.append(row.blob)
        call.rows.delete(row)
    call.rows.delete(upload)


def _named(body: bytes) -> list[tuple[int, str]]:
    """(number, ETag) of each part that a Complete names. Raises OssError."""
    rows = []
    for part in errors.parsed(body).iter("Part"):
        number = (part.findtext("PartNumber") or "").strip()
        if not number.isdecimal():
            raise errors.malformed_xml()
        rows.append((int(number), (part.findtext("ETag") or "").strip().strip('"').upper()))
    if [number for number, _ in rows] != sorted({number for number, _ in rows}):
        raise errors.OssError(
            "InvalidPartOrder", 400, "The list of parts was not in ascending order."
        )
    return rows


def _chosen(parts: dict[int, model.Part], number: int, etag: str) -> model.Part:
    found = parts.get(number)
    if found is None or found.etag != etag:
        raise errors.OssError(
            "InvalidPart",
            400,
            "One or more of the specified parts could not be found or the specified entity tag "
            "might not have matched the part's entity tag.",
            more={"PartNumber": str(number)},
        )
    return found


def _digests(etag: str, crc64: str) -> dict[str, str]:
    return {"ETag": f'"{etag}"', "x-oss-hash-crc64ecma": crc64}


def _answer(call: calls.Call, root: str, items: Iterable[xml.Item]) -> calls.Answer:
    return calls.Answer(body=xml.document(root, items, namespace=told.namespace(call.ask)))
