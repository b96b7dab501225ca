"""Who sent an OSS request: reads its signature, whichever of the six forms, and checks it."""

import base64
import dataclasses
import email.utils
import hmac
import re
import time
from datetime import UTC, datetime

from sim import cloud as cloud_module
from sim import errors as api_errors
from sim import identity
from sim.oss import errors, signature, wire

_WINDOW_S = 15 * 60
_LONGEST_URL_S = 7 * 24 * 3600
_V1 = re.compile(r"OSS ([^:]+):(.+)")
_COMPACT = "%Y%m%dT%H%M%SZ"
_REGION = "0002-00000226"
"""EC of a V4 signature for another region; seen in issue 29 of alibabacloud-oss-go-sdk-v2."""
_PRODUCT = "0002-00000227"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What a request says. sent_s: epoch seconds; expires_s: of a presigned URL, None = a header.

    string: what was signed. sign: of the algorithm, with the key's secret.
    """

    access_key_id: str
    given: str
    string: str
    scope: str
    algorithm: str
    sent_s: float | None
    expires_s: float | None


def authenticate(cloud: cloud_module.Cloud, ask: wire.OssRequest) -> tuple[identity.Principal, str]:
    """The caller and its access key id; the anonymous one and "" of an unsigned request.

    Raises OssError.
    Time is the machine's: clients sign with their own clocks.
    """
    claim = _read(ask, cloud.world.region_id)
    if claim is None:
        return identity.anonymous(cloud.world), ""
    try:
        key = identity.find_key(cloud, claim.access_key_id)
    except api_errors.ApiError as e:
        raise _unknown_key(claim.access_key_id) from e
    _check_signature(claim, key.secret)
    _check_time(claim, time.time())
    _check_token(key, _token(ask), cloud.clock.now_s())
    return key.principal, key.access_key_id


def _read(ask: wire.OssRequest, region_id: str) -> _Claim | None:
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


def _read_url(ask: wire.OssRequest, region_id: str) -> _Claim | None:
    if "x-oss-signature" in ask.values:
        return _v4_url(ask, region_id)
    if "X-Amz-Algorithm" in ask.values:
        return _s3_url(ask, region_id)
    if "OSSAccessKeyId" in ask.values:
        return _v1_url(ask)
    return None


def _v1(ask: wire.OssRequest, header: str) -> _Claim:
    match = _V1.fullmatch(header)
    if match is None:
        raise errors.invalid_argument("Authorization header is invalid.", ec="0002-00000002")
    date = ask.header("x-oss-date") or ask.header("date")
    if not date:
        raise errors.access_denied("OSS authentication requires a valid Date.", ec="0002-00000003")
    return _Claim(
        access_key_id=match[1],
        given=match[2],
        string=signature.v1_string(ask, date=date),
        scope="",
        algorithm="OSS",
        sent_s=_http_date_s(date),
        expires_s=None,
    )


def _v1_url(ask: wire.OssRequest) -> _Claim:
    expires = ask.values.get("Expires", "")
    if not expires.isdecimal() or "Signature" not in ask.values:
        raise errors.access_denied("A presigned URL needs OSSAccessKeyId, Expires and Signature.")
    return _Claim(
        access_key_id=ask.values["OSSAccessKeyId"],
        given=ask.values["Signature"],
        string=signature.v1_string(ask, date=expires),
        scope="",
        algorithm="OSS",
        sent_s=None,
        expires_s=float(expires),
    )


def _v4(ask: wire.OssRequest, fields: dict[str, str], region_id: str) -> _Claim:
    key_id, scope = _credential(fields.get("Credential", ""))
    _check_scope(scope, region_id, signature.V4_PRODUCT, signature.V4_END)
    date = ask.header("x-oss-date")
    payload = ask.header("x-oss-content-sha256")
    if payload != signature.UNSIGNED:
        raise errors.invalid_argument(
            "The x-oss-content-sha256 header must be UNSIGNED-PAYLOAD.",
            name="x-oss-content-sha256",
            value=payload,
        )
    additional = [name for name in fields.get("AdditionalHeaders", "").split(";") if name]
    return _Claim(
        access_key_id=key_id,
        given=fields.get("Signature", ""),
        string=signature.v4_string(
            ask, date=date, scope=scope, additional=additional, payload=payload
        ),
        scope=scope,
        algorithm="OSS4",
        sent_s=_compact_s(date),
        expires_s=None,
    )


def _v4_url(ask: wire.OssRequest, region_id: str) -> _Claim:
    values = ask.values
    key_id, scope = _credential(values.get("x-oss-credential", ""))
    _check_scope(scope, region_id, signature.V4_PRODUCT, signature.V4_END)
    date = values.get("x-oss-date", "")
    additional = [name for name in values.get("x-oss-additional-headers", "").split(";") if name]
    return _Claim(
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


def _s3(ask: wire.OssRequest, fields: dict[str, str], region_id: str) -> _Claim:
    key_id, scope = _credential(fields.get("Credential", ""))
    _check_scope(scope, region_id, signature.S3_PRODUCT, signature.S3_END)
    payload = ask.header("x-amz-content-sha256")
    if not payload or payload.startswith("STREAMING-"):
        raise errors.not_implemented(f"chunk signatures (x-amz-content-sha256 {payload!r})")
    date = ask.header("x-amz-date")
    return _Claim(
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
    )


def _s3_url(ask: wire.OssRequest, region_id: str) -> _Claim:
    values = ask.values
    key_id, scope = _credential(values.get("X-Amz-Credential", ""))
    _check_scope(scope, region_id, signature.S3_PRODUCT, signature.S3_END)
    date = values.get("X-Amz-Date", "")
    return _Claim(
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


def _check_signature(claim: _Claim, secret: str) -> None:
    match claim.algorithm:
        case "OSS":
            expected = signature.v1_sign(secret, claim.string)
        case "OSS4":
            expected = signature.v4_sign(secret, claim.scope, claim.string)
        case _:
            expected = signature.s3_sign(secret, claim.scope, claim.string)
    if hmac.compare_digest(expected.encode(), claim.given.encode()):
        return
    raise errors.OssError(
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. Check "
        "your key and signing method.",
        ec="0002-00000040",
        more={
            "OSSAccessKeyId": claim.access_key_id,
            "SignatureProvided": claim.given,
            "StringToSign": claim.string,
            "StringToSignBytes": base64.b16encode(claim.string.encode()).decode(),
        },
    )


def _check_time(claim: _Claim, now_s: float) -> None:
    if claim.expires_s is not None:
        if claim.expires_s < now_s:
            raise errors.access_denied(
                "Request has expired.", ec="0002-00000069", Expires=_told(claim.expires_s)
            )
        return
    if claim.sent_s is None or abs(now_s - claim.sent_s) > _WINDOW_S:
        raise errors.OssError(
            "RequestTimeTooSkewed",
            403,
            "The difference between the request time and the current time is too large.",
            ec="0002-00000504",
            more={
                "MaxAllowedSkewMilliseconds": str(_WINDOW_S * 1000),
                "RequestTime": _told(claim.sent_s) if claim.sent_s is not None else "",
                "ServerTime": _told(now_s),
            },
        )


def _token(ask: wire.OssRequest) -> str:
    return (
        ask.header("x-oss-security-token")
        or ask.header("x-amz-security-token")
        or ask.values.get("security-token", "")
        or ask.values.get("x-oss-security-token", "")
        or ask.values.get("X-Amz-Security-Token", "")
    )


def _check_token(key: identity.Key, token: str, now_s: float) -> None:
    try:
        identity.check_security_token(key, token, now_s)
    except api_errors.ApiError as e:
        if e.code == "MissingSecurityToken":
            raise _unknown_key(key.access_key_id) from e
        if e.code.endswith(".Expired"):
            raise errors.OssError(
                "SecurityTokenExpired", 403, "The security token you provided has expired."
            ) from e
        raise errors.OssError(
            "InvalidSecurityToken", 403, "The security token you provided is invalid."
        ) from e


def _unknown_key(access_key_id: str) -> errors.OssError:
    return errors.OssError(
        "InvalidAccessKeyId",
        403,
        "The OSS Access Key Id you provided does not exist in our records.",
        ec="0002-00000902",
        more={"OSSAccessKeyId": access_key_id},
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


def _told(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
