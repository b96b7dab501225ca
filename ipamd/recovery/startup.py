"""From nothing to a pool: every source is read, compared, and gone on with."""

import dataclasses
import ipaddress
import pathlib
from collections.abc import Awaitable, Iterable, Mapping

import structlog

from cloud import eni_model, imds_network
from core import clock, errors
from host import netns
from ipamd import eni_conf, events, model, node_worker
from ipamd.attachments import leases, pod_interfaces
from ipamd.pool import eni_maker, pool_state
from ipamd.recovery import recovery

log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a start has at hand. attached: None when the cloud did not answer."""

    stored: model.StoredState
    attached: list[eni_model.Eni] | None
    rebuilt: bool


_LEAVING = (eni_model.EniStatus.DETACHING, eni_model.EniStatus.DELETING)


def is_managed(eni: eni_model.Eni, conf: eni_conf.EniConf) -> bool:
    """Whether pods may get addresses of *eni*. Source: spec/terway.md 1.6, `eni_tag_filter`.

    Not of one that a daemon before us was removing, or anybody else.
    """
    return (
        eni.type is eni_model.EniType.SECONDARY
        and not eni.high_performance
        and eni.status not in _LEAVING
        and all(eni.tags.get(key) == value for key, value in conf.eni_tag_filter.items())
    )


def count_others(attached: Iterable[eni_model.Eni], conf: eni_conf.EniConf) -> int:
    """Interfaces on the instance that take places, and that pods cannot use.

    A member interface takes none: it is on a trunk.
    """
    placeless = (eni_model.EniType.PRIMARY, eni_model.EniType.MEMBER)
    return sum(
        1
        for eni in attached
        if eni.type not in placeless and eni.status not in _LEAVING and not is_managed(eni, conf)
    )


def is_ours(eni: eni_model.Eni) -> bool:
    """Whether we or a Terway made *eni*: nothing else may be given back to the cloud."""
    terways = all(eni.tags.get(key) == value for key, value in eni_maker.CREATOR_TAGS.items())
    return terways or eni_maker.INSTANCE_TAG in eni.tags


async def find_enis(
    worker: node_worker.NodeWorker,
    sources: Sources,
    conf: eni_conf.EniConf,
    now_s: float,
    tell: events.Events,
) -> list[model.PoolEni]:
    """Interfaces of the pool, ready in the kernel where it has them.

    From metadata and cloud; from the database what they do not tell. One that cannot be made ready
    keeps the others from nothing. Raises what the kernel says of all.
    """
    records = {record.eni_id: record for record in sources.stored.enis}
    managed = (
        records.keys()
        if sources.attached is None
        else {eni.eni_id for eni in sources.attached if is_managed(eni, conf)}
    )
    ours = {eni.eni_id for eni in sources.attached or () if is_ours(eni)}
    found = []
    refused: errors.Error | None = None
    for told in await _interfaces(worker, records):
        if told.eni_id not in managed:
            continue
        eni = eni_maker.pool_eni(told, now_s)
        try:
            eni.link = await worker.prepare_eni(eni)
        except errors.Error as e:
            refused = e
            text = f"pods cannot use interface {told.eni_id}: {e}"
            tell.node(events.Reason.RESOURCE_INVALID, text)
        eni.ours = told.eni_id in ours
        if told.eni_id in records:
            eni.created_at = records[told.eni_id].created_at
            _doubt(eni, records[told.eni_id])
        found.append(eni)
    if refused is not None and not any(eni.link for eni in found):
        raise refused
    return found


async def restore(
    sources: Sources,
    *,
    worker: node_worker.NodeWorker,
    state: pool_state.PoolState,
    held: leases.Leases,
    time: clock.Clock,
    tell: events.Events,
) -> None:
    """Put leases and cool-downs into *state* and *held*; clean up after pods that are gone."""
    now_s = time.now().timestamp()
    host = await worker.read_host_state()
    eni_of = _owners(state)
    by_table = {eni.link.table: eni.eni_id for eni in state.enis.values() if eni.link}
    found = recovery.recover(
        sources.stored.leases,
        host,
        eni_of,
        eni_by_table=by_table,
        netns_exists=lambda path: netns.exists(pathlib.Path(path)),
        now_s=now_s,
    )
    for note in found.notes:
        tell.node(events.Reason.RESOURCE_INVALID, note)
    for stored in found.leases:
        # An address may have come to another interface of this node.
        lease = dataclasses.replace(stored, eni_id=eni_of.get(stored.ipv4, stored.eni_id))
        if _restore_lease(state, held, lease, tell, now_s):
            await try_to_store(worker.put_lease(lease), tell)
    for ipv4, released_at in sources.stored.released_at.items():
        state.cool(ipv4, released_at, now_s)
    for ipv4, (kept, released_at) in sources.stored.kept.items():
        state.keep(ipv4, kept, released_at, now_s)
    for lease in found.ended:
        await worker.unwire(pod_interfaces.unwiring(lease, None))
        ending = worker.end_lease(lease.key, lease.ipv4, now_s, keep=lease.kept is not None)
        await try_to_store(ending, tell)
        if lease.kept is not None:
            state.keep(lease.ipv4, lease.kept, now_s, now_s)
        else:
            state.cool(lease.ipv4, now_s, now_s)
    ours = frozenset(address.ipv4 for _, address in state.addresses())
    stale = recovery.find_stale(await worker.read_host_state(), found.leases, ours)
    await worker.remove_stale(rules=stale.rules, links=stale.links)
    log.info(
        "state recovered",
        enis=len(state.enis),
        leases=len(found.leases),
        ended=len(found.ended),
        stale_rules=len(stale.rules),
        stale_links=len(stale.links),
        database_rebuilt=sources.rebuilt,
    )


async def try_to_store(write: Awaitable[None], tell: events.Events) -> None:
    """Start all the same on a full disk: pods must be able to end, which is what frees it.

    The next start finds what is not stored, or not forgotten, in kernel, metadata and cloud.
    """
    try:
        await write
    except errors.Unavailable as e:
        tell_unstored(e, tell)


def tell_unstored(why: errors.Error, tell: events.Events) -> None:
    """Say on the Node what it means that the database cannot be written."""
    text = f"{why}; new pods get no network until it can, running ones keep theirs"
    tell.node(events.Reason.RESOURCE_INVALID, text)


def records_of(state: pool_state.PoolState) -> tuple[model.EniRecord, ...]:
    """The interfaces as the database keeps them."""
    return tuple(
        model.EniRecord(
            eni_id=eni.eni_id,
            mac=eni.mac,
            vswitch_id=eni.vswitch_id,
            gateway=eni.gateway,
            primary=eni.primary,
            created_at=eni.created_at,
            addresses=tuple(
                address.ipv4
                for address in eni.addresses.values()
                if address.state is not model.AddressState.RELEASING
            ),
            cidr_block=eni.cidr_block,
        )
        for eni in state.enis.values()
        if eni.state is not model.EniState.DELETING
    )


def _owners(state: pool_state.PoolState) -> dict[ipaddress.IPv4Address, str]:
    """The interface of each address: of two that are listed with it, not the one it leaves."""
    owners: dict[ipaddress.IPv4Address, str] = {}
    for eni, address in state.addresses():
        if address.state is not model.AddressState.RELEASING or address.ipv4 not in owners:
            owners[address.ipv4] = eni.eni_id
    return owners


def _doubt(eni: model.PoolEni, record: model.EniRecord) -> None:
    """Give no address that was being given back when the last run was killed.

    The metadata service may list it for a while. The comparison decides: what it lists at two looks
    is ours.
    """
    for ipv4 in eni.addresses.keys() - set(record.addresses):
        eni.addresses[ipv4].state = model.AddressState.RELEASING


def _restore_lease(
    state: pool_state.PoolState,
    held: leases.Leases,
    lease: model.Lease,
    tell: events.Events,
    now_s: float,
) -> bool:
    """Put one lease in place; whether its interface is here."""
    held[lease.key] = lease
    if lease.eni_id not in state.enis:
        # Kept for DEL to clean up after; its pod has no network until the interface is back.
        gone = f"interface {lease.eni_id} is not on this node any more: attach it again, or delete"
        whose = str(lease.pod) or str(lease.key)
        tell.node(events.Reason.RESOURCE_INVALID, f"{gone} the pod {whose} ({lease.ipv4})")
        tell.pod(lease.pod, events.Reason.RESOURCE_INVALID, f"no network: {gone} the pod")
        return False
    try:
        state.restore(lease.key, lease.ipv4, lease.eni_id, now_s)
    except errors.Exists as e:
        # Two links with one address: who made the second was not us. The node must start all the
        # same, and the other pod has the address.
        del held[lease.key]
        tell.node(events.Reason.RESOURCE_INVALID, f"{e}: delete the pod of {lease.host_ifname}")
        return False
    return True


async def _interfaces(
    worker: node_worker.NodeWorker, records: Mapping[str, model.EniRecord]
) -> list[imds_network.Interface]:
    """Secondary interfaces; as they were last seen when the metadata service is silent."""
    try:
        primary = await worker.read_primary_mac()
        found = [await worker.read_interface(mac) for mac in await worker.read_macs()]
    except errors.Unavailable as e:
        if not records:
            raise
        log.warning("metadata service is silent; starting with what is stored", error=str(e))
        return [_stored_interface(record) for record in records.values()]
    return [told for told in found if told is not None and told.mac != primary]


def _stored_interface(record: model.EniRecord) -> imds_network.Interface:
    others = [ipv4 for ipv4 in record.addresses if ipv4 != record.primary]
    return imds_network.Interface(
        mac=record.mac,
        eni_id=record.eni_id,
        vswitch_id=record.vswitch_id,
        cidr_block=record.cidr_block,
        gateway=record.gateway,
        ipv4=(record.primary, *others),
    )
