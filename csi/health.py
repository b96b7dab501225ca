"""Health, readiness and metrics pages of the process, which tell the truth.

`/healthz`: 200 when the socket of every driver that was started answers, and one was; a restart
would help otherwise. A driver that does not start is tried again without one, and a restart would
take the others down. `/readyz`: 200 when every driver can do its work now, cloud included. Bodies
say who cannot and why.
"""

import json
from collections.abc import Awaitable, Callable, Mapping

from core import errors, http_status, metrics
from csi import serve

_OK = "ok"
Check = Callable[[serve.DriverServer], Awaitable[None]]


class Health:
    """Pages over *servers*.

    failures: driver name → why it does not serve; kept by `serve.start_until_served`.
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
        pages: dict[str, http_status.Route] = {"/healthz": self.alive, "/readyz": self.ready}
        if serve_metrics:
            pages["/metrics"] = self._metrics
        return pages

    async def alive(self) -> http_status.Answer:
        """Whether to let the process live."""
        told = await self._ask(serve.DriverServer.check_alive)
        serving = [text for name, text in told.items() if name not in self._failures]
        return _page(told, well=bool(serving) and all(text == _OK for text in serving))

    async def ready(self) -> http_status.Answer:
        """Whether all of the process can work."""
        told = await self._ask(serve.DriverServer.check_ready)
        return _page(told, well=all(text == _OK for text in told.values()))

    async def _ask(self, check: Check) -> dict[str, str]:
        told = dict(self._failures)
        for server in self._servers:
            if server.name not in told:
                told[server.name] = await _outcome(check, server)
        return told

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
    return _OK


def _page(told: Mapping[str, str], *, well: bool) -> http_status.Answer:
    return http_status.Answer(
        status=200 if well else 503,
        content_type="application/json",
        body=json.dumps(told, indent=1).encode() + b"\n",
    )
