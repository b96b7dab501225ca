"""The node's interfaces as metadata and kernel show them: made ready, compared, taken up, dropped.

Called by the janitor. Nothing is done to one that a cloud call is under way for.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from core import clock, errors
from ipamd import events, model, node_worker
from ipamd.attachments import leases
from ipamd.datapath import model as datapath_model
from ipamd.model import AddressState, EniState
from ipamd.pool import drift, eni_maker, pool

log = structlog.get_logger()

_PODS_TOLD = 10


class EniUpkeep:
    """changed: stores what there is.

    managed: interfaces that pods may use, by id: whether they are ours to give back. Asked when a
    new one appears.
    """

    def __init__(
        self,
        addresses: pool.Pool,
        held: leases.Leases,
        worker: node_worker.NodeWorker,
        maker: eni_maker.EniMaker,
        *,
        time: clock.Clock,
        tell: events.Events,
        managed: Callable[[], Awaitable[Mapping[str, bool]]],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._pool = addresses
        self._leases = held
        self._worker = worker
        self._maker = maker
        self._clock = time
        self._tell = tell
        self._managed = managed
        self._changed = changed
        self._drift = drift.Compare()
        self._foreign: set[str] = set()
        self._told_mtu: set[tuple[str, int]] = set()

    async def prepare(self) -> None:
        """Let every interface be as pods need it; one plugged in again has another link."""
        for eni in list(self._pool.state.enis.values()):
            if not eni.busy and eni.state is not EniState.DELETING:
                await self._prepare(eni)

    async def compare(self) -> None:
        """Bring the pool to what the metadata service lists."""
        primary = await self._worker.read_primary_mac()
        listed = set(await self._worker.read_macs()) - {primary}
        known = {eni.mac for eni in self._pool.state.enis.values()}
        for eni in list(self._pool.state.enis.values()):
            if eni.busy:
                continue
            if eni.mac in listed:
                await self._compare_eni(eni)
            else:
                await self._miss(eni)
        for mac in listed - known - self._foreign:
            await self._appeared(mac)
        await self._changed()

    async def know_ours(self) -> None:
        """Ask whose those are that a start without the cloud could not give back for fear."""
        if all(eni.ours for eni in self._pool.state.enis.values()):
            return
        managed = await self._managed()
        for eni in self._pool.state.enis.values():
            eni.ours = eni.ours or managed.get(eni.eni_id, False)

    def look_anew(self) -> None:
        """Ask again about those that were not ours: the cloud may have told of one too late."""
        self._foreign.clear()

    def lack_links(self) -> bool:
        """Whether pods wait for the kernel to have an interface."""
        return any(
            eni.state is EniState.IN_USE and eni.link is None
            for eni in self._pool.state.enis.values()
        )

    async def _compare_eni(self, eni: model.PoolEni) -> None:
        addresses = await self._worker.read_addresses(eni.mac)
        if eni.busy or not addresses:
            return
        eni.unseen = 0
        found = self._drift.addresses(eni, addresses, self._clock.now().timestamp())
        self._pool.state.take_over(eni)
        eni.full = False
        for note in found.notes:
            log.info("pool follows the cloud", what=note)
        for address in found.taken:
            text = (
                f"{address.ipv4} is no longer on {eni.eni_id}: delete the pod, and find out who "
                "took the address away"
            )
            self._tell_without_network([address], text)
        if eni.link is None or eni.state is EniState.DRAINING:
            is_ready = await self._prepare(eni)
            if is_ready and eni.state is EniState.DRAINING:
                eni.state = EniState.IN_USE

    async def _prepare(self, eni: model.PoolEni) -> bool:
        """Whether the kernel has the interface, and it is as pods need it."""
        try:
            link = await self._worker.prepare_eni(eni)
        except errors.Error as e:
            text = f"pods cannot use interface {eni.eni_id}: {e}"
            self._tell.node(events.Reason.RESOURCE_INVALID, text)
            return False
        if link != eni.link and not eni.busy:
            if link is None:
                text = f"interface {eni.eni_id} ({eni.mac}) is not on this node any more"
                self._tell.node(events.Reason.RESOURCE_INVALID, text)
            else:
                log.warning("interface has another link", eni_id=eni.eni_id, ifname=link.ifname)
            eni.link = link
        if link is not None and link.kept_mtu:
            self._tell_mtu(eni.eni_id, link)
        return link is not None

    def _tell_mtu(self, eni_id: str, link: datapath_model.EniLink) -> None:
        """Once for each interface: nothing changes by itself."""
        if (eni_id, link.index) not in self._told_mtu:
            self._told_mtu.add((eni_id, link.index))
            text = f"interface {eni_id} refuses --mtu and keeps its MTU of {link.kept_mtu}"
            self._tell.node(events.Reason.RESOURCE_INVALID, text)

    async def _miss(self, eni: model.PoolEni) -> None:
        """An interface that is not listed; believed when the kernel lacks it too."""
        eni.unseen += 1
        if eni.unseen < drift.SURE or eni.state is EniState.DELETING:
            return
        try:
            if await self._worker.prepare_eni(eni) is not None:
                return
        except errors.Error as e:
            # It is there, or that is not known: the others are compared all the same.
            log.warning("interface is not listed", eni_id=eni.eni_id, error=str(e))
            return
        leased = [a for a in eni.addresses.values() if a.key is not None]
        if eni.state is not EniState.DRAINING:
            self._tell_without_network(
                leased,
                f"interface {eni.eni_id} was removed from this node by somebody else: attach it "
                "again, or delete the pod",
            )
        if not leased:
            self._pool.state.remove_eni(eni.eni_id)
            return
        eni.state, eni.link = EniState.DRAINING, None
        for address in list(eni.addresses.values()):
            if address.key is None:
                del eni.addresses[address.ipv4]
            else:
                address.state = AddressState.MISSING

    def _tell_without_network(self, taken: Sequence[model.Address], why: str) -> None:
        """Tell the Node, and each pod whose address is among *taken*."""
        keys = [address.key for address in taken if address.key is not None]
        held = [self._leases[key] for key in keys if key in self._leases]
        whose = [str(lease.pod) or str(lease.key) for lease in held]
        listed = ", ".join(whose[:_PODS_TOLD]) + (", …" if len(whose) > _PODS_TOLD else "")
        pods = f"; pods without network, {len(whose)}: {listed}" if whose else ""
        self._tell.node(events.Reason.RESOURCE_INVALID, f"{why}{pods}")
        for lease in held:
            self._tell.pod(lease.pod, events.Reason.RESOURCE_INVALID, f"no network: {why}")

    async def _appeared(self, mac: str) -> None:
        """An interface we do not know: ours from a call whose answer was lost, or somebody's."""
        told = await self._worker.read_interface(mac)
        if told is None:
            return
        managed = await self._managed()
        if told.eni_id not in managed:
            self._foreign.add(mac)
            return
        if any(eni.eni_id == told.eni_id for eni in self._pool.state.enis.values()):
            return
        now_s = self._clock.now().timestamp()
        appeared = eni_maker.pool_eni(told, now_s)
        appeared.ours = managed[told.eni_id]
        try:
            appeared.link = await self._worker.prepare_eni(appeared)
        except errors.Error as e:
            log.warning("new interface cannot be used", eni_id=told.eni_id, error=str(e))
            return
        if appeared.link is None or self._maker.is_making(told.eni_id):
            return
        self._pool.state.add_eni(appeared)
        for lease in self._leases.values():
            if lease.eni_id == told.eni_id:
                self._pool.state.restore(lease.key, lease.ipv4, lease.eni_id, now_s)
        log.info("interface taken up", eni_id=told.eni_id, addresses=len(told.ipv4))
