"""Lists of uploads and of their parts."""

from collections.abc import Iterable

from sim.oss import calls, errors, multipart, rules, told, xml

_LIST_MAX = 1000


@calls.operation("ListParts", "GET", calls.Level.OBJECT, "uploadId")
def list_parts(call: calls.Call) -> calls.Answer:
    """The parts there are."""
    upload = multipart.find_upload(call)
    most = rules.positive(call.ask, "max-parts", _LIST_MAX, _LIST_MAX)
    after = rules.positive(call.ask, "part-number-marker", 0, rules.PARTS_MAX)
    found = [row for row in call.rows.parts(upload.upload_id) if row.number > after]
    page = found[:most]
    last = page[-1].number if page else after
    items: list[xml.Item] = [
        ("Bucket", upload.bucket),
        ("Key", told.name_of(upload.key, call.ask.values.get("encoding-type", ""))),
        ("UploadId", upload.upload_id),
        ("StorageClass", upload.storage_class),
        ("PartNumberMarker", str(after)),
        ("NextPartNumberMarker", str(last)),
        ("MaxParts", str(most)),
        ("IsTruncated", "true" if len(found) > most else "false"),
    ]
    for row in page:
        about = [
            ("PartNumber", str(row.number)),
            ("LastModified", told.iso(row.modified_s)),
            ("ETag", f'"{row.etag}"'),
            ("HashCrc64ecma", row.crc64),
            ("Size", str(row.size_bytes)),
        ]
        items.append(("Part", about))
    return _answer(call, "ListPartsResult", items)


@calls.operation("ListMultipartUploads", "GET", calls.Level.BUCKET, "uploads")
def list_uploads(call: calls.Call) -> calls.Answer:
    """Uploads that are neither complete nor given up."""
    bucket, values = call.bucket(), call.ask.values
    if values.get("delimiter"):
        raise errors.not_implemented("delimiter in a list of uploads")
    most = rules.positive(call.ask, "max-uploads", _LIST_MAX, _LIST_MAX)
    after = (values.get("key-marker", ""), values.get("upload-id-marker", ""))
    prefix = values.get("prefix", "")
    encoding = values.get("encoding-type", "")
    found = [
        row
        for row in call.rows.uploads(bucket.name)
        if row.key.startswith(prefix)
        and (row.key > after[0] or (row.key == after[0] and "" < after[1] < row.upload_id))
    ]
    page = found[:most]
    items: list[xml.Item] = [
        ("Bucket", bucket.name),
        ("KeyMarker", told.name_of(after[0], encoding)),
        ("UploadIdMarker", after[1]),
        ("NextKeyMarker", told.name_of(page[-1].key, encoding) if page else ""),
        ("NextUploadIdMarker", page[-1].upload_id if page else ""),
        ("Delimiter", ""),
        ("Prefix", told.name_of(prefix, encoding)),
        ("MaxUploads", str(most)),
        ("IsTruncated", "true" if len(found) > most else "false"),
    ]
    for row in page:
        about = [
            ("Key", told.name_of(row.key, encoding)),
            ("UploadId", row.upload_id),
            ("StorageClass", row.storage_class),
            ("Initiated", told.iso(row.started_s)),
        ]
        items.append(("Upload", about))
    return _answer(call, "ListMultipartUploadsResult", items)


def _answer(call: calls.Call, root: str, items: Iterable[xml.Item]) -> calls.Answer:
    return calls.Answer(body=xml.document(root, items, namespace=told.namespace(call.ask)))
