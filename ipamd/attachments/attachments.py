"""ADD, DEL, CHECK and GC of attachments: who gets which address, and in which order things happen.

The order is what makes a kill at any instant harmless. ADD: lease in memory, lease on disk, kernel.
DEL: kernel, disk, memory. So a stored lease may lack its interface, which DEL, a repeated ADD and
the janitor all mend; an interface without a stored lease cannot be, but when the database is lost,
and then it carries its key and address and is taken up again.
"""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import structlog

from core import clock, errors, keyed_lock
from ipamd import events, model, node_worker
from ipamd.attachments import attachment_checks, attachment_errors, link_names
from ipamd.cni import cni_config, cni_error
from ipamd.datapath import model as datapath_model
from ipamd.datapath import names
from ipamd.kube import kube_pods, pod_wishes
from ipamd.pool import pool

log = structlog.get_logger()

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What an ADD made."""

    lease: model.Lease
    wired: datapath_model.Wired


class Attachments:
    """Every lease of the node. mtu: for configurations that name none."""

    def __init__(
        self,
        addresses: pool.Pool,
        worker: node_worker.NodeWorker,
        time: clock.Clock,
        tell: events.Events,
        *,
        mtu: int,
        pods: kube_pods.Pods | None = None,
    ) -> None:
        self._pods = pods or kube_pods.NoPods()
        self._pool = addresses
        self._worker = worker
        self._clock = time
        self._tell = tell
        self._mtu = mtu
        self._locks = keyed_lock.KeyedLock()
        self._adding: dict[model.AttachmentKey, tuple[str, model.Pod]] = {}
        """ADDs under way, with the names of their links on the node."""
        self.leases: dict[model.AttachmentKey, model.Lease] = {}

    async def add(self, config: cni_config.NetworkConfig, asked: cni_config.Attachment) -> Added:
        """Give the attachment an address and an interface; the same again for the same one."""
        if asked.netns_path is None:
            raise cni_error.CniError(cni_error.INVALID_ENVIRONMENT, "CNI_NETNS is missing")
        started_s = self._clock.monotonic_s()
        with self._holding(asked):
            added = await self._add(config, asked, asked.netns_path)
        self._pods.show(added.lease)
        took_s = self._clock.monotonic_s() - started_s
        log.info(
            "attachment added",
            attachment=str(asked.key),
            pod=str(asked.pod),
            ipv4=str(added.lease.ipv4),
            elapsed_s=round(took_s, 4),
        )
        self._tell.pod(
            asked.pod,
            events.Reason.ALLOC_IP_SUCCEED,
            f"Alloc IP {added.lease.ipv4}/32 took {took_s * 1000:.6f}ms",
            warning=False,
        )
        return added

    async def lease_only(self, asked: cni_config.Attachment) -> model.Lease:
        """Give an address to an attachment whose interface the caller makes, and names."""
        with self._holding(asked, names_tried=1):
            known = self.leases.get(asked.key)
            if known is not None:
                return known
            wishes = await self._wishes(asked)
            eni, address, keep_s = await self._allocate(asked, wishes)
            bandwidth = wishes.bandwidth if wishes is not None else datapath_model.UNLIMITED
            lease = dataclasses.replace(
                self._lease(asked, eni, address, self._mtu, bandwidth),
                owner=model.Owner.CALLER,
                keep_s=keep_s,
                learned=_is_learned(asked, wishes),
            )
            lease = await _finish(self._keep(lease))
        self._pods.show(lease)
        return lease

    async def remove(self, asked: cni_config.Attachment) -> bool:
        """Take interface and address away; whether there was anything to take."""
        return await self.end(await self._known_as(asked), asked.netns_path)

    async def end(self, key: model.AttachmentKey, netns_path: pathlib.Path | None = None) -> bool:
        """Like `remove`, by key. netns_path: where the interface is, None when not known."""
        with self._locks.hold(str(key)):
            lease = self.leases.get(key)
            if lease is None:
                return False
            await _finish(self._remove(lease, netns_path))
        log.info(
            "attachment removed", attachment=str(key), pod=str(lease.pod), ipv4=str(lease.ipv4)
        )
        return True

    async def check(self, config: cni_config.NetworkConfig, asked: cni_config.Attachment) -> None:
        """Raise NoAttachment or CheckFailed unless all is as ADD made it."""
        with self._locks.hold(str(asked.key)):
            lease = self.leases.get(asked.key)
            if lease is None:
                raise attachment_errors.NoAttachment(asked.key)
            if asked.netns_path is None:
                raise cni_error.CniError(cni_error.INVALID_ENVIRONMENT, "CNI_NETNS is missing")
            attachment_checks.require_previous(config, lease)
            wiring = self.wiring(dataclasses.replace(lease, netns=str(asked.netns_path)))
            differences = await self.differences(lease, wiring)
        if differences:
            raise attachment_errors.CheckFailed(differences)

    async def differences(
        self, lease: model.Lease, wiring: datapath_model.Wiring
    ) -> list[datapath_model.Difference]:
        """What is not as ADD made it: in the kernel, and whether the cloud has the address."""
        found = await self._worker.check(wiring)
        place = self._pool.state.find(lease.key)
        if place is not None and place[1].state is model.AddressState.MISSING:
            found = [*found, attachment_checks.taken_away(lease)]
        return found

    async def collect(self, network: str, valid: frozenset[tuple[str, str]]) -> list[str]:
        """Remove every attachment of *network* that is not in *valid*; what could not be removed.

        Goes on past failures. Source: CNI specification, "GC".
        """
        failures = []
        for key in [key for key in self.leases if key.network == network]:
            if (key.container_id, key.ifname) in valid:
                continue
            try:
                await self.end(key)
            except errors.Error as e:
                failures.append(f"{key}: {e}")
            else:
                log.info("attachment collected", attachment=str(key))
        return failures

    async def repair(self, key: model.AttachmentKey) -> list[datapath_model.Difference]:
        """Mend the node's half of an interface; what was mended. Raises Busy."""
        with self._locks.hold(str(key)):
            lease = self.leases.get(key)
            return [] if lease is None else await self._worker.repair_node(self.wiring(lease))

    async def show_addresses(self) -> None:
        """Make up for what could not be shown on pods when they were added."""
        # Of two sandboxes of one pod the later is the one that runs.
        newest = {lease.pod: lease for lease in sorted(self.leases.values(), key=_age)}
        for lease in newest.values():
            self._pods.show(lease)

    async def follow(self) -> None:
        """Note on which interface addresses are that came to another one of this node.

        The repair that comes next sends the pod's traffic there.
        """
        for lease in list(self.leases.values()):
            found = self._pool.state.find(lease.key)
            if found is None or found[0].eni_id == lease.eni_id:
                continue
            try:
                with self._locks.hold(str(lease.key)):
                    await self._move(lease, found[0].eni_id)
            except errors.Error as e:
                log.info("lease is not moved yet", attachment=str(lease.key), error=str(e))

    async def _move(self, lease: model.Lease, eni_id: str) -> None:
        if self.leases.get(lease.key) is not lease:
            return
        moved = dataclasses.replace(lease, eni_id=eni_id)
        await self._worker.put_lease(moved)
        self.leases[lease.key] = moved
        log.warning(
            "address came to another interface; its pod goes there",
            attachment=str(lease.key),
            ipv4=str(lease.ipv4),
            eni_id=eni_id,
        )

    async def learn(self) -> None:
        """Make up for what was not known of pods when they were added: limits and keeping."""
        for lease in list(self.leases.values()):
            # Of a lease that was found in the kernel only the link's name tells the pod.
            pod = lease.pod if lease.pod.name else self._owner_of(lease)
            is_known = lease.learned and pod == lease.pod
            wishes = None if is_known else self._pods.known(pod)
            if wishes is None:
                continue
            try:
                with self._locks.hold(str(lease.key)):
                    await self._learn(lease, pod, wishes)
            except errors.Error as e:
                log.info("pod's annotations are not in effect yet", pod=str(pod), error=str(e))

    def _owner_of(self, lease: model.Lease) -> model.Pod:
        return self._pods.owner_of(lease.host_ifname, lease.key.ifname)

    async def _learn(self, lease: model.Lease, pod: model.Pod, wishes: pod_wishes.Wishes) -> None:
        if self.leases.get(lease.key) is not lease:
            return
        self._tell_notes(pod, wishes)
        if wishes.refusal:
            self._tell.pod(pod, events.Reason.ANNOTATION_IGNORED, wishes.refusal)
        bandwidth = pod_wishes.merge(lease.bandwidth, wishes.bandwidth)
        if lease.owner is model.Owner.DAEMON and not lease.netns:
            bandwidth = lease.bandwidth  # its links have what its ADD gave them
        changed = dataclasses.replace(
            lease, pod=pod, bandwidth=bandwidth, keep_s=wishes.keep_s, learned=True
        )
        if bandwidth != lease.bandwidth and lease.owner is model.Owner.DAEMON:
            await _finish(self._wire(changed, pathlib.Path(lease.netns), undo=False))
        else:
            await self._worker.put_lease(changed)
            self.leases[lease.key] = changed
        log.info("pod's annotations are in effect", pod=str(pod))

    async def _wishes(self, asked: cni_config.Attachment) -> pod_wishes.Wishes | None:
        """What the pod asks for, None when that is not known now. Raises PodRefused."""
        wishes = await self._pods.wishes(asked.pod)
        if wishes is None:
            return None
        self._tell_notes(asked.pod, wishes)
        if wishes.refusal:
            raise attachment_errors.PodRefused(wishes.refusal)
        return wishes

    def _tell_notes(self, pod: model.Pod, wishes: pod_wishes.Wishes) -> None:
        for note in wishes.notes:
            self._tell.pod(pod, note.reason, note.message)

    @contextlib.contextmanager
    def _holding(
        self, asked: cni_config.Attachment, *, names_tried: int = link_names.TRIES
    ) -> Iterator[None]:
        """For an ADD: nobody else works on the attachment, and its link is no other pod's."""
        with self._locks.hold(str(asked.key)), self._told(asked.pod):
            self._adding[asked.key] = (self._own_link(asked, names_tried), asked.pod)
            try:
                yield
            finally:
                del self._adding[asked.key]

    @contextlib.contextmanager
    def _told(self, pod: model.Pod) -> Iterator[None]:
        """Tell the pod when it got no address, and what to do."""
        try:
            yield
        except errors.Error as e:
            see = f"; on the node: terway-cli doctor {pod}" if pod.name else ""
            self._tell.pod(pod, events.Reason.ALLOC_IP_FAILED, f"{e}{see}")
            raise

    def is_busy(self, key: str) -> bool:
        """Whether a command on *key* is under way."""
        return self._locks.is_held(key)

    async def _keep(self, lease: model.Lease) -> model.Lease:
        try:
            await self._worker.put_lease(lease)
        except Exception:
            self._pool.release(lease.key)
            raise
        self.leases[lease.key] = lease
        return lease

    def wiring(self, lease: model.Lease) -> datapath_model.Wiring:
        """What the kernel must hold for *lease*. Raises Unavailable while its interface is gone."""
        found = self._pool.state.find(lease.key)
        eni = found[0] if found is not None else self._pool.state.enis.get(lease.eni_id)
        if eni is None or eni.link is None:
            raise errors.Unavailable(
                f"interface {lease.eni_id}, which {lease.ipv4} belongs to, is not on this node"
            )
        return datapath_model.Wiring(
            alias=lease.alias,
            netns_path=pathlib.Path(lease.netns),
            ifname=lease.key.ifname,
            host_ifname=lease.host_ifname,
            ipv4=lease.ipv4,
            gateway=eni.gateway,
            eni=eni.link,
            mtu=lease.mtu,
            bandwidth=lease.bandwidth,
        )

    async def _known_as(self, asked: cni_config.Attachment) -> model.AttachmentKey:
        """The key of *asked*, or of the lease that was found in the kernel for the same pod.

        A stock Terway's interface does not tell its container, only, by its name, its pod. A DEL
        may be about an earlier sandbox of that pod, so it counts only when the interface is in the
        namespace it names, or is gone.
        """
        if asked.key in self.leases or not asked.pod.name:
            return asked.key
        host_ifname = names.host_ifname(asked.pod.namespace, asked.pod.name, asked.key.ifname)
        adopted = model.AttachmentKey(
            network=model.ADOPTED, container_id=host_ifname, ifname="eth0"
        )
        if adopted in self.leases and await self._worker.is_end_of(
            host_ifname, asked.netns_path, asked.key.ifname
        ):
            return adopted
        return asked.key

    async def _add(
        self,
        config: cni_config.NetworkConfig,
        asked: cni_config.Attachment,
        netns_path: pathlib.Path,
    ) -> Added:
        """A repeated ADD keeps the lease, and takes over what it asks for now.

        Of a limit the runtime's word is taken before the annotation, as Terway does.
        """
        known = self.leases.get(asked.key)
        wishes = await self._wishes(asked)
        bandwidth = config.bandwidth
        if wishes is not None:
            bandwidth = pod_wishes.merge(bandwidth, wishes.bandwidth)
        elif known is not None:
            bandwidth = pod_wishes.merge(bandwidth, known.bandwidth)
        eni, address, keep_s = await self._allocate(asked, wishes)
        lease = self._lease(asked, eni, address, config.mtu or self._mtu, bandwidth)
        lease = dataclasses.replace(lease, keep_s=keep_s, learned=_is_learned(asked, wishes))
        if known is not None:
            lease = dataclasses.replace(lease, created_at=known.created_at)
        return await _finish(self._wire(lease, netns_path, undo=known is None))

    async def _allocate(
        self, asked: cni_config.Attachment, wishes: pod_wishes.Wishes | None
    ) -> tuple[model.PoolEni, model.Address, float]:
        """An address, and for how long it is kept after the pod.

        The one that was kept for the pod, if there is one: also while the API server is away.
        """
        known = self.leases.get(asked.key)
        found = self._pool.take_kept(model.holder_of(asked.pod, asked.key), asked.key)
        if found is not None:
            eni, address, kept = found
            return eni, address, kept.keep_s if wishes is None else wishes.keep_s
        eni, address = await self._pool.allocate(asked.key)
        if wishes is not None:
            return eni, address, wishes.keep_s
        return eni, address, known.keep_s if known is not None else 0.0

    async def _wire(self, lease: model.Lease, netns_path: pathlib.Path, *, undo: bool) -> Added:
        try:
            wired = await self._worker.wire(lease, self.wiring(lease))
        except Exception as e:
            if isinstance(e, datapath_model.EniGone):
                self._pool.lose_link(lease.key)
            if undo:
                await self._undo(lease, netns_path, e)
            if isinstance(e, errors.Error):
                raise
            raise errors.Internal(f"{type(e).__name__}: {e}") from e
        self.leases[lease.key] = lease
        return Added(lease=lease, wired=wired)

    async def _undo(
        self, lease: model.Lease, netns_path: pathlib.Path, cause: BaseException
    ) -> None:
        """Take back a failed ADD. What cannot be taken back stays leased for DEL or the janitor."""
        log.warning("add failed", attachment=str(lease.key), error=str(cause))
        try:
            await self._remove(lease, netns_path)
        except Exception as e:  # noqa: BLE001  # whatever it is, the lease must not be forgotten
            self.leases[lease.key] = lease
            log.warning("lease is kept for a later try", attachment=str(lease.key), error=str(e))

    async def _remove(self, lease: model.Lease, netns_path: pathlib.Path | None) -> None:
        if lease.owner is model.Owner.DAEMON:
            await self._worker.unwire(lease, netns_path)
        ipv4 = lease.ipv4 if self._pool.state.find(lease.key) is not None else None
        kept = self._kept_of(lease)
        now_s = self._clock.now().timestamp()
        try:
            await self._worker.end_lease(lease.key, ipv4, now_s, keep=kept is not None)
        except errors.Unavailable as e:
            # A full disk must not keep pods from ending: that is what frees it. The kernel has
            # nothing of the lease any more, and a start that finds its row ends it.
            log.warning("ended lease stays stored", attachment=str(lease.key), error=str(e))
        self.leases.pop(lease.key, None)
        self._pool.release(lease.key, kept)

    def _kept_of(self, lease: model.Lease) -> model.Kept | None:
        """How the address waits. Not for a pod that has another one already: a new sandbox."""
        kept = lease.kept
        if kept is None:
            return None
        others = (each for each in self.leases.values() if each.key != lease.key)
        return None if any(each.holder == kept.holder for each in others) else kept

    def _own_link(self, asked: cni_config.Attachment, names_tried: int) -> str:
        """Name of the node's end; a known attachment's stays. Raises LinkTaken."""
        known = self.leases.get(asked.key)
        if known is not None:
            return known.host_ifname
        leased = ((lease.host_ifname, lease.pod) for lease in self.leases.values())
        return link_names.choose(asked, (*leased, *self._adding.values()), tries=names_tried)

    def _lease(
        self,
        asked: cni_config.Attachment,
        eni: model.PoolEni,
        address: model.Address,
        mtu: int,
        bandwidth: datapath_model.Bandwidth,
    ) -> model.Lease:
        return model.Lease(
            key=asked.key,
            ipv4=address.ipv4,
            eni_id=eni.eni_id,
            host_ifname=self._adding[asked.key][0],
            created_at=self._clock.now().timestamp(),
            pod=asked.pod,
            netns=str(asked.netns_path or ""),
            mtu=mtu,
            bandwidth=bandwidth,
        )


def _age(lease: model.Lease) -> float:
    return lease.created_at


def _is_learned(asked: cni_config.Attachment, wishes: pod_wishes.Wishes | None) -> bool:
    """Whether there is nothing left to look up about the pod."""
    return wishes is not None or not asked.pod.name


async def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Let *work* end even when its caller goes away half way: the key stays held till then."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
