"""Checks who signed a request: ACS3-HMAC-SHA256 and RPC HMAC-SHA1 (spec/cloud-api.md 5).

Not here: what the signer may do (identity.py, policy.py).
"""

import base64
import dataclasses
import hashlib
import hmac
import re
import urllib.parse
from collections.abc import Callable, Iterable

from sim import clock, errors, request

WINDOW_S = 15 * 60
_ACS3 = "ACS3-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    r"ACS3-HMAC-SHA256 +Credential=([^,]+), *SignedHeaders=([^,]+), *Signature=([0-9a-f]+)"
)
# Without these under the signature, a request could be replayed as another one.
_MUST_SIGN = frozenset(
    {"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce"}
    | {"x-acs-content-sha256", "x-acs-security-token"}
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a request says about its signer; true only after `verify`."""

    access_key_id: str
    signature: str = dataclasses.field(repr=False)
    string_to_sign: str = dataclasses.field(repr=False)
    date: str
    nonce: str
    security_token: str = dataclasses.field(repr=False)
    algorithm: str


def read(ask: request.ApiRequest) -> Claim | None:
    """The signature a request carries, None when it carries none.

    Raises ApiError 400 IncompleteSignature when it is there but not whole.
    """
    if ask.header("authorization"):
        return _read_acs3(ask)
    if "Signature" in ask.values or "AccessKeyId" in ask.values:
        return _read_rpc(ask)
    return None


def verify(
    claim: Claim, secret: str, *, now_s: float, use_nonce: Callable[[str, str, float], bool]
) -> None:
    """Check *claim* against the key's *secret*.

    now_s: the machine's epoch seconds. use_nonce(key id, nonce, now_s): takes note of a nonce,
    False when it was used before; called last, so a forged request uses up nothing.
    Raises ApiError: SignatureDoesNotMatch, InvalidTimeStamp.*, SignatureNonceUsed.
    """
    expected = _sign(claim, secret)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise errors.ApiError(
            "SignatureDoesNotMatch",
            400,
            "Specified signature is not matched with our calculation. server string to sign is:"
            + claim.string_to_sign,
        )
    date_s = clock.parse(claim.date)
    if date_s is None:
        raise errors.ApiError(
            "InvalidTimeStamp.Format",
            400,
            f'Specified time stamp or date value is not well formatted: "{claim.date}" '
            "(expected: 2026-01-02T03:04:05Z).",
        )
    if abs(now_s - date_s) > WINDOW_S:
        raise errors.ApiError(
            "InvalidTimeStamp.Expired",
            400,
            f"Specified time stamp or date value is expired: {claim.date}, the server's time is "
            f"{clock.text(now_s)}.",
        )
    if not use_nonce(claim.access_key_id, claim.nonce, now_s):
        raise errors.ApiError(
            "SignatureNonceUsed", 400, "Specified signature nonce was used already."
        )


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Decoded pairs, sorted and percent-encoded as both algorithms want them."""
    return "&".join(f"{_quote(name)}={_quote(value)}" for name, value in sorted(pairs))


def acs3_string_to_sign(ask: request.ApiRequest, signed_headers: str) -> str:
    """The string to sign of ACS3; *signed_headers*: as in the Authorization header."""
    lines = []
    for name in signed_headers.split(";"):
        values = sorted(value.strip() for key, value in ask.headers if key == name)
        lines.append(f"{name}:{','.join(values)}\n")
    whole = "\n".join(
        (
            ask.method,
            ask.path or "/",
            canonical_query(ask.query),
            "".join(lines),
            signed_headers,
            hashlib.sha256(ask.body).hexdigest(),
        )
    )
    return f"{_ACS3}\n{hashlib.sha256(whole.encode()).hexdigest()}"


def rpc_string_to_sign(ask: request.ApiRequest) -> str:
    """The string to sign of RPC signature version 1.0."""
    pairs = [row for row in (*ask.query, *ask.form) if row[0] != "Signature"]
    return f"{ask.method}&%2F&{_quote(canonical_query(pairs))}"


def _read_acs3(ask: request.ApiRequest) -> Claim:
    match = _AUTHORIZATION.fullmatch(ask.header("authorization").strip())
    if match is None:
        raise _incomplete("the Authorization header is not an ACS3-HMAC-SHA256 one")
    access_key_id, signed_headers, signature = match.groups()
    present = {name for name, _ in ask.headers}
    signed = set(signed_headers.split(";"))
    unsigned = sorted((_MUST_SIGN & present) - signed)
    missing = sorted((_MUST_SIGN - {"x-acs-security-token"}) - present) + sorted(signed - present)
    if unsigned or missing:
        names = ", ".join(unsigned or missing)
        raise _incomplete(f"header {names} must be {'signed' if unsigned else 'sent'}")
    digest = hashlib.sha256(ask.body).hexdigest()
    if not hmac.compare_digest(digest, ask.header("x-acs-content-sha256")):
        raise errors.ApiError(
            "SignatureDoesNotMatch",
            400,
            f"x-acs-content-sha256 is not the digest of the body, which is {digest}.",
        )
    return Claim(
        access_key_id=access_key_id,
        signature=signature,
        string_to_sign=acs3_string_to_sign(ask, signed_headers),
        date=ask.header("x-acs-date"),
        nonce=ask.header("x-acs-signature-nonce"),
        security_token=ask.header("x-acs-security-token"),
        algorithm=_ACS3,
    )


def _read_rpc(ask: request.ApiRequest) -> Claim:
    values = ask.values
    for name in ("AccessKeyId", "Signature", "SignatureNonce", "Timestamp"):
        if not values.get(name):
            raise _incomplete(f"parameter {name} is missing")
    if values.get("SignatureMethod", "HMAC-SHA1").upper() != "HMAC-SHA1":
        raise _incomplete("SignatureMethod must be HMAC-SHA1")
    if values.get("SignatureVersion", "1.0") != "1.0":
        raise _incomplete("SignatureVersion must be 1.0")
    return Claim(
        access_key_id=values["AccessKeyId"],
        signature=values["Signature"],
        string_to_sign=rpc_string_to_sign(ask),
        date=values["Timestamp"],
        nonce=values["SignatureNonce"],
        security_token=values.get("SecurityToken", ""),
        algorithm="HMAC-SHA1",
    )


def _sign(claim: Claim, secret: str) -> str:
    text = claim.string_to_sign.encode()
    if claim.algorithm == _ACS3:
        return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    digest = hmac.new(f"{secret}&".encode(), text, hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _quote(text: str) -> str:
    return urllib.parse.quote(text, safe="~")


def _incomplete(why: str) -> errors.ApiError:
    return errors.ApiError(
        "IncompleteSignature",
        400,
        f"The request signature does not conform to Aliyun standards: {why}.",
    )
