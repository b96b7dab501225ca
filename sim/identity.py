"""Who is calling: permanent keys, temporary credentials, and the permission check.

Users, roles and keys are declared in the world; temporary credentials are rows in the store.
Not here: signatures (signature.py), the STS actions (sts.py), policy language (policy.py).
"""

import dataclasses
import enum
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from sim import clock, errors, policy
from sim import cloud as cloud_module
from sim import world as world_module

_KIND = "sts_credential"
# Kept after expiry, so that a late caller hears "expired" and not "unknown key".
_KEEP_EXPIRED_S = 24 * 3600.0


class PrincipalKind(enum.StrEnum):
    """Values of IdentityType in GetCallerIdentity; ANONYMOUS for unsigned calls."""

    ACCOUNT = "Account"
    USER = "RAMUser"
    ROLE = "AssumedRoleUser"
    ANONYMOUS = "Anonymous"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated caller.

    arn, principal_id, user_id, role_id: as GetCallerIdentity shows them, "" where they do not
    apply. session_policy: narrows a role's permissions further, None when not given.
    """

    kind: PrincipalKind
    account_id: str
    arn: str = ""
    principal_id: str = ""
    user_id: str = ""
    role_id: str = ""
    policies: tuple[policy.Policy, ...] = ()
    session_policy: policy.Policy | None = None

    def judge(self, action: str, resources: Sequence[str]) -> policy.Verdict:
        """Whether *action* (`ecs:CreateDisk`) is allowed on all of *resources*."""
        if self.kind is PrincipalKind.ACCOUNT:
            return policy.Verdict.ALLOWED
        verdict = policy.judge(self.policies, action, resources)
        if verdict is policy.Verdict.ALLOWED and self.session_policy is not None:
            return policy.judge([self.session_policy], action, resources)
        return verdict


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An access key. security_token, expires_s: None for permanent keys."""

    access_key_id: str
    secret: str = dataclasses.field(repr=False)
    principal: Principal
    security_token: str | None = dataclasses.field(default=None, repr=False)
    expires_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Temporary credentials, fresh from `issue`. expires_s: simulated epoch seconds."""

    access_key_id: str
    access_key_secret: str = dataclasses.field(repr=False)
    security_token: str = dataclasses.field(repr=False)
    expires_s: float

    def body(self) -> dict[str, Any]:
        """The `Credentials` object of the STS answers."""
        return {
            "AccessKeyId": self.access_key_id,
            "AccessKeySecret": self.access_key_secret,
            "SecurityToken": self.security_token,
            "Expiration": clock.text(self.expires_s),
        }


def role_arn(world: world_module.World, role_name: str) -> str:
    """ARN of a role of the account."""
    return f"acs:ram::{world.account_id}:role/{role_name.lower()}"


def find_role(world: world_module.World, arn: str) -> world_module.Role | None:
    """The role with this ARN, in any letter case; None when there is none."""
    return next((row for row in world.roles if role_arn(world, row.role_name) == arn.lower()), None)


def anonymous(world: world_module.World) -> Principal:
    """The caller of actions that need no signature."""
    return Principal(kind=PrincipalKind.ANONYMOUS, account_id=world.account_id)


def find_key(cloud: cloud_module.Cloud, access_key_id: str) -> Key:
    """The key with this id, expired temporary ones included.

    Raises ApiError 404 InvalidAccessKeyId.NotFound.
    """
    world = cloud.world
    for row in world.access_keys:
        if row.access_key_id == access_key_id:
            principal = _permanent(world, row.user_name)
            return Key(
                access_key_id=access_key_id, secret=row.access_key_secret, principal=principal
            )
    stored = cloud.store.get(_KIND, access_key_id)
    if stored is not None:
        return Key(
            access_key_id=access_key_id,
            secret=stored["secret"],
            principal=_session(world, stored),
            security_token=stored["security_token"],
            expires_s=stored["expires_s"],
        )
    raise errors.ApiError(
        "InvalidAccessKeyId.NotFound",
        404,
        f"Specified access key is not found: {access_key_id}.",
    )


def check_security_token(key: Key, given: str, now_s: float) -> None:
    """Whether the token that came with a request belongs to *key* and is fresh.

    now_s: simulated epoch seconds. Raises ApiError 400 MissingSecurityToken, 403
    InvalidSecurityToken.Malformed, .MismatchWithAccessKey or .Expired.
    """
    if key.security_token is None:
        if given:
            raise _bad_token("MismatchWithAccessKey", "does not match the specified access key")
        return
    if not given:
        raise errors.ApiError(
            "MissingSecurityToken", 400, "SecurityToken is mandatory for this action."
        )
    if not given.startswith(_TOKEN_MARK):
        raise _bad_token("Malformed", "is malformed")
    if not hmac.compare_digest(given.encode(), key.security_token.encode()):
        raise _bad_token("MismatchWithAccessKey", "does not match the specified access key")
    if key.expires_s is not None and key.expires_s <= now_s:
        raise _bad_token("Expired", f"is expired since {clock.text(key.expires_s)}")


_TOKEN_MARK = "CAIS"  # noqa: S105 - how real security tokens begin


def issue(
    cloud: cloud_module.Cloud,
    role: world_module.Role,
    *,
    session_name: str,
    duration_s: int,
    session_policy: policy.Policy | None = None,
) -> Credentials:
    """Make and store credentials of a session of *role*; needs an open transaction."""
    now_s = cloud.clock.now_s()
    for access_key_id, row in cloud.store.items(_KIND):
        if row["expires_s"] + _KEEP_EXPIRED_S < now_s:
            cloud.store.delete(_KIND, access_key_id)
    made = Credentials(
        access_key_id="STS.N" + cloud.ids.secret(20),
        access_key_secret=cloud.ids.secret(44),
        security_token=_TOKEN_MARK + cloud.ids.secret(300),
        expires_s=now_s + duration_s,
    )
    row = {
        "secret": made.access_key_secret,
        "security_token": made.security_token,
        "expires_s": made.expires_s,
        "role_name": role.role_name,
        "session_name": session_name,
        "session_policy": dict(session_policy.document) if session_policy else None,
    }
    cloud.store.put(_KIND, made.access_key_id, row)
    return made


def require_permission(
    principal: Principal, *, product: str, action: str, resources: Sequence[str]
) -> None:
    """Raise ApiError 403 Forbidden.RAM (NoPermission for STS) unless the call is allowed."""
    if principal.kind is PrincipalKind.ANONYMOUS or (product, action) in _FREE:
        return
    verdict = principal.judge(f"{product}:{action}", resources)
    if verdict is policy.Verdict.ALLOWED:
        return
    is_user = principal.kind is PrincipalKind.USER
    raise errors.ApiError(
        "NoPermission" if product == "sts" else "Forbidden.RAM",
        403,
        "User not authorized to operate on the specified resource, or this API doesn't support "
        f"RAM. Missing: {product}:{action} on {', '.join(resources)}.",
        detail={
            "AuthAction": f"{product}:{action}",
            "AuthPrincipalDisplayName": principal.principal_id,
            "AuthPrincipalOwnerId": principal.account_id,
            "AuthPrincipalType": "SubUser" if is_user else "AssumedRoleUser",
            "NoPermissionType": str(verdict),
            "PolicyType": "AccountLevelIdentityBasedPolicy",
        },
    )


# Need no permission (API page of GetCallerIdentity); the OIDC call is decided by the role's trust.
_FREE = frozenset({("sts", "GetCallerIdentity"), ("sts", "AssumeRoleWithOIDC")})


def _permanent(world: world_module.World, user_name: str) -> Principal:
    account_id = world.account_id
    for user in world.users:
        if user_name and user.user_name == user_name:
            return Principal(
                kind=PrincipalKind.USER,
                account_id=account_id,
                arn=f"acs:ram::{account_id}:user/{user_name}",
                principal_id=user.user_id,
                user_id=user.user_id,
                policies=user.policies,
            )
    return Principal(
        kind=PrincipalKind.ACCOUNT,
        account_id=account_id,
        arn=f"acs:ram::{account_id}:root",
        principal_id=account_id,
        user_id=account_id,
    )


def _session(world: world_module.World, row: Mapping[str, Any]) -> Principal:
    """The session's caller; a role that has left the world leaves it without permissions."""
    role = find_role(world, role_arn(world, row["role_name"]))
    name = f"{row['role_name'].lower()}/{row['session_name']}"
    role_id = role.role_id if role else ""
    document = row["session_policy"]
    return Principal(
        kind=PrincipalKind.ROLE,
        account_id=world.account_id,
        arn=f"acs:ram::{world.account_id}:assumed-role/{name}",
        principal_id=f"{role_id}:{row['session_name']}",
        role_id=role_id,
        policies=role.policies if role else (),
        session_policy=policy.parse(document) if document else None,
    )


def _bad_token(kind: str, why: str) -> errors.ApiError:
    return errors.ApiError(f"InvalidSecurityToken.{kind}", 403, f"Specified SecurityToken {why}.")
