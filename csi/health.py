"""Health, readiness and metrics pages of the process, which tell the truth.

`/healthz`: 200 when every driver's socket answers; a restart would help otherwise.
`/readyz`: 200 when every driver can do its work now, cloud included. Bodies say who cannot and why.
"""

import json
from collections.abc import Awaitable, Callable, Mapping

from core import errors, http_status, metrics
from csi import serve

Check = Callable[[serve.DriverServer], Awaitable[None]]


class Health:
    """Pages over *servers*.

    failures: driver name → why it could not start; filled by `serve.start_until_served`.
    """

    def __init__(
        self,
        servers: list[serve.DriverServer],
        failures: Mapping[str, str],
        registry: metrics.Metrics,
    ) -> None:
        self._servers = servers
        self._failures = failures
        self._registry = registry

    def routes(self, *, serve_metrics: bool) -> dict[str, http_status.Route]:
        """Path → page."""
        pages: dict[str, http_status.Route] = {"/healthz": self._alive, "/readyz": self._ready}
        if serve_metrics:
            pages["/metrics"] = self._metrics
        return pages

    async def _alive(self) -> http_status.Answer:
        return await self._page(serve.DriverServer.check_alive)

    async def _ready(self) -> http_status.Answer:
        return await self._page(serve.DriverServer.check_ready)

    async def _page(self, check: Check) -> http_status.Answer:
        told: dict[str, str] = {}
        for server in self._servers:
            told[server.name] = self._failures.get(server.name) or await _outcome(check, server)
        well = all(text == "ok" for text in told.values())
        return http_status.Answer(
            status=200 if well else 503,
            content_type="application/json",
            body=json.dumps(told, indent=1).encode() + b"\n",
        )

    async def _metrics(self) -> http_status.Answer:
        return http_status.Answer(
            content_type="text/plain; version=0.0.4; charset=utf-8",
            body=self._registry.exposition(),
        )


async def _outcome(check: Check, server: serve.DriverServer) -> str:
    try:
        await check(server)
    except errors.Error as e:
        return str(e)
    return "ok"
