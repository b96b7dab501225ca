"""The control API's view of hardware, such as GET /_sim/network."""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import web

from sim.hardware import api


class Described(Protocol):
    """What a route needs of its hardware."""

    def describe(self) -> dict[str, Any]:
        """Facts as JSON; raises api.HardwareError."""


def routes(parts: Mapping[str, Described]) -> list[web.RouteDef]:
    """A route for each part by its name, for the loopback listener, before those of sim.control."""
    return [web.get(f"/_sim/{name}", _describing(part)) for name, part in parts.items()]


def _describing(part: Described) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def describe(ask: web.Request) -> web.Response:
        if not ipaddress.ip_address(ask.remote or "0.0.0.0").is_loopback:  # noqa: S104 - no bind
            error = "the control API answers clients of this machine's loopback only"
            return web.json_response({"error": error}, status=403)
        try:
            return web.json_response(part.describe())
        except api.HardwareError as e:
            return web.json_response({"error": str(e)}, status=500)

    return describe
