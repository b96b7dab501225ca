"""ADD, DEL, CHECK and GC of attachments: who gets which address, and in which order things happen.

The order is what makes a kill at any instant harmless. ADD: lease in memory, lease on disk, kernel.
DEL: kernel, disk, memory. So a stored lease may lack its interface, which DEL, a repeated ADD and
the janitor all mend; an interface without a stored lease cannot be, but when the database is lost,
and then it carries its key and address and is taken up again.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

import structlog

from core import clock, errors
from ipamd import events, model, node_worker
from ipamd.attachments import (
    attachment_checks,
    attachment_errors,
    finish,
    lease_terms,
    leases,
    link_names,
    pod_interfaces,
)
from ipamd.cni import cni_config, cni_error
from ipamd.datapath import model as datapath_model
from ipamd.datapath import names
from ipamd.kube import kube_pods, pod_wishes
from ipamd.pool import pool

log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What an ADD made."""

    lease: model.Lease
    wired: datapath_model.Wired


class Attachments:
    """What callers may ask of attachments. mtu: for configurations that name none."""

    def __init__(
        self,
        held: leases.Leases,
        interfaces: pod_interfaces.PodInterfaces,
        addresses: pool.Pool,
        worker: node_worker.NodeWorker,
        *,
        pods: kube_pods.Pods,
        time: clock.Clock,
        tell: events.Events,
        mtu: int,
    ) -> None:
        self._leases = held
        self._interfaces = interfaces
        self._pool = addresses
        self._worker = worker
        self._pods = pods
        self._clock = time
        self._tell = tell
        self._mtu = mtu

    async def add(self, config: cni_config.NetworkConfig, asked: cni_config.Attachment) -> Added:
        """Give the attachment an address and an interface; the same again for the same one."""
        if asked.netns_path is None:
            raise cni_error.CniError(cni_error.INVALID_ENVIRONMENT, "CNI_NETNS is missing")
        started_s = self._clock.monotonic_s()
        with self._adding(asked) as host_ifname:
            added = await self._add(config, asked, host_ifname)
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
        with self._adding(asked, names_tried=1) as host_ifname:
            known = self._leases.get(asked.key)
            if known is not None:
                return known
            wishes = await self._wishes(asked)
            limits = lease_terms.bandwidth(datapath_model.UNLIMITED, wishes, None)
            lease = await self._allocate(asked, wishes, host_ifname, self._mtu, limits)
            lease = dataclasses.replace(lease, owner=model.Owner.CALLER)
            lease = await finish.whole(self._keep(lease))
        self._pods.show(lease)
        return lease

    async def remove(self, asked: cni_config.Attachment) -> bool:
        """Take interface and address away; whether there was anything to take."""
        return await self.end(await self._known_as(asked), asked.netns_path)

    async def end(self, key: model.AttachmentKey, netns_path: pathlib.Path | None = None) -> bool:
        """Like `remove`, by key. netns_path: where the interface is, None when not known."""
        with self._leases.hold(key):
            lease = self._leases.get(key)
            if lease is None:
                return False
            await finish.whole(self._remove(lease, netns_path))
        log.info(
            "attachment removed", attachment=str(key), pod=str(lease.pod), ipv4=str(lease.ipv4)
        )
        return True

    async def check(self, config: cni_config.NetworkConfig, asked: cni_config.Attachment) -> None:
        """Raise NoAttachment or CheckFailed unless all is as ADD made it."""
        with self._leases.hold(asked.key):
            lease = self._leases.get(asked.key)
            if lease is None:
                raise attachment_errors.NoAttachment(asked.key)
            if asked.netns_path is None:
                raise cni_error.CniError(cni_error.INVALID_ENVIRONMENT, "CNI_NETNS is missing")
            attachment_checks.require_previous(config, lease)
            there = dataclasses.replace(lease, netns=str(asked.netns_path))
            differences = await self._interfaces.differences(there)
        if differences:
            raise attachment_errors.CheckFailed(differences)

    async def collect(self, network: str, valid: frozenset[tuple[str, str]]) -> list[str]:
        """Remove every attachment of *network* that is not in *valid*; what could not be removed.

        Goes on past failures. Source: CNI specification, "GC".
        """
        failures = []
        for key in [key for key in self._leases if key.network == network]:
            if (key.container_id, key.ifname) in valid:
                continue
            try:
                await self.end(key)
            except errors.Error as e:
                failures.append(f"{key}: {e}")
            else:
                log.info("attachment collected", attachment=str(key))
        return failures

    @contextlib.contextmanager
    def _adding(
        self, asked: cni_config.Attachment, *, names_tried: int = link_names.TRIES
    ) -> Iterator[str]:
        """Nobody else works on the attachment; the name of its link on the node."""
        with (
            self._leases.hold(asked.key),
            self._told(asked.pod),
            self._leases.naming(asked, names_tried=names_tried) as host_ifname,
        ):
            yield host_ifname

    @contextlib.contextmanager
    def _told(self, pod: model.Pod) -> Iterator[None]:
        """Tell the pod when it got no address, and what to do."""
        try:
            yield
        except errors.Error as e:
            see = f"; on the node: terway-cli doctor {pod}" if pod.name else ""
            self._tell.pod(pod, events.Reason.ALLOC_IP_FAILED, f"{e}{see}")
            raise

    async def _wishes(self, asked: cni_config.Attachment) -> pod_wishes.Wishes | None:
        """What the pod asks for, None when that is not known now. Raises PodRefused."""
        wishes = await self._pods.wishes(asked.pod)
        if wishes is None:
            return None
        kube_pods.tell_notes(self._tell, asked.pod, wishes)
        if wishes.refusal:
            raise attachment_errors.PodRefused(wishes.refusal)
        return wishes

    async def _known_as(self, asked: cni_config.Attachment) -> model.AttachmentKey:
        """The key of *asked*, or of the lease that was found in the kernel for the same pod.

        A stock Terway's interface does not tell its container, only, by its name, its pod. A DEL
        may be about an earlier sandbox of that pod, so it counts only when the interface is in the
        namespace it names, or is gone.
        """
        if asked.key in self._leases or not asked.pod.name:
            return asked.key
        host_ifname = names.host_ifname(asked.pod.namespace, asked.pod.name, asked.key.ifname)
        adopted = model.AttachmentKey(
            network=model.ADOPTED, container_id=host_ifname, ifname="eth0"
        )
        if adopted in self._leases and await self._worker.is_end_of(
            host_ifname, asked.netns_path, asked.key.ifname
        ):
            return adopted
        return asked.key

    async def _add(
        self, config: cni_config.NetworkConfig, asked: cni_config.Attachment, host_ifname: str
    ) -> Added:
        """A repeated ADD keeps the lease, and takes over what it asks for now."""
        known = self._leases.get(asked.key)
        wishes = await self._wishes(asked)
        limits = lease_terms.bandwidth(config.bandwidth, wishes, known)
        mtu = config.mtu or self._mtu
        lease = await self._allocate(asked, wishes, host_ifname, mtu, limits)
        if known is not None:
            lease = dataclasses.replace(lease, created_at=known.created_at)
        return await finish.whole(self._make(lease, undo=known is None))

    async def _allocate(
        self,
        asked: cni_config.Attachment,
        wishes: pod_wishes.Wishes | None,
        host_ifname: str,
        mtu: int,
        bandwidth: datapath_model.Bandwidth,
    ) -> model.Lease:
        """A lease with an address, in the pool's memory only.

        The address that was kept for the pod, if there is one: also while the API server is away.
        """
        known = self._leases.get(asked.key)
        kept: model.Kept | None = None
        found = self._pool.take_kept(model.holder_of(asked.pod, asked.key), asked.key)
        if found is not None:
            eni, address, kept = found
        else:
            eni, address = await self._pool.allocate(asked.key)
        return model.Lease(
            key=asked.key,
            ipv4=address.ipv4,
            eni_id=eni.eni_id,
            host_ifname=host_ifname,
            created_at=self._clock.now().timestamp(),
            pod=asked.pod,
            netns=str(asked.netns_path or ""),
            mtu=mtu,
            bandwidth=bandwidth,
            keep_s=lease_terms.keep_s(wishes, kept, known),
            learned=lease_terms.is_learned(asked, wishes),
        )

    async def _make(self, lease: model.Lease, *, undo: bool) -> Added:
        try:
            wired = await self._interfaces.make(lease)
        except errors.Error as e:
            if undo:
                await self._undo(lease, e)
            raise
        self._leases[lease.key] = lease
        return Added(lease=lease, wired=wired)

    async def _undo(self, lease: model.Lease, cause: errors.Error) -> None:
        """Take back a failed ADD. What cannot be taken back stays leased for DEL or the janitor."""
        log.warning("add failed", attachment=str(lease.key), error=str(cause))
        try:
            await self._remove(lease, pathlib.Path(lease.netns))
        except Exception as e:  # noqa: BLE001  # whatever it is, the lease must not be forgotten
            self._leases[lease.key] = lease
            log.warning("lease is kept for a later try", attachment=str(lease.key), error=str(e))

    async def _keep(self, lease: model.Lease) -> model.Lease:
        try:
            await self._worker.put_lease(lease)
        except Exception:
            self._pool.release(lease.key)
            raise
        self._leases[lease.key] = lease
        return lease

    async def _remove(self, lease: model.Lease, netns_path: pathlib.Path | None) -> None:
        if lease.owner is model.Owner.DAEMON:
            await self._interfaces.remove(lease, netns_path)
        ipv4 = lease.ipv4 if self._pool.state.find(lease.key) is not None else None
        kept = self._leases.kept_of(lease)
        now_s = self._clock.now().timestamp()
        try:
            await self._worker.end_lease(lease.key, ipv4, now_s, keep=kept is not None)
        except errors.Unavailable as e:
            # A full disk must not keep pods from ending: that is what frees it. The kernel has
            # nothing of the lease any more, and a start that finds its row ends it.
            log.warning("ended lease stays stored", attachment=str(lease.key), error=str(e))
        self._leases.pop(lease.key, None)
        self._pool.release(lease.key, kept)
