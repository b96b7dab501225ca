"""What an OSS request says of who sent it: its signature, whichever of the six forms. Pure."""

import dataclasses
import email.utils
import re
from datetime import UTC, datetime

from sim.oss import chunks, errors, signature, wire

_LONGEST_URL_S = 7 * 24 * 3600
_V1 = re.compile(r"OSS ([^:]+):(.+)")
_COMPACT = "%Y%m%dT%H%M%SZ"
_REGION = "0002-00000226"
"""EC of a V4 signature for another region; seen in issue 29 of alibabacloud-oss-go-sdk-v2."""
_PRODUCT = "0002-00000227"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a request says. sent_s: epoch seconds; expires_s: of a presigned URL, None = a header.

    string: what was signed. chunks_date: of a body whose chunks are signed too, "" = it is not.
    """

    access_key_id: str
    given: str
    string: str
    scope: str
    algorithm: str
    sent_s: float | None
    expires_s: float | None
    chunks_date: str = ""


def read(ask: wire.OssRequest, region_id: str) -> Claim | None:
    """What *ask* claims; None when it is not signed. Raises OssError."""
    header = ask.header("authorization")
    if header.startswith("OSS4-HMAC-SHA256"):
        return _v4(ask, _fields(header), region_id)
    if header.startswith("AWS4-HMAC-SHA256"):
        return _s3(ask, _fields(header), region_id)
    if header.startswith("OSS "):
        return _v1(ask, header)
    if header:
        raise errors.invalid_argument(
            "The authorization header is not one this cloud knows (OSS V1, OSS V4, AWS SigV4).",
            ec="0002-00000010",
        )
    return _read_url(ask, region_id)


def _read_url(ask: wire.OssRequest, region_id: str) -> Claim | None:
    if "x-oss-signature" in ask.values:
        return _v4_url(ask, region_id)
    if "X-Amz-Algorithm" in ask.values:
        return _s3_url(ask, region_id)
    if "OSSAccessKeyId" in ask.values:
        return _v1_url(ask)
    return None


def _v1(ask: wire.OssRequest, header: str) -> Claim:
    match = _V1.fullmatch(header)
    if match is None:
        raise errors.invalid_argument("Authorization header is invalid.", ec="0002-00000002")
    date = ask.header("x-oss-date") or ask.header("date")
    if not date:
        raise errors.access_denied("OSS authentication requires a valid Date.", ec="0002-00000003")
    return Claim(
        access_key_id=match[1],
        given=match[2],
        string=signature.v1_string(ask, date=date),
        scope="",
        algorithm="OSS",
        sent_s=_http_date_s(date),
        expires_s=None,
    )


def _v1_url(ask: wire.OssRequest) -> Claim:
    expires = ask.values.get("Expires", "")
    if not expires.isdecimal() or "Signature" not in ask.values:
        raise errors.access_denied("A presigned URL needs OSSAccessKeyId, Expires and Signature.")
    return Claim(
        access_key_id=ask.values["OSSAccessKeyId"],
        given=ask.values["Signature"],
        string=signature.v1_string(ask, date=expires),
        scope="",
        algorithm="OSS",
        sent_s=None,
        expires_s=float(expires),
    )


def _v4(ask: wire.OssRequest, fields: dict[str, str], region_id: str) -> Claim:
    key_id, scope = _credential(fields.get("Credential", ""))
    _check_scope(scope, region_id, signature.V4_PRODUCT, signature.V4_END)
    # Without its own header, Alibaba's older Go SDK signs the text of Date.
    date = ask.header("x-oss-date") or ask.header("date")
    payload = ask.header("x-oss-content-sha256")
    if payload != signature.UNSIGNED:
        raise errors.invalid_argument(
            "The x-oss-content-sha256 header must be UNSIGNED-PAYLOAD.",
            name="x-oss-content-sha256",
            value=payload,
        )
    additional = [name for name in fields.get("AdditionalHeaders", "").split(";") if name]
    return Claim(
        access_key_id=key_id,
        given=fields.get("Signature", ""),
        string=signature.v4_string(
            ask, date=date, scope=scope, additional=additional, payload=payload
        ),
        scope=scope,
        algorithm="OSS4",
        sent_s=_compact_s(date) or _http_date_s(date),
        expires_s=None,
    )


def _v4_url(ask: wire.OssRequest, region_id: str) -> Claim:
    values = ask.values
    key_id, scope = _credential(values.get("x-oss-credential", ""))
    _check_scope(scope, region_id, signature.V4_PRODUCT, signature.V4_END)
    date = values.get("x-oss-date", "")
    additional = [name for name in values.get("x-oss-additional-headers", "").split(";") if name]
    return Claim(
        access_key_id=key_id,
        given=values["x-oss-signature"],
        string=signature.v4_string(
            ask, date=date, scope=scope, additional=additional, payload=signature.UNSIGNED
        ),
        scope=scope,
        algorithm="OSS4",
        sent_s=None,
        expires_s=_expiry_s(date, values.get("x-oss-expires", "")),
    )


def _s3(ask: wire.OssRequest, fields: dict[str, str], region_id: str) -> Claim:
    key_id, scope = _credential(fields.get("Credential", ""))
    _check_scope(scope, region_id, signature.S3_PRODUCT, signature.S3_END)
    payload = ask.header("x-amz-content-sha256")
    if not payload:
        raise errors.invalid_argument(
            "The x-amz-content-sha256 header must be sent.",
            name="x-amz-content-sha256",
            ec="0002-00000427",
        )
    chunks.require_known(payload, ask.header("content-encoding"))
    date = ask.header("x-amz-date")
    return Claim(
        access_key_id=key_id,
        given=fields.get("Signature", ""),
        string=signature.s3_string(
            ask,
            date=date,
            scope=scope,
            signed_headers=fields.get("SignedHeaders", ""),
            payload=payload,
        ),
        scope=scope,
        algorithm="AWS4",
        sent_s=_compact_s(date),
        expires_s=None,
        chunks_date=date if payload == chunks.SIGNED else "",
    )


def _s3_url(ask: wire.OssRequest, region_id: str) -> Claim:
    values = ask.values
    key_id, scope = _credential(values.get("X-Amz-Credential", ""))
    _check_scope(scope, region_id, signature.S3_PRODUCT, signature.S3_END)
    date = values.get("X-Amz-Date", "")
    return Claim(
        access_key_id=key_id,
        given=values.get("X-Amz-Signature", ""),
        string=signature.s3_string(
            ask,
            date=date,
            scope=scope,
            signed_headers=values.get("X-Amz-SignedHeaders", ""),
            payload=signature.UNSIGNED,
        ),
        scope=scope,
        algorithm="AWS4",
        sent_s=None,
        expires_s=_expiry_s(date, values.get("X-Amz-Expires", "")),
    )


def _fields(header: str) -> dict[str, str]:
    """`name=value` pairs after the algorithm's name."""
    rest = header.partition(" ")[2]
    return dict(part.strip().partition("=")[::2] for part in rest.split(","))


