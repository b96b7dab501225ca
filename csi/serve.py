"""One driver on one socket: start, health, graceful drain."""

import asyncio
import pathlib
from typing import Any

import grpc.aio
import structlog

from core import errors, grpc_server, metrics
from csi import driver, identity, redact, registrar, rpc_metrics
from csi._pb import csi_pb2_grpc

log = structlog.get_logger()

_RESTART_FIRST_S = 1.0
_RESTART_MAX_S = 30.0
_SOCKET_CHECK_TIMEOUT_S = 2.0


class DriverServer:
    """Serves one driver and, on a node, registers it with kubelet."""

    def __init__(
        self,
        served: driver.Driver,
        socket: pathlib.Path,
        *,
        version: str,
        registry: metrics.Metrics,
        registration: registrar.Registrar | None,
    ) -> None:
        self.name = served.name
        self._driver = served
        self._socket = socket
        self._interceptor = grpc_server.ServeInterceptor(
            observe=rpc_metrics.observer(registry, served.name),
            redact=redact.loggable,
            quiet=rpc_metrics.QUIET,
            subject=redact.subject,
        )
        self._identity = identity.IdentityService(
            driver_name=served.name,
            version=version,
            services=served.services,
            expansions=served.expansions,
            ready=self.check_ready,
        )
        self._works = True
        self._registration = registration
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Prepare, listen on the socket, then tell kubelet: it calls NodeGetInfo at once.

        May be called again after it failed: nothing half started is left.
        """
        if self._driver.prepare is not None:
            await self._driver.prepare()
        try:
            await self._listen()
            if self._registration is not None:
                await self._registration.start()
        except Exception:
            await self._hang_up(0.0)
            raise
        log.info("driver serves", driver=self.name, socket=str(self._socket))

    async def _listen(self) -> None:
        server = grpc_server.make_server(self._interceptor)
        csi_pb2_grpc.add_IdentityServicer_to_server(self._identity, server)
        if self._driver.controller is not None:
            csi_pb2_grpc.add_ControllerServicer_to_server(self._driver.controller, server)
        if self._driver.group_controller is not None:
            csi_pb2_grpc.add_GroupControllerServicer_to_server(
                self._driver.group_controller, server
            )
        if self._driver.node is not None:
            csi_pb2_grpc.add_NodeServicer_to_server(self._driver.node, server)
        grpc_server.add_unix_socket(server, self._socket)
        # Only now is what lies at the path ours to remove.
        self._server = server
        await server.start()

    async def stop(self, drain_timeout_s: float) -> None:
        """Leave kubelet's registry, let calls in progress end, remove the socket.

        The registration goes first, so that kubelet stops calling while we drain.
        """
        await self._hang_up(drain_timeout_s)
        if self._driver.close is not None:
            await self._driver.close()
        log.info("driver stopped", driver=self.name)

    async def _hang_up(self, drain_timeout_s: float) -> None:
        if self._registration is not None:
            await self._registration.stop()
        if self._server is None:
            return
        await self._server.stop(grace=drain_timeout_s)
        await self._interceptor.drain(drain_timeout_s)
        self._server = None
        self._socket.unlink(missing_ok=True)

    async def check_alive(self) -> None:
        """Raise Unavailable when our own socket does not answer a connection."""
        try:
            async with asyncio.timeout(_SOCKET_CHECK_TIMEOUT_S):
                _, writer = await asyncio.open_unix_connection(str(self._socket))
            writer.close()
        except (OSError, TimeoutError) as e:
            raise errors.Unavailable(f"{self._socket} does not answer: {e}") from e

    async def check_ready(self) -> None:
        """Raise what keeps the driver from working: Probe and `/readyz` tell it.

        The log tells when it begins and when it is over: who looks there need not know the page.
        """
        try:
            await self._driver.ready()
        except errors.Error as e:
            if self._works:
                self._works = False
                log.warning("driver cannot work now", driver=self.name, error=str(e))
            raise
        if not self._works:
            self._works = True
            log.info("driver works again", driver=self.name)


async def start_until_served(server: DriverServer, failures: dict[str, str]) -> None:
    """Start *server*, again and again until it serves: another driver's work goes on meanwhile.

    failures: driver name → why it does not serve yet; health pages show it.
    """
    delay_s = _RESTART_FIRST_S
    failures[server.name] = "is starting"
    while True:
        try:
            await server.start()
        except Exception as e:  # whatever it is, it is this driver's alone
            failures[server.name] = reason(e)
            told: dict[str, Any] = {"driver": server.name, "retry_s": delay_s}
            if isinstance(e, errors.Error):  # on purpose: its words tell all
                log.error("driver does not start", error=str(e), **told)  # noqa: TRY400
            else:
                log.exception("driver does not start", **told)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _RESTART_MAX_S)
        else:
            failures.pop(server.name, None)
            return


def reason(error: Exception) -> str:
    """*error* for people who look at a health page; its class where the text alone says little."""
    return str(error) if isinstance(error, errors.Error) else f"{type(error).__name__}: {error}"
