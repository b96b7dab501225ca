"""The daemon's life: recover, prime, serve, drain. What each phase is for is in `readiness`."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cloud import client as cloud_client
from cloud import eni_model
from cloud import metadata as cloud_metadata
from core import clock, errors, metrics
from ipamd import (
    attachments,
    cni_service,
    conflist,
    counters,
    diagnose,
    eni_conf,
    eni_maker,
    events,
    gauges,
    introspection,
    janitor,
    kube_pods,
    leftovers,
    limits,
    model,
    node_facts,
    node_worker,
    pages,
    pending_dels,
    pool,
    pool_state,
    readiness,
    reclaim,
    settings,
    startup,
    terway_backend,
    terway_tracing,
    unary_calls,
    vswitches,
)
from ipamd._pb import ipamd_pb2_grpc, terway_pb2_grpc
from ipamd.readiness import Phase
from kube import pod_cache

log = structlog.get_logger()

_FACTS = "node"
_RETRY_FIRST_S = 1.0
_RETRY_MAX_S = 30.0


class Daemon:
    """Everything behind the sockets. status: what shows the pool on the Node, None = nothing.

    watched: the copy of the node's pods, None where they are not watched.
    """

    def __init__(
        self,
        process: settings.ProcessSettings,
        *,
        alibaba: cloud_client.Alibaba,
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
        self._metadata = metadata
        self._worker = worker
        self._clock = time
        self._registry = registry
        self._tell = tell
        self._conflist_content = conflist_content
        self._stored = model.StoredState()
        self._rebuilt = False
        self._facts: node_facts.NodeFacts | None = None
        self._leftovers: leftovers.Leftovers | None = None
        self._tasks: list[asyncio.Task[None]] = []
        conf = process.conf
        self._state = pool_state.PoolState(cool_down_s=conf.ip_cooldown_period_s)
        self._pool = pool.Pool(
            self._state,
            time,
            tell,
            pack=conf.eni_selection_policy == "most_ips",
            sync_period_s=conf.ip_pool_sync_period_s,
            changed=self._store_enis,
            counted=counted,
            reclaim=_reclaim(conf),
        )
        self._served = attachments.Attachments(
            self._pool, worker, time, tell, mtu=process.mtu, pods=pods
        )
        self._ready = readiness.Readiness(self._pool)
        self._cni = cni_service.CniService(self._served, self._ready, counted)
        self._pending = pending_dels.PendingDels(process.pending_del_dir, self._cni, time)
        pages.show(self._pool, self._served, self._ready)
        gauges.offer_pool(registry, self._pool)

    async def open(self) -> None:
        """Open the database. Raises StoreTooNew."""
        self._stored, self._rebuilt = await self._worker.open()

    def add_cni_service(self, server: unary_calls.UnaryCalls) -> None:
        """Put what the CNI executable calls on *server*."""
        ipamd_pb2_grpc.add_CniServicer_to_server(self._cni, server)

    def add_services(self, server: grpc.aio.Server) -> None:
        """Put our services on *server*."""
        diagnosis = diagnose.Diagnosis(
            self._pool,
            self._served,
            self._worker,
            self._ready,
            self._alibaba.reachable,
            pods=self._watched,
            orphans=lambda: self._leftovers.orphans if self._leftovers else (),
        )
        ipamd_pb2_grpc.add_CniServicer_to_server(self._cni, server)
        ipamd_pb2_grpc.add_IntrospectionServicer_to_server(
            introspection.IntrospectionService(self._pool, self._served, diagnosis), server
        )
        terway_pb2_grpc.add_TerwayBackendServicer_to_server(
            terway_backend.TerwayBackend(
                self._pool,
                self._served,
                self._ready,
                self._tell,
                service_cidr=self._process.conf.service_cidr,
            ),
            server,
        )
        terway_pb2_grpc.add_TerwayTracingServicer_to_server(
            terway_tracing.TerwayTracing(
                self._pool,
                self._served,
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
        maker, left_behind = await self._recover_until_done()
        self._leftovers = left_behind
        self._ready.phase = Phase.RECOVERED
        # Before any ADD: a DEL that was left for us must not end what is added again.
        await self._pending.replay()
        self._ready.phase = Phase.PRIMING
        rounds = janitor.Janitor(
            addresses=self._pool,
            served=self._served,
            worker=self._worker,
            maker=maker,
            left_behind=left_behind,
            time=self._clock,
            tell=self._tell,
            managed=self._managed,
            changed=self._store_enis,
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
            log.info("ipamd ready", free=self._state.free())

    async def _keep_conflist(self) -> None:
        await conflist.keep(
            self._conflist_content,
            self._process.cni_dir,
            is_wanted=lambda: self._ready.phase is Phase.READY,
            time=self._clock,
            tell=self._tell,
            period_s=self._process.check_period_s,
        )

    async def _recover_until_done(self) -> tuple[eni_maker.EniMaker, leftovers.Leftovers]:
        delay_s = _RETRY_FIRST_S
        while True:
            try:
                return await self._recover()
            except errors.Error as e:
                self._ready.waits_for = str(e)
                log.warning("recovery failed; trying again", error=str(e), retry_s=delay_s)
                self._tell.node(events.Reason.RESOURCE_INVALID, f"ipamd cannot start yet: {e}")
            except Exception as e:
                # One that ends for good would leave the node without ADD and DEL.
                self._ready.waits_for = f"{type(e).__name__}; see its log"
                log.exception("recovery broke; trying again", retry_s=delay_s)
            await self._clock.sleep(delay_s)
            delay_s = min(delay_s * 2, _RETRY_MAX_S)

    async def _recover(self) -> tuple[eni_maker.EniMaker, leftovers.Leftovers]:
        self._state.clear()
        self._served.leases.clear()
        facts, attached = await self._read_facts()
        self._facts = facts
        await self._worker.connect(facts.node_ip)
        maker, choice = self._make_maker(facts)
        targets = limits.choose_targets(
            self._process.conf,
            eni_quantity=facts.eni_quantity,
            addresses_per_eni=facts.addresses_per_eni,
            others=startup.count_others(attached or (), self._process.conf),
        )
        self._pool.configure(targets, maker, choice)
        sources = startup.Sources(stored=self._stored, attached=attached, rebuilt=self._rebuilt)
        now_s = self._clock.now().timestamp()
        found = await startup.find_enis(
            self._worker, sources, self._process.conf, now_s, self._tell
        )
        for eni in found:
            self._state.add_eni(eni)
        await startup.restore(
            sources,
            worker=self._worker,
            state=self._state,
            served=self._served,
            time=self._clock,
            tell=self._tell,
        )
        await startup.try_to_store(
            self._worker.put_enis(startup.records_of(self._state)), self._tell
        )
        return maker, self._make_leftovers(facts, maker)

    async def _read_facts(self) -> tuple[node_facts.NodeFacts, list[eni_model.Eni] | None]:
        """From metadata and cloud; what was remembered when they are silent.

        What another instance remembered is forgotten, and never believed.
        """
        remembered = node_facts.from_json(self._stored.facts.get(_FACTS, ""))
        instance_id = ""
        try:
            instance_id = await self._metadata.get(cloud_metadata.Key.INSTANCE_ID)
            facts, attached = await node_facts.read(
                self._metadata, self._alibaba.instances, self._alibaba.enis
            )
        except errors.Error as e:
            if remembered is None or not await self._is_own(remembered, instance_id):
                raise
            log.warning("starting with what is remembered about this node", error=str(e))
            return remembered, None
        if remembered is not None and remembered.instance_id != facts.instance_id:
            told = f"the state of another instance, {remembered.instance_id}, is forgotten"
            log.warning("this machine is new", why=told, leases=len(self._stored.leases))
            self._tell.node(events.Reason.RESOURCE_INVALID, told)
            await self._worker.begin_anew()
            self._stored = model.StoredState()
        remembering = self._worker.put_fact(_FACTS, node_facts.to_json(facts))
        await startup.try_to_store(remembering, self._tell)
        return facts, attached

    async def _is_own(self, remembered: node_facts.NodeFacts, instance_id: str) -> bool:
        own = node_facts.is_of_this_machine(
            remembered,
            instance_id=instance_id,
            link_macs=await self._worker.read_link_macs(),
            eni_macs={record.mac for record in self._stored.enis},
        )
        if not own:
            log.warning("what is remembered is about another machine", of=remembered.instance_id)
        return own

    def _make_maker(
        self, facts: node_facts.NodeFacts
    ) -> tuple[eni_maker.EniMaker, vswitches.VSwitches]:
        conf = self._process.conf
        choice = vswitches.VSwitches(
            self._alibaba.vswitches,
            self._clock,
            zone_id=facts.zone_id,
            vswitch_ids=conf.vswitches.get(facts.zone_id) or (facts.vswitch_id,),
            most_free=conf.vswitch_selection_policy == "ordered",
        )
        maker = eni_maker.EniMaker(
            self._alibaba.enis,
            self._worker,
            choice,
            self._clock,
            instance_id=facts.instance_id,
            security_group_ids=conf.security_groups or facts.security_group_ids,
            tags=conf.eni_tags,
            resource_group_id=conf.resource_group_id,
        )
        return maker, choice

    def _make_leftovers(
        self, facts: node_facts.NodeFacts, maker: eni_maker.EniMaker
    ) -> leftovers.Leftovers:
        return leftovers.Leftovers(
            self._alibaba.enis,
            self._alibaba.instances,
            self._clock,
            instance_id=facts.instance_id,
            cluster=self._process.conf.eni_tags.get(leftovers.CLUSTER_TAG, ""),
            is_wanted=lambda eni_id: maker.may_be_making(eni_id) or self._is_used(eni_id),
        )

    def _is_used(self, eni_id: str) -> bool:
        """Whether the pool has the interface, or, where a start did not find it, pods had."""
        leases = self._served.leases.values()
        return eni_id in self._state.enis or any(lease.eni_id == eni_id for lease in leases)

    async def _managed(self) -> dict[str, bool]:
        facts = self._facts
        if facts is None:
            return {}
        attached = await self._alibaba.enis.find(instance_id=facts.instance_id)
        conf = self._process.conf
        return {e.eni_id: startup.is_ours(e) for e in attached if startup.is_managed(e, conf)}

    async def _store_enis(self) -> None:
        try:
            await self._worker.put_enis(startup.records_of(self._state))
        except errors.Unavailable as e:
            startup.tell_unstored(e, self._tell)
            raise

    def _task(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ready.note_end)
        self._tasks.append(task)


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
