"""Health, metrics and introspection over HTTP on a unix socket, for probes and people."""

import json
from typing import Any

from core import http_status, metrics
from ipamd import readiness
from ipamd.api import views
from ipamd.attachments import leases
from ipamd.pool import pool


class Pages:
    """Built before the pool is; `show` gives it what there is to show."""

    def __init__(self, registry: metrics.Metrics, settings_text: str) -> None:
        self._registry = registry
        self._settings_text = settings_text
        self._pool: pool.Pool | None = None
        self._leases: leases.Leases | None = None
        self._readiness: readiness.Readiness | None = None

    def show(
        self,
        addresses: pool.Pool,
        held: leases.Leases,
        ready: readiness.Readiness,
    ) -> None:
        """From now on the pool can be looked at."""
        self._pool, self._leases, self._readiness = addresses, held, ready

    def routes(self) -> dict[str, http_status.Route]:
        """Path → page."""
        return {
            "/healthz": self._alive,
            "/readyz": self._ready,
            "/metrics": self._metrics,
            "/v1/pool": self._show_pool,
            "/v1/attachments": self._show_attachments,
            "/v1/settings": self._show_settings,
        }

    async def _alive(self) -> http_status.Answer:
        broken = self._readiness.broken if self._readiness else ""
        if broken:
            return http_status.Answer(status=500, body=f"broken: {broken}\n".encode())
        return http_status.Answer(body=b"ok\n")

    async def _ready(self) -> http_status.Answer:
        phase = self._readiness.phase if self._readiness else readiness.Phase.STARTING
        ready = phase is readiness.Phase.READY
        return http_status.Answer(status=200 if ready else 503, body=f"{phase}\n".encode())

    async def _metrics(self) -> http_status.Answer:
        return http_status.Answer(
            content_type="text/plain; version=0.0.4; charset=utf-8",
            body=self._registry.exposition(),
        )

    async def _show_pool(self) -> http_status.Answer:
        if self._pool is None or self._leases is None:
            return _json(None)
        return _json(views.pool_view(self._pool, self._leases))

    async def _show_attachments(self) -> http_status.Answer:
        return _json(None if self._leases is None else views.attachment_views(self._leases))

    async def _show_settings(self) -> http_status.Answer:
        return http_status.Answer(
            content_type="application/json", body=self._settings_text.encode() + b"\n"
        )


def _json(document: Any) -> http_status.Answer:
    if document is None:
        return http_status.Answer(status=503, body=b"starting\n")
    return http_status.Answer(
        content_type="application/json", body=json.dumps(document, indent=1).encode() + b"\n"
    )
