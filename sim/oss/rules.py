"""What OSS refuses by its name, class or length. Pure."""

import re

from sim.oss import errors, model, wire

OBJECT_BYTES_MAX = 5 * 1024**3
PART_BYTES_MIN = 100 * 1024
PARTS_MAX = 10_000
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_KEY_BYTES_MAX = 1023
_META_BYTES_MAX = 8 * 1024


def check_bucket_name(name: str) -> None:
    """Raise OssError InvalidBucketName."""
    if not _BUCKET.fullmatch(name):
        raise errors.OssError(
            "InvalidBucketName",
            400,
            "The specified bucket is not valid.",
            ec="0015-00000001",
            more={"BucketName": name},
        )


def check_key(key: str) -> None:
    """Raise OssError InvalidObjectName."""
    if len(key.encode()) > _KEY_BYTES_MAX or key.startswith(("/", "\\")):
        raise errors.OssError(
            "InvalidObjectName",
            400,
            "The specified object is not valid.",
            more={"ObjectName": key},
        )


def storage_class(ask: wire.OssRequest, default: str) -> str:
    """The class an upload asks for. Raises OssError InvalidArgument."""
    given = ask.own("storage-class") or default
    if ask.dialect is wire.Dialect.S3:
        given = {"STANDARD": "Standard", "STANDARD_IA": "IA"}.get(given, given)
    if given not in model.STORAGE_CLASSES:
        raise errors.invalid_argument(
            "The storage class you specified is invalid.",
            name=f"{ask.dialect.value}storage-class",
            value=given,
        )
    return given


def acl(text: str, *, of_object: bool) -> str:
    """A canned ACL. Raises OssError InvalidArgument."""
    allowed = (*model.ACLS, *((model.DEFAULT_ACL,) if of_object else ()))
    if text not in allowed:
        raise errors.invalid_argument("no such ACL.", name="x-oss-acl", value=text)
    return text


def object_acl(ask: wire.OssRequest) -> str:
    """The ACL an upload asks for."""
    given = ask.header("x-oss-object-acl") or ask.header("x-amz-acl") or model.DEFAULT_ACL
    return acl(given, of_object=True)


def check_meta(meta: dict[str, str]) -> None:
    """Raise OssError when an upload's metadata are too long."""
    if sum(len(name) + len(value.encode()) for name, value in meta.items()) > _META_BYTES_MAX:
        raise errors.OssError(
            "MetadataTooLarge",
            400,
            "Your metadata headers exceed the maximum allowed metadata size.",
        )


def positive(ask: wire.OssRequest, name: str, default: int, most: int) -> int:
    """A number of the query, 0 to *most*. Raises OssError InvalidArgument."""
    text = ask.values.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) > most:
        raise errors.invalid_argument(
            f"Argument {name} must be an integer between 0 and {most}.", name=name, value=text
        )
    return int(text)
