"""From a process that knows nothing to a pool that is served, whatever is silent meanwhile."""

from collections.abc import Callable

import structlog

from cloud import eni_model
from cloud import metadata as cloud_metadata
from cloud import network as cloud_network
from core import clock, errors
from ipamd import eni_conf, events, model, node_worker
from ipamd.attachments import leases
from ipamd.pool import eni_maker, leftovers, limits, pool, vswitches
from ipamd.recovery import node_facts, startup

log = structlog.get_logger()

_FACTS = "node"
_RETRY_FIRST_S = 1.0
_RETRY_MAX_S = 30.0


class Recoverer:
    """Fills pool and leases. waits_for: called with what keeps the daemon from starting."""

    def __init__(
        self,
        addresses: pool.Pool,
        held: leases.Leases,
        worker: node_worker.NodeWorker,
        *,
        conf: eni_conf.EniConf,
        alibaba: cloud_network.Network,
        metadata: cloud_metadata.Metadata,
        time: clock.Clock,
        tell: events.Events,
        waits_for: Callable[[str], None],
    ) -> None:
        self._pool = addresses
        self._leases = held
        self._worker = worker
        self._conf = conf
        self._alibaba = alibaba
        self._metadata = metadata
        self._clock = time
        self._tell = tell
        self._waits_for = waits_for
        self._stored = model.StoredState()
        self._rebuilt = False
        self._facts: node_facts.NodeFacts | None = None

    async def open(self) -> None:
        """Open the database. Raises StoreTooNew."""
        self._stored, self._rebuilt = await self._worker.open()

    async def run(self) -> tuple[eni_maker.EniMaker, leftovers.Leftovers]:
        """Recover, again and again until it works.

        Who makes interfaces from then on, and who deletes those that were left behind.
        """
        delay_s = _RETRY_FIRST_S
        while True:
            try:
                return await self._recover()
            except errors.Error as e:
                self._waits_for(str(e))
                log.warning("recovery failed; trying again", error=str(e), retry_s=delay_s)
                self._tell.node(events.Reason.RESOURCE_INVALID, f"ipamd cannot start yet: {e}")
            except Exception as e:
                # One that ends for good would leave the node without ADD and DEL.
                self._waits_for(f"{type(e).__name__}; see its log")
                log.exception("recovery broke; trying again", retry_s=delay_s)
            await self._clock.sleep(delay_s)
            delay_s = min(delay_s * 2, _RETRY_MAX_S)

    async def managed(self) -> dict[str, bool]:
        """Interfaces that pods may use, by id: whether they are ours to give back."""
        facts = self._facts
        if facts is None:
            return {}
        attached = await self._alibaba.enis.find(instance_id=facts.instance_id)
        return {e.eni_id: startup.is_ours(e) for e in attached if startup.is_managed(e, self._conf)}

    async def _recover(self) -> tuple[eni_maker.EniMaker, leftovers.Leftovers]:
        self._pool.state.clear()
        self._leases.clear()
        facts, attached = await self._read_facts()
        self._facts = facts
        await self._worker.connect(facts.node_ip)
        maker, choice = self._make_maker(facts)
        targets = limits.choose_targets(
            self._conf,
            eni_quantity=facts.eni_quantity,
            addresses_per_eni=facts.addresses_per_eni,
            others=startup.count_others(attached or (), self._conf),
        )
        self._pool.configure(targets, maker, choice)
        sources = startup.Sources(stored=self._stored, attached=attached, rebuilt=self._rebuilt)
        now_s = self._clock.now().timestamp()
        found = await startup.find_enis(self._worker, sources, self._conf, now_s, self._tell)
        for eni in found:
            self._pool.state.add_eni(eni)
        await startup.restore(
            sources,
            worker=self._worker,
            state=self._pool.state,
            held=self._leases,
            time=self._clock,
            tell=self._tell,
        )
        records = startup.records_of(self._pool.state)
        await startup.try_to_store(self._worker.put_enis(records), self._tell)
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
        choice = vswitches.VSwitches(
            self._alibaba.vswitches,
            self._clock,
            zone_id=facts.zone_id,
            vswitch_ids=self._conf.vswitches.get(facts.zone_id) or (facts.vswitch_id,),
            most_free=self._conf.vswitch_selection_policy == "ordered",
        )
        maker = eni_maker.EniMaker(
            self._alibaba.enis,
            self._worker,
            choice,
            self._clock,
            instance_id=facts.instance_id,
            security_group_ids=self._conf.security_groups or facts.security_group_ids,
            tags=self._conf.eni_tags,
            resource_group_id=self._conf.resource_group_id,
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
            cluster=self._conf.eni_tags.get(leftovers.CLUSTER_TAG, ""),
            is_wanted=lambda eni_id: maker.may_be_making(eni_id) or self._is_used(eni_id),
        )

    def _is_used(self, eni_id: str) -> bool:
        """Whether the pool has the interface, or, where a start did not find it, pods had."""
        held = self._leases.values()
        return eni_id in self._pool.state.enis or any(lease.eni_id == eni_id for lease in held)
