"""The small HTTP server every daemon has: health, readiness, metrics.

Forty lines instead of a library: aiohttp costs 14 MB and wsgiref a thread and 2 MB of a node's
memory (measured 2026-11-23) for three GET paths without a body.
"""

import asyncio
import dataclasses
import os
import pathlib
from collections.abc import Awaitable, Callable, Mapping

import structlog

from core import errors

log = structlog.get_logger()

_REQUEST_TIMEOUT_S = 5.0
_MAX_CONCURRENT = 8
"""Beyond this many requests at once the answer is 503, as the reference does for scrapes."""
_REASONS = {
    200: "OK",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a path answers."""

    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    body: bytes = b""


Route = Callable[[], Awaitable[Answer]]


class HttpStatus:
    """Serves *routes* (path → coroutine function) on one address."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = dict(routes)
        self._server: asyncio.Server | None = None
        self._busy = 0

    def add(self, path: str, route: Route) -> None:
        """Serve *path* too; the one that was there goes."""
        self._routes[path] = route

    def remove(self, path: str) -> None:
        """Serve *path* no more."""
        self._routes.pop(path, None)

    async def start(self, host: str, port: int, *, setting: str = "the port") -> int:
        """Listen; returns the port, which matters when *port* is 0.

        Raises Precondition where that is not possible; *setting* is where an operator changes it.
        """
        try:
            self._server = await asyncio.start_server(self._serve, host, port)
        except OSError as e:
            # asyncio puts sentences of its own into strerror; those of a name have no errno.
            why = os.strerror(e.errno) if e.errno and e.errno > 0 else str(e.strerror or e)
            raise errors.Precondition(
                f"port {port} of {host or 'all addresses'} cannot be served: {why.lower()}; "
                f"end what has it, which may be another of this program, or change {setting}"
            ) from e
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def start_unix(self, path: pathlib.Path) -> None:
        """Listen on a unix socket of mode 0600, replacing a stale one."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240  # a local file, once at start
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, path)
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                request_line = await reader.readline()
                while (await reader.readline()).strip():
                    pass
            answer = await self._answer(request_line.decode("latin-1").split())
            head = (
                f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\n"
                f"Content-Type: {answer.content_type}\r\n"
                f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode("latin-1") + answer.body)
            await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # a probe that went away or spoke nonsense needs no answer
        finally:
            writer.close()

    async def _answer(self, request: list[str]) -> Answer:
        if len(request) < 2 or request[0] not in ("GET", "HEAD"):
            return Answer(status=405)
        route = self._routes.get(request[1].partition("?")[0])
        if route is None:
            return Answer(status=404)
        if self._busy >= _MAX_CONCURRENT:
            return Answer(status=503, body=b"too many requests at once\n")
        self._busy += 1
        try:
            return await route()
        except Exception:
            log.exception("status page failed", path=request[1])
            return Answer(status=500)
        finally:
            self._busy -= 1
