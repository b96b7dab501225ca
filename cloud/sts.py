"""Security Token Service."""

import dataclasses
import datetime

from cloud import ecs_wire, openapi


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RoleCredentials:
    """Credentials of a RAM role for a while. expires_at: None = STS did not say."""

    access_key_id: str
    access_key_secret: str = dataclasses.field(repr=False)
    security_token: str = dataclasses.field(repr=False)
    expires_at: datetime.datetime | None


class Sts:
    """Who the credentials belong to, and credentials of roles they may assume."""

    def __init__(self, api: openapi.OpenApi) -> None:
        self._api = api

    async def account_id(self) -> str:
        """Account of the caller. Source: STS GetCallerIdentity, which needs no permission."""
        body = await self._api.call(openapi.STS, "GetCallerIdentity", {})
        return str(body.account_id)

    async def assume_role(
        self,
        role_arn: str,
        *,
        session_name: str,
        duration_s: int = 3600,
        policy: str = "",
        external_id: str = "",
    ) -> RoleCredentials:
        """Credentials of a role. policy: JSON that narrows them, "" = all the role may do.

        external_id: what the role's owner wants to be told, "" = nothing.
        duration_s: 900 to the role's own limit. Source: STS AssumeRole.
        """
        body = await self._api.call(
            openapi.STS,
            "AssumeRole",
            {
                "RoleArn": role_arn,
                "RoleSessionName": session_name,
                "DurationSeconds": duration_s,
                "Policy": policy or None,
                "ExternalId": external_id or None,
            },
        )
        given = body.credentials
        return RoleCredentials(
            access_key_id=str(given.access_key_id),
            access_key_secret=str(given.access_key_secret),
            security_token=str(given.security_token),
            expires_at=ecs_wire.parse_time(given.expiration),
        )
