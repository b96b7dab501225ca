"""What the slow rounds do to leases: follow their addresses, learn of their pods, mend.

Each works on one lease at a time, holds its key, and passes over those that are busy.
"""

import dataclasses

import structlog

from core import errors
from ipamd import events, model, node_worker
from ipamd.attachments import finish, lease_terms, leases, pod_interfaces
from ipamd.datapath import model as datapath_model
from ipamd.kube import kube_pods, pod_wishes
from ipamd.pool import pool

log = structlog.get_logger()


class Upkeep:
    """Everything here may be done again, and left out for a round."""

    def __init__(
        self,
        held: leases.Leases,
        interfaces: pod_interfaces.PodInterfaces,
        addresses: pool.Pool,
        worker: node_worker.NodeWorker,
        *,
        pods: kube_pods.Pods,
        tell: events.Events,
    ) -> None:
        self._leases = held
        self._interfaces = interfaces
        self._pool = addresses
        self._worker = worker
        self._pods = pods
        self._tell = tell

    async def follow(self) -> None:
        """Note on which interface addresses are that came to another one of this node.

        The repair that comes next sends the pod's traffic there.
        """
        for lease in list(self._leases.values()):
            found = self._pool.state.find(lease.key)
            if found is None or found[0].eni_id == lease.eni_id:
                continue
            try:
                with self._leases.hold(lease.key):
                    await self._move(lease, found[0].eni_id)
            except errors.Error as e:
                log.info("lease is not moved yet", attachment=str(lease.key), error=str(e))

    async def learn(self) -> None:
        """Make up for what was not known of pods when they were added: limits and keeping."""
        for lease in list(self._leases.values()):
            # Of a lease that was found in the kernel only the link's name tells the pod.
            pod = lease.pod if lease.pod.name else self._owner_of(lease)
            is_known = lease.learned and pod == lease.pod
            wishes = None if is_known else self._pods.known(pod)
            if wishes is None:
                continue
            try:
                with self._leases.hold(lease.key):
                    await self._learn(lease, pod, wishes)
            except errors.Error as e:
                log.info("pod's annotations are not in effect yet", pod=str(pod), error=str(e))

    async def show_addresses(self) -> None:
        """Make up for what could not be shown on pods when they were added."""
        # Of two sandboxes of one pod the later is the one that runs.
        newest = {lease.pod: lease for lease in sorted(self._leases.values(), key=_age)}
        for lease in newest.values():
            self._pods.show(lease)

    async def repair(self, key: model.AttachmentKey) -> list[datapath_model.Difference]:
        """Mend the node's half of an interface; what was mended. Raises Busy."""
        with self._leases.hold(key):
            lease = self._leases.get(key)
            return [] if lease is None else await self._interfaces.repair(lease)

    async def _move(self, lease: model.Lease, eni_id: str) -> None:
        if self._leases.get(lease.key) is not lease:
            return
        moved = dataclasses.replace(lease, eni_id=eni_id)
        await self._worker.put_lease(moved)
        self._leases[lease.key] = moved
        log.warning(
            "address came to another interface; its pod goes there",
            attachment=str(lease.key),
            ipv4=str(lease.ipv4),
            eni_id=eni_id,
        )

    async def _learn(self, lease: model.Lease, pod: model.Pod, wishes: pod_wishes.Wishes) -> None:
        if self._leases.get(lease.key) is not lease:
            return
        kube_pods.tell_notes(self._tell, pod, wishes)
        if wishes.refusal:
            self._tell.pod(pod, events.Reason.ANNOTATION_IGNORED, wishes.refusal)
        changed = lease_terms.learned(lease, pod, wishes)
        if changed.bandwidth != lease.bandwidth and lease.owner is model.Owner.DAEMON:
            await finish.whole(self._make_again(changed))
        else:
            await self._worker.put_lease(changed)
            self._leases[lease.key] = changed
        log.info("pod's annotations are in effect", pod=str(pod))

    async def _make_again(self, lease: model.Lease) -> None:
        await self._interfaces.make(lease)
        self._leases[lease.key] = lease

    def _owner_of(self, lease: model.Lease) -> model.Pod:
        return self._pods.owner_of(lease.host_ifname, lease.key.ifname)


def _age(lease: model.Lease) -> float:
    return lease.created_at
