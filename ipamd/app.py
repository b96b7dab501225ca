"""The `ipamd` program: reads settings, builds every part by hand, serves until a signal.

The socket answers from the first moment. What needs the pool is answered "try again later" until
the node's state is recovered, so that no DEL is taken for done that nobody did.
"""

import argparse
import asyncio
import contextlib
import functools
import os
import pathlib
import signal
import sys
from collections.abc import Sequence

import grpc.aio
import structlog

from cloud import imds as cloud_imds
from cloud import metadata as cloud_metadata
from cloud import network as cloud_network
from cloud import settings as cloud_settings
from core import clock, errors, grpc_server, http_status, lifecycle, logs, metrics, version
from core import settings as core_settings
from ipamd import (
    counters,
    daemon,
    dynamic_config,
    eni_conf,
    gauges,
    instance_lock,
    node_worker,
    settings,
    store,
)
from ipamd.api import pages, rpc_log
from ipamd.cni import conflist
from ipamd.datapath import enis, kernel
from ipamd.kube import kubernetes
from ipamd.transport import cni_socket, unary_calls
from kube import child

log = structlog.get_logger()

EXIT_BAD_SETTINGS = 2
EXIT_REFUSED = 3
_DATABASE = "ipamd.db"
_LOCK = "terwayd.lock"
_CNI_SOCKET = "cni.socket"
_DEBUG_VERBOSITY = 4
_NEW_NODE_WAIT_S = 10.0
"""For the API server, on a node that has no state yet. Its way there may be in the making, too."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    flags = settings.parse_flags(argv)
    if os.geteuid() != 0 and not flags.print_settings:
        print("ipamd: needs root: it programs the network of this node", file=sys.stderr)  # noqa: T201
        return EXIT_BAD_SETTINGS
    if not flags.print_settings:
        verbosity = _DEBUG_VERBOSITY if flags.log_level == "debug" else 0
        logs.configure(json=flags.log_format == "json", verbosity=verbosity)
    reader = core_settings.Reader({})
    dynamic = _own_part(flags)
    process = settings.read(flags, reader, os.environ, dynamic)
    reader_of_cloud = core_settings.Reader(settings.with_access_key(os.environ, process.conf))
    cloud = cloud_settings.read_cloud(reader_of_cloud)
    faults = [*reader.faults, *reader_of_cloud.faults]
    try:
        content = conflist.build(process.config_dir)
    except errors.Invalid as e:
        faults.append(str(e))
        content = b""
    for fault in faults:
        print(f"ipamd: {fault}", file=sys.stderr)  # noqa: T201
    if faults:
        return EXIT_BAD_SETTINGS
    if flags.print_settings:
        print(settings.shown(process))  # noqa: T201
        return 0
    app = App(process, cloud, content, lambda told: _judged(flags, told))
    try:
        asyncio.run(lifecycle.run_until_signal(app.start))
    except errors.Precondition as e:
        log.error("ipamd cannot start", error=str(e))  # noqa: TRY400  # the message tells all
        return EXIT_REFUSED
    if app.is_to_start_anew:
        sys.stdout.flush()
        # In place: for kubelet the container goes on, and its back-off does not count.
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606  # our own words
    return 0


def _own_part(flags: argparse.Namespace) -> dynamic_config.Dynamic:
    """What the node adds to the files: as remembered; on a new node the API server is asked."""
    state_dir = pathlib.Path(flags.state_dir)
    remembered = dynamic_config.Remembered(state_dir)
    found = remembered.read()
    kube = settings.read_kube(flags, os.environ)
    is_new = found is None and not (state_dir / _DATABASE).exists()
    if is_new and kube.is_configured and kube.node_name and not flags.print_settings:
        namespace = os.environ.get("POD_NAMESPACE") or "kube-system"
        asking = dynamic_config.ask(
            child.Child(kube),
            kube.node_name,
            namespace,
            clock.SystemClock(),
            wait_s=_NEW_NODE_WAIT_S,
        )
        found = asyncio.run(asking)
    if found is None or settings.read_conf(flags, dynamic_config.NONE)[1].faults:
        return dynamic_config.NONE
    faults = settings.read_conf(flags, found)[1].faults
    if faults:
        # Told on the Node when its watch is there. It must not keep the node without a network.
        log.error("the node's own configuration is wrong and has no effect", faults=faults)
        return dynamic_config.NONE
    return found


def _judged(
    flags: argparse.Namespace, dynamic: dynamic_config.Dynamic
) -> tuple[eni_conf.EniConf, Sequence[str]]:
    conf, found = settings.read_conf(flags, dynamic)
    return conf, found.faults


class App:
    """The process's parts. Made before the event loop runs; nothing here touches the network."""

    def __init__(
        self,
        process: settings.ProcessSettings,
        cloud: cloud_settings.CloudSettings,
        conflist_content: bytes,
        judge: dynamic_config.Judge,
    ) -> None:
        self.is_to_start_anew = False
        self._judge = judge
        self._process = process
        self._clock = clock.SystemClock()
        self._registry = metrics.Metrics()
        self._counted = counters.Counters(self._registry)
        self._lock = instance_lock.InstanceLock(process.run_dir / _LOCK)
        self._alibaba = cloud_network.Network(cloud, self._registry, self._clock)
        self._kubernetes = kubernetes.Kubernetes(
            process.kube,
            self._clock,
            stateful_kinds=process.conf.custom_stateful_workload_kinds,
            show_pod_ips=process.conf.enable_patch_pod_ips,
        )
        self._metadata = cloud_metadata.make(
            cloud,
            environ=os.environ,
            openapi=None,
            extra=self._kubernetes.metadata_providers(),
        )
        self._worker = node_worker.NodeWorker(
            open_store=lambda: store.Store(process.state_dir / _DATABASE),
            open_kernel=functools.partial(kernel.open_kernel, mtu=process.mtu),
            read_link_macs=enis.read_macs,
            imds=cloud_imds.Imds(cloud.imds_endpoint),
            counted=self._counted,
        )
        self._pages = pages.Pages(self._registry, settings.shown(process))
        self._daemon = daemon.Daemon(
            process,
            alibaba=self._alibaba,
            metadata=self._metadata,
            worker=self._worker,
            time=self._clock,
            registry=self._registry,
            counted=self._counted,
            pages=self._pages,
            tell=self._kubernetes.events,
            pods=self._kubernetes.pods,
            watched=self._kubernetes.cache if self._kubernetes.has_node else None,
            status=self._kubernetes.show_status if self._kubernetes.has_node else None,
            conflist_content=conflist_content,
        )
        self._interceptor = grpc_server.ServeInterceptor(
            observe=gauges.observer(self._registry),
            redact=rpc_log.loggable,
            quiet=gauges.QUIET,
            subject=rpc_log.subject,
        )
        self._server: grpc.aio.Server | None = None
        self._cni_calls = unary_calls.UnaryCalls(self._interceptor)
        self._cni_socket = cni_socket.CniSocket(self._cni_calls)

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        """Take the lock, open the state, serve, and bring the pool up in the background."""
        log.info("ipamd starts", version=version.VERSION)
        for warning in self._process.warnings:
            log.warning(warning)
        await asyncio.to_thread(self._lock.take)
        stack.push_async_callback(self._alibaba.close)
        self._kubernetes.start(self._registry)
        stack.push_async_callback(self._kubernetes.close)
        await self._daemon.open()
        stack.push_async_callback(self._worker.close)
        http = http_status.HttpStatus(self._pages.routes())
        await http.start_unix(self._process.debug_socket)
        stack.push_async_callback(http.stop)
        stack.push_async_callback(self._daemon.stop)
        await self._serve()
        stack.push_async_callback(self._stop_serving)
        stack.callback(self._daemon.drain)
        self._daemon.begin()
        if self._kubernetes.has_node:
            following = asyncio.create_task(self._follow(), name="node's own configuration")
            following.add_done_callback(self._daemon.note_end)
            stack.callback(following.cancel)

    async def _follow(self) -> None:
        await self._kubernetes.until_configured_anew(self._process, self._judge)
        log.warning("the node's own configuration is another now; starting anew")
        self.is_to_start_anew = True
        os.kill(os.getpid(), signal.SIGTERM)

    async def _serve(self) -> None:
        self._server = grpc_server.make_server(self._interceptor)
        self._daemon.add_services(self._server)
        self._process.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        grpc_server.add_unix_socket(self._server, self._process.socket)
        await self._server.start()
        self._daemon.add_cni_service(self._cni_calls)
        await self._cni_socket.start(self._process.socket.with_name(_CNI_SOCKET))
        log.info("ipamd serves", socket=str(self._process.socket))

    async def _stop_serving(self) -> None:
        if self._server is not None:
            grace_s = self._process.drain_timeout_s
            await asyncio.gather(
                self._server.stop(grace=grace_s), self._cni_socket.stop(grace_s=grace_s)
            )
            await self._interceptor.drain(grace_s)
        for path in (self._process.socket, self._process.socket.with_name(_CNI_SOCKET)):
            path.unlink(missing_ok=True)
