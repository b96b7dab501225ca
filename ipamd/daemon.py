"""The daemon's life: recover, prime, serve, drain. What each phase is for is in `readiness`."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cloud import metadata as cloud_metadata
from cloud import network as cloud_network
from core import clock, errors, metrics
from ipamd import (
    counters,
    eni_conf,
    eni_upkeep,
    events,
    gauges,
    janitor,
    node_worker,
    readiness,
    settings,
)
from ipamd._pb import ipamd_pb2_grpc, terway_pb2_grpc
from ipamd.api import cni_service, diagnose, introspection, pages, terway_backend, terway_tracing
from ipamd.attachments import attachments, leases, pod_interfaces, upkeep
from ipamd.cni import conflist, pending_dels
from ipamd.kube import kube_pods
from ipamd.pool import leftovers, pool, pool_state, reclaim
from ipamd.readiness import Phase
from ipamd.recovery import recoverer, startup
from ipamd.transport import unary_calls
from kube import pod_cache

log = structlog.get_logger()


class Daemon:
    """Everything behind the sockets. status: what shows the pool on the Node, None = nothing.

    watched: the copy of the node's pods, None where they are not watched.
    """

    def __init__(
        self,
        process: settings.ProcessSettings,
        *,
        alibaba: cloud_network.Network,
        metadata: cloud_metadata.Metadata,
        worker: node_worker.NodeWorker,
        time: clock.Clock,
        registry: metrics.Metrics,
        counted: counters.Counters,
        pages: pages.Pages,
        tell: events.Events,
        pods: kube_pods.Pods,
        watched: pod_cache.PodCache | None,
        status: Callable[[pool.Pool], Coroutine[Any, Any, None]] | None,
        conflist_content: bytes,
    ) -> None:
        self._pods = pods
        self._watched = watched
        self._status = status
        self._process = process
        self._alibaba = alibaba
        self._worker = worker
        self._clock = time
        self._registry = registry
        self._tell = tell
        self._conflist_content = conflist_content
        self._leftovers: leftovers.Leftovers | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._pool = _make_pool(process.conf, time, tell, counted, self._store_enis)
        self._leases = leases.Leases()
        self._interfaces = pod_interfaces.PodInterfaces(self._pool, worker)
        self._served = attachments.Attachments(
            self._leases,
            self._interfaces,
            self._pool,
            worker,
            pods=pods,
            time=time,
            tell=tell,
            mtu=process.mtu,
        )
        self._ready = readiness.Readiness(self._pool)
        self._recoverer = recoverer.Recoverer(
            self._pool,
            self._leases,
            worker,
            conf=process.conf,
            alibaba=alibaba,
            metadata=metadata,
            time=time,
            tell=tell,
            waits_for=self._ready.wait_for,
        )
        self._cni = cni_service.CniService(self._served, self._ready, counted)
        self._pending = pending_dels.PendingDels(process.pending_del_dir, self._cni, time)
        pages.show(self._pool, self._leases, self._ready)
        gauges.offer_pool(registry, self._pool)

    async def open(self) -> None:
        """Open the database. Raises StoreTooNew."""
        await self._recoverer.open()

    def add_cni_service(self, server: unary_calls.UnaryCalls) -> None:
        """Put what the CNI executable calls on *server*."""
        ipamd_pb2_grpc.add_CniServicer_to_server(self._cni, server)

    def add_services(self, server: grpc.aio.Server) -> None:
        """Put our services on *server*."""
        diagnosis = diagnose.Diagnosis(
            self._pool,
            self._leases,
            self._interfaces,
            self._worker,
            ready=self._ready,
            cloud_reachable=self._alibaba.reachable,
            pods=self._watched,
            orphans=lambda: self._leftovers.orphans if self._leftovers else (),
        )
        ipamd_pb2_grpc.add_CniServicer_to_server(self._cni, server)
        ipamd_pb2_grpc.add_IntrospectionServicer_to_server(
            introspection.IntrospectionService(self._pool, self._leases, diagnosis), server
        )
        terway_pb2_grpc.add_TerwayBackendServicer_to_server(
            terway_backend.TerwayBackend(
                self._pool,
                self._served,
                self._leases,
                self._ready,
                self._tell,
                service_cidr=self._process.conf.service_cidr,
            ),
            server,
        )
        terway_pb2_grpc.add_TerwayTracingServicer_to_server(
            terway_tracing.TerwayTracing(
                self._pool,
                self._leases,
                {"name": "default", "daemon_mode": "ENIMultiIP"},
            ),
            server,
        )
        health_pb2_grpc.add_HealthServicer_to_server(_Health(self._ready), server)

    def note_end(self, task: "asyncio.Task[None]") -> None:
        """A task beside ours ended; one that broke fails the liveness probe."""
        self._ready.note_end(task)

    def begin(self) -> None:
        """Start to recover, in the background, again and again until it works."""
        self._task(self._live(), "daemon")

    def drain(self) -> None:
        """Take no more ADDs; the runtime is told by taking its configuration away."""
        self._ready.phase = Phase.DRAINING
        if not self._process.keep_conflist:
            conflist.remove(self._process.cni_dir)

    async def stop(self) -> None:
        """End the background work. Pods keep their network."""
        for task in reversed(self._tasks):
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError, errors.Error):
                await task

    async def _live(self) -> None:
        maker, left_behind = await self._recoverer.run()
        self._leftovers = left_behind
        self._ready.phase = Phase.RECOVERED
        # Before any ADD: a DEL that was left for us must not end what is added again.
        await self._pending.replay()
        self._ready.phase = Phase.PRIMING
        rounds = janitor.Janitor(
            addresses=self._pool,
            held=self._leases,
            served=self._served,
            lease_upkeep=upkeep.Upkeep(
                self._leases,
                self._interfaces,
                self._pool,
                self._worker,
                pods=self._pods,
                tell=self._tell,
            ),
            interface_upkeep=eni_upkeep.EniUpkeep(
                self._pool,
                self._leases,
                self._worker,
                maker,
                time=self._clock,
                tell=self._tell,
                managed=self._recoverer.managed,
                changed=self._store_enis,
            ),
            left_behind=left_behind,
            worker=self._worker,
            time=self._clock,
            tell=self._tell,
            period_s=self._process.check_period_s,
            pending=self._pending,
            pods=self._pods,
        )
        gauges.offer_janitor(self._registry, rounds.counts)
        self._task(self._pool.run(), "pool")
        self._task(rounds.run(), "janitor")
        if self._status is not None:
            self._task(self._status(self._pool), "node status")
        await self._pool.wait_primed()
        if await conflist.offer(
            self._conflist_content,
            self._process.cni_dir,
            is_wanted=lambda: self._ready.phase is Phase.PRIMING,
            time=self._clock,
            tell=self._tell,
        ):
            self._ready.phase = Phase.READY
            self._task(self._keep_conflist(), "CNI configuration")
            log.info("ipamd ready", free=self._pool.state.free())

    async def _keep_conflist(self) -> None:
        await conflist.keep(
            self._conflist_content,
            self._process.cni_dir,
            is_wanted=lambda: self._ready.phase is Phase.READY,
            time=self._clock,
            tell=self._tell,
            period_s=self._process.check_period_s,
        )

    async def _store_enis(self) -> None:
        try:
            await self._worker.put_enis(startup.records_of(self._pool.state))
        except errors.Unavailable as e:
            startup.tell_unstored(e, self._tell)
            raise

    def _task(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ready.note_end)
        self._tasks.append(task)


def _make_pool(
    conf: eni_conf.EniConf,
    time: clock.Clock,
    tell: events.Events,
    counted: counters.Counters,
    changed: Callable[[], Coroutine[Any, Any, None]],
) -> pool.Pool:
    return pool.Pool(
        pool_state.PoolState(cool_down_s=conf.ip_cooldown_period_s),
        time,
        tell,
        pack=conf.eni_selection_policy == "most_ips",
        sync_period_s=conf.ip_pool_sync_period_s,
        changed=changed,
        counted=counted,
        reclaim=_reclaim(conf),
    )


def _reclaim(conf: eni_conf.EniConf) -> reclaim.Reclaim | None:
    if conf.idle_ip_reclaim_after_s is None:
        return None
    return reclaim.Reclaim(
        after_s=conf.idle_ip_reclaim_after_s,
        interval_s=conf.idle_ip_reclaim_interval_s,
        batch=conf.idle_ip_reclaim_batch_size,
        jitter=conf.idle_ip_reclaim_jitter_factor,
    )


class _Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it has no types
    """The standard health service: serving once ADDs can be."""

    def __init__(self, ready: readiness.Readiness) -> None:
        self._ready = ready

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        serving = self._ready.phase in (Phase.READY, Phase.PRIMING)
        status = health_pb2.HealthCheckResponse
        return status(status=status.SERVING if serving else status.NOT_SERVING)
