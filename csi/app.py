"""The `csi-plugin` program: reads settings, builds every part by hand, serves until a signal."""

import asyncio
import contextlib
import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Any

import structlog

from cloud import metadata as cloud_metadata
from cloud import settings as cloud_settings
from core import clock, errors, http_status, lifecycle, logs, metrics, version
from core import settings as core_settings
from csi import driver, flags, health, kube_metadata, registrar, serve, settings
from kube import api as kube_api
from kube import child as kube_child
from kube import client as kube_client
from kube import connection as kube_connection
from kube import events as kube_events
from kube import settings as kube_settings
from kube import shared as kube_shared

log = structlog.get_logger()

EXIT_BAD_SETTINGS = 2
EXIT_REFUSED = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status. Source of flags: `csi.flags`."""
    arguments = flags.parse(argv)
    reader = core_settings.Reader(os.environ, flags.values(arguments))
    try:
        process = settings.read(arguments, reader)
        cloud = cloud_settings.read_cloud(reader)
        kubernetes = kube_settings.read_kube(reader)
        plugin = Plugin(process, cloud, kubernetes, reader)
        reader.finish()
    except errors.Invalid as e:
        _print_faults(e, reader)
        return EXIT_BAD_SETTINGS
    if arguments.print_settings:
        for origin in reader.origins:
            print(f"{origin.name} = {origin.value!r}  ({origin.origin})")  # noqa: T201
        return 0
    logs.configure(json=process.json_logs, verbosity=process.verbosity)
    try:
        asyncio.run(lifecycle.run_until_signal(plugin.start))
    except errors.Precondition as e:
        log.error("csi-plugin cannot start", error=str(e))  # noqa: TRY400  # the message tells all
        return EXIT_REFUSED
    return 0


def _print_faults(fault: errors.Invalid, reader: core_settings.Reader) -> None:
    """All faults, not only the first: an operator mends them in one go."""
    faults = dict.fromkeys([*reader.faults, *str(fault).splitlines()])
    for text in faults:
        print(f"csi-plugin: {text}", file=sys.stderr)  # noqa: T201


class Plugin:
    """The process's parts. Made before the event loop runs; nothing here touches the network."""

    def __init__(
        self,
        process: settings.ProcessSettings,
        cloud: cloud_settings.CloudSettings,
        kubernetes: kube_settings.KubeSettings,
        reader: core_settings.Reader,
    ) -> None:
        self._process = process
        self._cloud_settings = cloud
        self._kubernetes = _kubernetes(kubernetes, process.roles)
        self._node_name = kubernetes.node_name
        self._clock = clock.SystemClock()
        self._registry = metrics.Metrics()
        self._alibaba: Any | None = None
        self._failures: dict[str, str] = {}
        self._metadata = cloud_metadata.make(
            cloud,
            environ=os.environ,
            openapi=self._cloud if process.roles.controller else None,
            extra=kube_metadata.providers(self._kubernetes, kubernetes, reader),
        )
        self._recorders: list[kube_events.Recorder] = []
        context = driver.DriverContext(
            roles=process.roles,
            node_id=process.node_id,
            version=version.VERSION,
            reader=reader,
            feature_gates=process.feature_gates,
            metadata=self._metadata,
            cloud=self._cloud,
            clock=self._clock,
            metrics=self._registry,
            kubernetes=self._kubernetes,
            events=self._recorder("csi-plugin"),
        )
        self._servers = [self._server(built) for built in self._build(context)]
        self.page = health.Health(self._servers, self._failures, self._registry)

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        """Start every driver and the status pages; push their ends on *stack*."""
        log.info("csi-plugin starts", version=version.VERSION, drivers=self._process.drivers)
        stack.push_async_callback(self._close_cloud)
        stack.push_async_callback(self._close_kubernetes)
        for recorder in self._recorders:
            recorder.start()
        stack.callback(self._metadata.close)
        http_port = await self._start_http(stack)
        starts: list[asyncio.Task[None]] = []
        for server in self._servers:
            stack.push_async_callback(server.stop, self._process.drain_timeout_s)
            starts.append(
                asyncio.create_task(
                    serve.start_until_served(server, self._failures), name=f"start {server.name}"
                )
            )
        announce = asyncio.create_task(self._announce(starts, http_port), name="announce")
        stack.callback(announce.cancel)
        for start in starts:
            stack.callback(start.cancel)

    async def _announce(self, starts: Sequence[asyncio.Task[None]], http_port: int) -> None:
        """Say so once every driver serves. One that cannot start does not hold up another."""
        await asyncio.gather(*starts)
        log.info("csi-plugin ready", drivers=self._process.drivers, http_port=http_port)

    async def _start_http(self, stack: contextlib.AsyncExitStack) -> int:
        if self._process.http_port is None:
            return 0
        http = http_status.HttpStatus(self.page.routes(serve_metrics=self._process.serve_metrics))
        port = await http.start(
            self._process.http_address, self._process.http_port, setting="SERVICE_PORT"
        )
        stack.push_async_callback(http.stop)
        return port

    def _build(self, context: driver.DriverContext) -> list[driver.Driver]:
        """Every driver that can be built; the defects of the others are told on the health pages.

        Raises Invalid for settings, which an operator mends, and when no driver is left.
        """
        built: list[driver.Driver] = []
        defects: list[Exception] = []
        for name in self._process.drivers:
            try:
                own = self._recorder(name)
                built.append(driver.build(name, dataclasses.replace(context, events=own)))
            except errors.Invalid:
                raise
            except Exception as e:
                log.exception("driver cannot be built", driver=name)
                self._failures[name] = serve.reason(e)
                defects.append(e)
        if defects and not built:
            raise defects[0]
        return built

    def _server(self, built: driver.Driver) -> serve.DriverServer:
        socket = settings.socket_path(self._process.endpoint, built.name)
        registration = None
        if self._process.registration_dir is not None and built.node is not None:
            seen = self._process.registration_endpoint.replace(settings.REPLACE, built.name)
            registration = registrar.Registrar(
                self._process.registration_dir, built.name, seen or str(socket)
            )
        return serve.DriverServer(
            built,
            socket,
            version=version.VERSION,
            registry=self._registry,
            registration=registration,
        )

    def _cloud(self) -> Any:
        """The one cloud client of this process; made, and its SDK imported, on first use."""
        if self._alibaba is None:
            from cloud import client  # noqa: PLC0415  # a node process never gets here

            self._alibaba = client.Alibaba(self._cloud_settings, self._registry, self._clock)
        return self._alibaba

    def _recorder(self, component: str) -> kube_events.Recorder:
        """Of events in the name of *component*."""
        host = self._node_name if self._process.roles.node else ""
        made = kube_events.Recorder(
            self._kubernetes, component=component, host=host, time=self._clock
        )
        self._recorders.append(made)
        return made

    async def _close_kubernetes(self) -> None:
        for recorder in self._recorders:
            await recorder.close()
        await self._kubernetes.close()

    async def _close_cloud(self) -> None:
        if self._alibaba is not None:
            await self._alibaba.close()


def _kubernetes(config: kube_settings.KubeSettings, roles: driver.Roles) -> kube_api.VolumeApi:
    """A node's process stays small, whatever else it is, and asks by child processes."""
    if not config.is_configured:
        return kube_api.Nowhere()
    if roles.node:
        return kube_shared.Shared(kube_child.Child(config))
    return kube_shared.Shared(kube_client.Client(kube_connection.Connection(config)))
