"""The Security Token Service: GetCallerIdentity, AssumeRole, AssumeRoleWithOIDC.

The signature of an OIDC token is not checked, because a world holds no issuer keys; its claims are.
Codes of OIDC refusals: the RRSA page of the ACK documentation.
"""

import base64
import dataclasses
import fnmatch
import json
import re
from typing import Any

from sim import actions, clock, errors, identity, params, policy
from sim import world as world_module

VERSION = "2015-04-01"
_SESSION_NAME = re.compile(r"[A-Za-z0-9.@_-]{2,64}")
_ROLE_ARN = re.compile(r"acs:ram::[0-9]+:role/[A-Za-z0-9._/-]{1,64}", re.IGNORECASE)
_PROVIDER_ARN = re.compile(r"acs:ram::([0-9]+):oidc-provider/([A-Za-z0-9._-]{1,128})")
_DEFAULT_DURATION_S = 3600
_SHORTEST_S = 900


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OidcClaims:
    """The claims of a service account token that count. Times: epoch seconds."""

    issuer: str
    subject: str
    audiences: tuple[str, ...]
    issued_s: float
    expires_s: float


@actions.action(VERSION, "GetCallerIdentity")
def get_caller_identity(call: actions.Call) -> dict[str, Any]:
    """Who signed the request."""
    who = call.principal
    body = {
        "AccountId": who.account_id,
        "Arn": who.arn,
        "IdentityType": str(who.kind),
        "PrincipalId": who.principal_id,
    }
    if who.user_id:
        body["UserId"] = who.user_id
    if who.role_id:
        body["RoleId"] = who.role_id
    return body


@actions.action(VERSION, "AssumeRole")
def assume_role(call: actions.Call) -> dict[str, Any]:
    """Credentials of a role whose trust names the caller."""
    role = _role(call)
    if call.principal.kind is identity.PrincipalKind.ACCOUNT:
        raise errors.ApiError("NoPermission", 403, "Roles may not be assumed by root accounts.")
    root = f"acs:ram::{call.principal.account_id}:root"
    trusted = any(
        row == root or fnmatch.fnmatchcase(call.principal.arn, row) for row in role.trusted_arns
    )
    if not trusted:
        raise errors.ApiError(
            "NoPermission",
            403,
            f"You are not authorized to do this action: the trust policy of role {role.role_name} "
            f"does not name {call.principal.arn}.",
        )
    return _session(call, role)


@actions.action(VERSION, "AssumeRoleWithOIDC", anonymous=True)
def assume_role_with_oidc(call: actions.Call) -> dict[str, Any]:
    """Credentials of a role whose trust names the token's issuer, audience and subject."""
    provider_arn = call.params.required("OIDCProviderArn")
    role = _role(call)
    claims = read_oidc_token(call.params.required("OIDCToken"))
    provider = _provider(call.cloud.world, provider_arn)
    _check_claims(claims, provider, call.cloud.clock.now_s())
    if not any(_trusts(row, provider, claims) for row in role.trusted_oidc):
        raise errors.ApiError(
            "AuthenticationFail.NoPermission",
            400,
            f"There is no permission: the trust policy of role {role.role_name} does not accept "
            f"subject {claims.subject} of {provider.provider_name}.",
        )
    return {
        **_session(call, role),
        "OIDCTokenInfo": {
            "ClientIds": ",".join(provider.client_ids),
            "ExpirationTime": clock.text(claims.expires_s),
            "IssuanceTime": clock.text(claims.issued_s),
            "Issuer": claims.issuer,
            "Subject": claims.subject,
            "VerificationInfo": "Success",
        },
    }