def _credential(text: str) -> tuple[str, str]:
    """(access key id, scope) of `id/date/region/product/end`."""
    key_id, _, scope = text.partition("/")
    if scope.count("/") != 3:
        raise errors.invalid_argument(
            "The Credential of the Authorization header is invalid.", ec="0002-00000205"
        )
    return key_id, scope


def _check_scope(scope: str, region_id: str, product: str, end: str) -> None:
    _, region, named, last = scope.split("/")
    # S3 clients that know no region of OSS sign for its name there, or for S3's default.
    regions = (region_id,) if product == "oss" else (region_id, f"oss-{region_id}", "us-east-1")
    if region not in regions:
        raise errors.invalid_argument("Invalid signing region in Authorization header.", ec=_REGION)
    if named != product or last != end:
        raise errors.invalid_argument(
            "Invalid signing product in Authorization header.", ec=_PRODUCT
        )


def _http_date_s(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _compact_s(text: str) -> float | None:
    try:
        return datetime.strptime(text, _COMPACT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _expiry_s(date: str, seconds: str) -> float:
    began_s = _compact_s(date)
    if began_s is None or not seconds.isdecimal() or not 1 <= int(seconds) <= _LONGEST_URL_S:
        raise errors.access_denied("A presigned URL needs a date and 1 to 604800 seconds.")
    return began_s + int(seconds)
