"""What a starting daemon finds, and what it makes of it: database, kernel and metadata compared.

Pure. The kernel is right about who uses an address, the database about whose it was promised to,
the metadata about which addresses there are. Nothing here gives an address to anybody.
"""

import dataclasses
import ipaddress
from collections.abc import Callable, Mapping, Sequence

from ipamd import model
from ipamd.datapath import model as datapath_model


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """leases: to go on with. ended: pods are gone; to be cleaned up. notes: for the operator."""

    leases: tuple[model.Lease, ...]
    ended: tuple[model.Lease, ...]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """Objects of the node that belong to no lease."""

    rules: tuple[datapath_model.HostRule, ...] = ()
    links: tuple[datapath_model.HostLink, ...] = ()


def recover(
    stored: Sequence[model.Lease],
    host: datapath_model.HostState,
    eni_of: Mapping[ipaddress.IPv4Address, str],
    *,
    eni_by_table: Mapping[int, str],
    netns_exists: Callable[[str], bool],
    now_s: float,
) -> Recovered:
    """Leases after a restart.

    eni_of: interface of every address we hold. eni_by_table: interface of a route table, for an
    address the interface has lost.
    """
    alive = _alive(host, eni_of, eni_by_table, now_s)
    by_key = {lease.key: lease for lease in stored}
    taken = {lease.ipv4: lease for lease in alive}
    leases: dict[model.AttachmentKey, model.Lease] = {}
    ended: list[model.Lease] = []
    notes: list[str] = []
    links = {(link.ifname, link.alias) for link in host.links}
    for lease in stored:
        user = taken.get(lease.ipv4)
        if user is not None and _is_another(user, lease):
            notes.append(f"{lease.ipv4} was leased to {lease.key}, but {user.key} uses it")
            ended.append(lease)
        elif (lease.host_ifname, lease.alias) in links or lease.owner is model.Owner.CALLER:
            leases[lease.key] = lease
        elif lease.netns and not netns_exists(lease.netns):
            ended.append(lease)
        else:
            # Interface not made, or not yet taken away, when the daemon ended: DEL or ADD follows.
            leases[lease.key] = lease
    known_links = {lease.host_ifname for lease in leases.values()}
    for lease in alive:
        unmarked_and_known = not lease.alias and lease.host_ifname in known_links
        if lease.key not in by_key and not unmarked_and_known:
            leases[lease.key] = lease
            notes.append(f"{lease.ipv4} is in use by {lease.key} on {lease.host_ifname}: taken up")
    return Recovered(leases=tuple(leases.values()), ended=tuple(ended), notes=tuple(notes))


def find_stale(
    host: datapath_model.HostState,
    leases: Sequence[model.Lease],
    ours: frozenset[ipaddress.IPv4Address],
) -> Stale:
    """Rules and links that no lease explains; only for addresses that are *ours*.

    Links without our mark are somebody else's and stay.
    """
    leased = {lease.ipv4 for lease in leases}
    names = {lease.host_ifname for lease in leases}
    routed = {route.address for route in host.routes}
    rules = tuple(
        rule
        for rule in host.rules
        if rule.address in ours and rule.address not in leased and rule.address not in routed
    )
    links = tuple(
        link
        for link in host.links
        if link.ifname not in names and model.AttachmentKey.parse(link.alias) is not None
    )
    return Stale(rules=rules, links=links)


def _is_another(user: model.Lease, lease: model.Lease) -> bool:
    """Whether the kernel shows *user* where the database has *lease*."""
    if user.alias:
        return user.key != lease.key
    # An unmarked link: the stock executable's, which has a lease of its own here or is adopted.
    return user.host_ifname != lease.host_ifname


def _alive(
    host: datapath_model.HostState,
    eni_of: Mapping[ipaddress.IPv4Address, str],
    eni_by_table: Mapping[int, str],
    now_s: float,
) -> list[model.Lease]:
    """Leases as the kernel shows them."""
    ipv4_of = {
        use.link.index: (use.address, use.table)
        for use in host.uses()
        if isinstance(use.address, ipaddress.IPv4Address)
    }
    found = []
    for link in host.links:
        if link.index not in ipv4_of:
            continue
        ipv4, table = ipv4_of[link.index]
        eni_id = eni_of.get(ipv4) or eni_by_table.get(table)
        if eni_id is None:
            continue  # an address of another plug-in
        key = model.AttachmentKey.parse(link.alias) or model.AttachmentKey(
            network=model.ADOPTED, container_id=link.ifname, ifname="eth0"
        )
        found.append(
            model.Lease(
                key=key, ipv4=ipv4, eni_id=eni_id, host_ifname=link.ifname, created_at=now_s
            )
        )
    return found
