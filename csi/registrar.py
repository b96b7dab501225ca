"""Registers a driver with kubelet, so that a node needs no registrar sidecar.

kubelet watches its plugins_registry directory, dials the socket it finds there and asks. We listen
on `<directory>/<driver name>-reg.sock`, the name the standard registrar uses, so switching between
the two leaves nothing stale.
"""

import asyncio
import pathlib
from collections.abc import Callable
from typing import Any

import grpc.aio
import structlog

from core import grpc_server
from csi._pb import pluginregistration_pb2, pluginregistration_pb2_grpc

log = structlog.get_logger()

SUPPORTED_VERSIONS = ("1.0.0",)
"""CSI versions kubelet knows by; every 1.x driver says 1.0.0."""


class RegistrationService(pluginregistration_pb2_grpc.RegistrationServicer):
    """Answers kubelet's two questions.

    endpoint: path of csi.sock as kubelet sees it. on_refused: called when kubelet refuses us.
    """

    def __init__(self, driver_name: str, endpoint: str, on_refused: Callable[[], None]) -> None:
        self._driver_name = driver_name
        self._endpoint = endpoint
        self._on_refused = on_refused

    async def GetInfo(self, request: Any, context: Any) -> pluginregistration_pb2.PluginInfo:
        log.info("kubelet asked for registration", driver=self._driver_name)
        return pluginregistration_pb2.PluginInfo(
            type="CSIPlugin",
            name=self._driver_name,
            endpoint=self._endpoint,
            supported_versions=SUPPORTED_VERSIONS,
        )

    async def NotifyRegistrationStatus(
        self, request: Any, context: Any
    ) -> pluginregistration_pb2.RegistrationStatusResponse:
        if request.plugin_registered:
            log.info("registered with kubelet", driver=self._driver_name)
        else:
            log.error("kubelet refused registration", driver=self._driver_name, why=request.error)
            self._on_refused()
        return pluginregistration_pb2.RegistrationStatusResponse()


class Registrar:
    """The registration socket of one driver.

    Start it only when csi.sock answers: kubelet calls NodeGetInfo at once. When kubelet refuses
    us, the socket is made anew after *retry_s* seconds, which makes kubelet try again.
    """

    def __init__(
        self, directory: pathlib.Path, driver_name: str, endpoint: str, *, retry_s: float = 10.0
    ) -> None:
        self._path = directory / f"{driver_name}-reg.sock"
        self._service = RegistrationService(driver_name, endpoint, self._refused)
        self._retry_s = retry_s
        self._server: grpc.aio.Server | None = None
        self._is_ours = False
        """Whether what lies at the path was made here: another's would be missed by kubelet."""
        self._retry: asyncio.Task[None] | None = None
        self.registered_again = asyncio.Event()

    async def start(self) -> None:
        """Serve.

        Raises Precondition when the directory is missing, or a registrar sidecar serves the socket.
        """
        self._server = grpc.aio.server()
        pluginregistration_pb2_grpc.add_RegistrationServicer_to_server(self._service, self._server)
        grpc_server.add_unix_socket(self._server, self._path)
        self._is_ours = True
        await self._server.start()

    async def stop(self) -> None:
        """Stop and remove the socket, which tells kubelet that the driver is gone."""
        if self._retry is not None:
            self._retry.cancel()
        if self._server is not None:
            await self._server.stop(grace=1.0)
        if self._is_ours:
            self._path.unlink(missing_ok=True)

    def _refused(self) -> None:
        if self._retry is None or self._retry.done():
            self._retry = asyncio.create_task(self._register_again(), name="register again")

    async def _register_again(self) -> None:
        await asyncio.sleep(self._retry_s)
        if self._server is not None:
            await self._server.stop(grace=1.0)
        self._path.unlink(missing_ok=True)
        await self.start()
        self.registered_again.set()
