"""Who sent an OSS request: checks what it claims."""

import base64
import dataclasses
import hmac
from datetime import UTC, datetime

from sim import cloud as cloud_module
from sim import errors as api_errors
from sim import identity
from sim.oss import chunks, claims, errors, signature, wire

_WINDOW_S = 15 * 60


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request. access_key_id: "" = it is not signed. seal: of a body's signed chunks."""

    principal: identity.Principal
    access_key_id: str
    seal: chunks.Seal | None


def authenticate(cloud: cloud_module.Cloud, ask: wire.OssRequest) -> Caller:
    """The caller; the anonymous one of an unsigned request.

    Raises OssError.
    Time is the machine's, by which clients sign, and what control says of its skew.
    """
    claim = claims.read(ask, cloud.world.region_id)
    if claim is None:
        return Caller(principal=identity.anonymous(cloud.world), access_key_id="", seal=None)
    try:
        key = identity.find_key(cloud, claim.access_key_id)
    except api_errors.ApiError as e:
        raise _unknown_key(claim.access_key_id) from e
    _check_signature(claim, key.secret)
    _check_time(claim, cloud.clock.signing_s())
    _check_token(key, _token(ask), cloud.clock.now_s())
    seal = None
    if claim.chunks_date:
        seal = chunks.Seal(
            secret=key.secret, scope=claim.scope, date=claim.chunks_date, seed=claim.given
        )
    return Caller(principal=key.principal, access_key_id=key.access_key_id, seal=seal)


def _check_signature(claim: claims.Claim, secret: str) -> None:
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


def _check_time(claim: claims.Claim, now_s: float) -> None:
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


def _told(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
