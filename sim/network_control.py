"""The control API's view of the network hardware: GET /_sim/network."""

import ipaddress
from typing import Any, Protocol

from aiohttp import web

from sim.hardware import api


class Described(Protocol):
    """What the route needs of the hardware."""

    def describe(self) -> dict[str, Any]:
        """Drops, namespaces, ports; raises api.HardwareError."""


def routes(network: Described) -> list[web.RouteDef]:
    """The route, for the loopback listener. It stands before those of sim.control."""

    async def describe(ask: web.Request) -> web.Response:
        if not ipaddress.ip_address(ask.remote or "0.0.0.0").is_loopback:  # noqa: S104 - no bind
            error = "the control API answers clients of this machine's loopback only"
            return web.json_response({"error": error}, status=403)
        try:
            return web.json_response(network.describe())
        except api.HardwareError as e:
            return web.json_response({"error": str(e)}, status=500)

    return [web.get("/_sim/network", describe)]
