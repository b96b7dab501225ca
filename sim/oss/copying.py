"""CopyObject: within one cloud, bytes are shared and not moved."""

import dataclasses
import urllib.parse

from sim.oss import calls, errors, model, object_operations, rules, told, wire, xml

_DIRECTIVES = ("", "COPY", "REPLACE")


@calls.operation(
    "CopyObject",
    "COPY",
    calls.Level.OBJECT,
    ram="PutObject",
    access=calls.Access.WRITE,
    changes=True,
)
def copy_object(call: calls.Call) -> calls.Answer:
    """Copy an object, or give one new metadata by copying it to itself."""
    ask = call.ask
    bucket = call.bucket()
    rules.check_key(ask.key)
    object_operations.refuse_overwrite(call, bucket)
    source = find_source(call)
    headers, meta = dict(source.headers), dict(source.meta)
    if _replaces(ask, "metadata-directive"):
        headers, meta = told.kept(ask)
        rules.check_meta(meta)
        if "content-md5" in source.headers:
            headers["content-md5"] = source.headers["content-md5"]
    blob = call.blobs.link(source.blob)
    call.made.append(blob)
    made = dataclasses.replace(
        source,
        bucket=bucket.name,
        key=ask.key,
        blob=blob,
        modified_s=call.now_s,
        storage_class=rules.storage_class(ask, bucket.storage_class),
        acl=rules.object_acl(ask),
        headers=headers,
        meta=meta,
        tags=object_operations.asked_tags(call)
        if _replaces(ask, "tagging-directive")
        else source.tags,
    )
    object_operations.replace(call, made)
    items = (("LastModified", told.iso(made.modified_s)), ("ETag", f'"{made.etag}"'))
    body = xml.document("CopyObjectResult", items, namespace=told.namespace(ask))
    return calls.Answer(
        body=body, headers={"ETag": f'"{made.etag}"', "x-oss-hash-crc64ecma": made.crc64}
    )


def _replaces(ask: wire.OssRequest, name: str) -> bool:
    """Whether what the request gives counts, not what the source has. Raises OssError."""
    directive = ask.own(name).upper()
    if directive not in _DIRECTIVES:
        raise errors.invalid_argument(
            f"The {name} must be COPY or REPLACE.",
            name=f"{ask.dialect.value}{name}",
            value=directive,
        )
    return directive == "REPLACE"


def find_source(call: calls.Call) -> model.Object:
    """The object that `copy-source` names, which the caller may read. Raises OssError."""
    text = call.ask.own("copy-source")
    path, _, query = text.partition("?")
    # Encoded as a form: the Go SDKs send a space as "+".
    name, _, key = urllib.parse.unquote_plus(path).removeprefix("/").partition("/")
    if query:
        raise errors.not_implemented("versions of a copy's source")
    if not name or not key:
        raise errors.invalid_argument(
            "Copy Source must mention the source bucket and key: /sourcebucket/sourcekey.",
            name=f"{call.ask.dialect.value}copy-source",
            value=text,
        )
    bucket = calls.find_bucket(call.rows, call.cloud, name)
    call.require("oss:GetObject", bucket, key, calls.Access.READ)
    found = call.rows.object(name, key)
    if found is None:
        raise errors.no_such_key(key)
    prefix = f"{call.ask.dialect.value}copy-source-"
    if object_operations.unmet_condition(call.ask, found, prefix) is not None:
        raise errors.OssError("NotModified", 304, "The source has not changed.")
    return found
