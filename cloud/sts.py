"""Security Token Service."""

from cloud import openapi


class Sts:
    """Who the credentials belong to."""

    def __init__(self, api: openapi.OpenApi) -> None:
        self._api = api

    async def account_id(self) -> str:
        """Account of the caller. Source: STS GetCallerIdentity, which needs no permission."""
        body = await self._api.call(openapi.STS, "GetCallerIdentity", {})
        return str(body.account_id)