def read_oidc_token(token: str) -> OidcClaims:
    """The claims inside a JWT; raises ApiError 400 AuthenticationFail.OIDCToken.Invalid."""
    try:
        _, payload, _ = token.split(".")
        plain = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        audience = plain["aud"]
        return OidcClaims(
            issuer=str(plain["iss"]),
            subject=str(plain["sub"]),
            audiences=(audience,) if isinstance(audience, str) else tuple(map(str, audience)),
            issued_s=float(plain.get("iat", 0)),
            expires_s=float(plain["exp"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise errors.ApiError(
            "AuthenticationFail.OIDCToken.Invalid",
            400,
            "This JSON Web Token is invalid: it needs three parts and the claims iss, sub, aud "
            "and exp.",
        ) from e


def make_oidc_token(
    *, issuer: str, subject: str, audience: str, issued_s: float, expires_s: float
) -> str:
    """A token that `read_oidc_token` accepts, for tests and demonstrations."""
    claims = {"iss": issuer, "sub": subject, "aud": [audience]}
    times = {"iat": int(issued_s), "exp": int(expires_s)}
    parts: list[dict[str, object]] = [{"alg": "RS256", "typ": "JWT"}, {**claims, **times}]
    encoded = [base64.urlsafe_b64encode(json.dumps(row).encode()).decode() for row in parts]
    return ".".join([*(row.rstrip("=") for row in encoded), "unsigned"])


def _role(call: actions.Call) -> world_module.Role:
    """The role the request names; every refusal about names and durations comes from here."""
    arn = call.params.required("RoleArn")
    if not _ROLE_ARN.fullmatch(arn):
        raise errors.invalid_parameter(
            "RoleArn", arn, "acs:ram::<account>:role/<name>", "InvalidParameter.RoleArn"
        )
    session_name = call.params.required("RoleSessionName")
    if not _SESSION_NAME.fullmatch(session_name):
        raise errors.invalid_parameter(
            "RoleSessionName",
            session_name,
            "2 to 64 letters, digits and .@_-",
            "InvalidParameter.RoleSessionName",
        )
    role = identity.find_role(call.cloud.world, arn)
    if role is None:
        raise errors.ApiError("EntityNotExist.Role", 404, f"The role not exists: {arn}.")
    return role


def _session(call: actions.Call, role: world_module.Role) -> dict[str, Any]:
    duration_s = call.params.integer(
        "DurationSeconds",
        _DEFAULT_DURATION_S,
        _SHORTEST_S,
        role.max_session_s,
        code="InvalidParameter.DurationSeconds",
    )
    session_name = call.params.required("RoleSessionName")
    credentials = identity.issue(
        call.cloud,
        role,
        session_name=session_name,
        duration_s=duration_s or _DEFAULT_DURATION_S,
        session_policy=_session_policy(call.params),
    )
    account_id = call.cloud.world.account_id
    body: dict[str, Any] = {
        "AssumedRoleUser": {
            "Arn": f"acs:ram::{account_id}:role/{role.role_name.lower()}/{session_name}",
            "AssumedRoleId": f"{role.role_id}:{session_name}",
        },
        "Credentials": credentials.body(),
    }
    source_identity = call.params.text("SourceIdentity")
    if source_identity:
        body["SourceIdentity"] = source_identity
    return body


def _session_policy(request: params.Params) -> policy.Policy | None:
    text = request.text("Policy")
    if not text:
        return None
    try:
        return policy.parse(json.loads(text))
    except ValueError as e:
        raise errors.ApiError(
            "InvalidParameter.PolicyGrammar",
            400,
            f"The parameter Policy has not passed grammar check: {e}.",
        ) from e


def _provider(world: world_module.World, arn: str) -> world_module.OidcProvider:
    match = _PROVIDER_ARN.fullmatch(arn)
    for row in world.oidc_providers:
        if match and match.groups() == (world.account_id, row.provider_name):
            return row
    raise errors.ApiError(
        "AuthenticationFail.NoPermission", 400, f"No such OIDC Provider registered: {arn}."
    )


def _check_claims(claims: OidcClaims, provider: world_module.OidcProvider, now_s: float) -> None:
    if claims.issuer != provider.issuer:
        raise errors.ApiError(
            "AuthenticationFail.OIDCToken.IssuerNotMatch",
            400,
            "The issuer in the OIDC Token doesn't match the OIDC Provider registered: "
            f"{claims.issuer} is not {provider.issuer}.",
        )
    if not set(claims.audiences) & set(provider.client_ids):
        raise errors.ApiError(
            "AuthenticationFail.OIDCToken.AudienceNotMatch",
            400,
            f"Invalid audience: {', '.join(claims.audiences)} (allowed: "
            f"{', '.join(provider.client_ids)}).",
        )
    if claims.expires_s <= now_s:
        raise errors.ApiError(
            "AuthenticationFail.OIDCToken.Expired",
            400,
            f"This JSON Web Token is expired since {clock.text(claims.expires_s)}.",
        )


def _trusts(
    trust: world_module.OidcTrust, provider: world_module.OidcProvider, claims: OidcClaims
) -> bool:
    audience_fits = not trust.audiences or any(
        fnmatch.fnmatchcase(given, want) for given in claims.audiences for want in trust.audiences
    )
    subject_fits = not trust.subjects or any(
        fnmatch.fnmatchcase(claims.subject, want) for want in trust.subjects
    )
    return trust.provider_name == provider.provider_name and audience_fits and subject_fits
