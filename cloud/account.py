"""One account of Alibaba Cloud: how all its calls go, and whether it answers.

The SDK is loaded at the first call.
"""

import asyncio

from cloud import credentials, imds, metadata, openapi, sts
from cloud import settings as cloud_settings
from core import clock, errors, metrics

_REACHABLE_KEEP_S = 5.0
_UNREACHABLE_KEEP_S = 2.0


class Account:
    """What every process needs of the cloud; `sts` tells who we are."""

    def __init__(
        self,
        settings: cloud_settings.CloudSettings,
        registry: metrics.Metrics,
        time: clock.Clock,
    ) -> None:
        self._settings = settings
        self._clock = time
        self._region = settings.region_id
        self._api = openapi.OpenApi(settings, registry, time, region=self._read_region)
        self.sts = sts.Sts(self._api)
        self._checking = asyncio.Lock()
        self._checked_until_s = float("-inf")
        self._failure: errors.Error | None = None

    async def region_id(self) -> str:
        """The region all calls go to."""
        return await self._api.region_id()

    def credential(self) -> credentials.Credentials:
        """Who we are, for what is no OpenAPI. Blocking. Raises Unauthenticated, Unavailable."""
        return self._api.credential()

    async def reachable(self) -> None:
        """Return when the cloud answers us; raises what keeps it from doing so.

        Asks STS who we are, which needs no permission. The outcome is kept for some seconds, so
        that probes cost next to nothing.
        """
        async with self._checking:
            if self._clock.monotonic_s() >= self._checked_until_s:
                await self._check()
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    async def close(self) -> None:
        """Take no more calls."""
        self._api.close()

    async def _check(self) -> None:
        try:
            await self.sts.account_id()
        except errors.Error as e:
            self._failure, keep_s = e, _UNREACHABLE_KEEP_S
        else:
            self._failure, keep_s = None, _REACHABLE_KEEP_S
        self._checked_until_s = self._clock.monotonic_s() + keep_s

    def _read_region(self) -> str:
        """Our region: from settings, a Lingjun machine's file, or the metadata service.

        Blocking; in a thread. Raises Precondition when nobody knows it: disks must not be made in
        a region that was guessed.
        """
        if not self._region:
            found = metadata.read_lingjun().get("RegionId")
            if not found and self._settings.use_imds:
                found = imds.Imds(self._settings.imds_endpoint).read("meta-data/region-id")
            if not found:
                raise errors.Precondition("the region is unknown; set REGION_ID")
            self._region = str(found)
        return self._region
