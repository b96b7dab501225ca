"""HTTP: listeners, telling requests apart, and the ticker that keeps time moving.

One port serves everything: what is signed for OSS or names a bucket as its host is object storage,
`/latest/…` and `/2016-01-01/…` are the metadata service, `/_sim/…` the control API (loopback
clients only), every other path is an API request. Further listeners may serve the metadata service
alone, at the address instances know, and object storage alone.
"""

import asyncio
import contextlib
import email.utils
import os
import socket
import time
import urllib.parse
from collections.abc import Sequence

import structlog
from aiohttp import web

from sim import calllog, control, errors, faults, hardware_control, imds, request, service
from sim import cloud as cloud_module
from sim.oss import front as oss_front
from sim.oss import wire

log = structlog.get_logger()

_TICK_S = 0.05
_DRAIN_S = 1.0
# All parameters travel in the request line, so aiohttp's default of 8 KiB is too little.
_LONGEST_LINE = 64 * 1024
METADATA_ACTION = "Metadata"
"""Name under which metadata requests are counted and can be given faults."""


class Server:
    """A cloud behind HTTP. routes: more of the control API."""

    def __init__(self, cloud: cloud_module.Cloud, routes: Sequence[web.RouteDef] = ()) -> None:
        self._routes = routes
        self._cloud = cloud
        self.front = service.Service(cloud)
        self._metadata = imds.Metadata(cloud)
        self._oss = oss_front.Front(cloud, self.front.faults, self.front.calls)
        self._runners: list[web.AppRunner] = []
        self._ticker: asyncio.Task[None] | None = None

    async def start(
        self,
        host: str,
        port: int,
        *,
        imds_address: tuple[str, int] | None = None,
        oss_address: tuple[str, int] | None = None,
    ) -> int:
        """Listen; the port in use, which matters when *port* is 0.

        Raises OSError when an address cannot be bound.
        """
        # The control API ends with a route for all paths it does not know.
        buckets = hardware_control.routes({"oss": self._oss})
        routes = [*self._routes, *buckets, *control.Control(self.front, self._metadata).routes()]
        main = self._application([*routes, web.route("*", "/{tail:.*}", self._serve)])
        real_port = await self._listen(main, host, port)
        if imds_address is not None:
            metadata = self._application([web.route("*", "/{tail:.*}", self._serve_metadata)])
            await self._listen(metadata, *imds_address)
        if oss_address is not None:
            storage = self._application([web.route("*", "/{tail:.*}", self._serve_oss)])
            await self._listen(storage, *oss_address)
        self._ticker = asyncio.create_task(self._tick(), name="ticker")
        return real_port

    async def serve_instances(self, listener: socket.socket) -> None:
        """Serve API and metadata on a socket that only instances reach; no control API."""
        app = self._application([web.route("*", "/{tail:.*}", self._serve)])
        runner = await self._runner(app)
        await web.SockSite(runner, listener).start()

    async def stop(self) -> None:
        """Stop listening; held requests lose their connection."""
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        for row in self.front.faults.describe_all():
            self.front.faults.release(row["fault_id"], drop=True)
        for runner in self._runners:
            await runner.cleanup()

    def _application(self, routes: list[web.RouteDef]) -> web.Application:
        app = web.Application(client_max_size=request.MAX_BODY_BYTES)
        app.add_routes(routes)
        app.on_response_prepare.append(self._tell_time)
        return app

    async def _tell_time(self, _ask: web.Request, response: web.StreamResponse) -> None:
        """Date is by the clock that judges signatures: some clients set theirs by it."""
        signing_s = self._cloud.clock.signing_s()
        response.headers["Date"] = email.utils.formatdate(signing_s, usegmt=True)

    async def _listen(self, app: web.Application, host: str, port: int) -> int:
        runner = await self._runner(app)
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as e:
            why = os.strerror(e.errno).lower() if e.errno and e.errno > 0 else str(e)
            raise OSError(
                f"{host}:{port} cannot be served: {why}; end what has it, which may be another "
                "cloudsim, or choose another address (port 0 = any free one)"
            ) from e
        address = runner.addresses[0]
        return int(address[1])

    async def _runner(self, app: web.Application) -> web.AppRunner:
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=_DRAIN_S,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        await runner.setup()
        self._runners.append(runner)
        return runner

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                self._cloud.settle()
            except Exception:
                log.exception("a state change failed; it is tried again")

    async def _serve_oss(self, ask: web.Request) -> web.StreamResponse:
        return await self._oss.serve(ask, _origin_form(ask.raw_path))

    async def _serve(self, ask: web.Request) -> web.StreamResponse:
        headers = [(k.decode(), v.decode("utf-8", "surrogateescape")) for k, v in ask.raw_headers]
        if wire.is_oss(headers, ask.raw_path):
            return await self._serve_oss(ask)
        if ask.path.split("/")[1] in imds.ROOTS:
            return await self._serve_metadata(ask)
        body = await ask.read()
        try:
            parsed = request.parse(
                method=ask.method, target=_origin_form(ask.raw_path), headers=headers, body=body
            )
        except errors.ApiError as e:
            request_id = self._cloud.ids.request_id()
            plain = e.body(request_id=request_id, host_id="ecs.aliyuncs.com")
            return web.json_response(plain, status=e.http_status)
        try:
            answer = await self.front.answer(parsed)
        except faults.DropConnection:
            return _drop(ask)
        return web.Response(
            status=answer.status,
            body=answer.body,
            headers={**answer.headers, "Content-Type": answer.content_type},
        )

    async def _serve_metadata(self, ask: web.Request) -> web.Response:
        if ask.path.split("/")[1] not in imds.ROOTS:
            return web.Response(status=404, text="404 - Not Found")
        began_s = time.monotonic()
        sequence = self.front.calls.arrived(METADATA_ACTION, began_s)
        values = {"Method": ask.method, "Path": ask.path}
        status, code, fault = 0, "OK", ""
        try:
            outcome = await self.front.faults.apply(METADATA_ACTION, values, after_effect=False)
            if outcome is not None:
                fault = outcome.fault_id
                if outcome.end is not None:
                    raise outcome.end
            answer = self._metadata.answer(
                method=ask.method,
                path=ask.path,
                headers={name.lower(): value for name, value in ask.headers.items()},
                client_address=ask.remote or "",
            )
            status = answer.status
            code = "OK" if status == web.HTTPOk.status_code else f"HTTP{status}"
            return web.Response(status=status, text=answer.body)
        except errors.ApiError as e:
            status, code = e.http_status, e.code
            return web.Response(status=status, text=e.message, headers=e.headers)
        except faults.HtmlAnswer as e:
            status, code = e.http_status, f"HTTP{e.http_status}"
            page = service.html_answer(e)
            return web.Response(status=status, body=page.body, content_type="text/html")
        except faults.DropConnection:
            code = "ConnectionClosed"
            return _drop(ask)
        finally:
            self.front.calls.add(
                calllog.Entry(
                    sequence=sequence,
                    at_s=self._cloud.clock.now_s(),
                    elapsed_s=round(time.monotonic() - began_s, 6),
                    action=METADATA_ACTION,
                    version="",
                    access_key_id="",
                    parameters=values,
                    request_id="",
                    http_status=status,
                    code=code,
                    effect=False,
                    replayed=False,
                    fault=fault,
                )
            )


def _origin_form(target: str) -> str:
    """The target as a server that is no proxy sees it; clients behind a proxy send a whole URL."""
    if target.startswith("/"):
        return target
    parts = urllib.parse.urlsplit(target)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _drop(ask: web.Request) -> web.Response:
    """Close the connection; the response that must be returned goes nowhere."""
    if ask.transport is not None:
        ask.transport.close()
    return web.Response(status=500)
