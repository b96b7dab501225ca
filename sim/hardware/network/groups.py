"""Security groups as nftables chains: pure.

One chain for each combination of groups that some port has, since their rules are one list in the
order of priority. A chain's name is a digest of its rules, so a chain that exists is right. Groups
are sets of ports: who is in a group does not depend on addresses.
"""

import dataclasses
import hashlib
import ipaddress
from collections.abc import Iterable, Mapping

from sim.hardware import network_api

_REFUSE = "counter name security_group drop"
_PROTOCOLS = {
    "all": "",
    "tcp": "meta l4proto tcp",
    "udp": "meta l4proto udp",
    "icmp": "meta l4proto { icmp, ipv6-icmp }",
    "gre": "meta l4proto gre",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What enforces the groups. members: set name → port names. egress, ingress: port → chain.

    chains: name → rules.
    """

    members: Mapping[str, frozenset[str]]
    chains: Mapping[str, tuple[str, ...]]
    egress: Mapping[str, str]
    ingress: Mapping[str, str]


def filters(
    ports: Mapping[str, network_api.Port],
    groups: Mapping[str, tuple[network_api.Rule, ...]],
) -> Filters:
    """Chains for *ports* (name → port). A port without groups is not filtered.

    Source: normal security groups: what comes in is dropped and what goes out is let through unless
    a rule says otherwise; members of one group reach each other unless a rule drops it.
    """
    chains: dict[str, tuple[str, ...]] = {}
    egress: dict[str, str] = {}
    ingress: dict[str, str] = {}
    for name, port in ports.items():
        if not port.security_group_ids:
            continue
        ids = sorted(set(port.security_group_ids))
        rules = [rule for group_id in ids for rule in groups.get(group_id, ())]
        out = tuple(_lines(rules, "egress"))
        if out:
            egress[name] = _chain_name(out)
            chains[egress[name]] = out
        inner = (f"iifname @{_set_name(group_id)} accept" for group_id in ids)
        into = (*_lines(rules, "ingress"), *inner, _REFUSE)
        ingress[name] = _chain_name(into)
        chains[ingress[name]] = into
    return Filters(members=_members(ports, groups), chains=chains, egress=egress, ingress=ingress)


def _members(
    ports: Mapping[str, network_api.Port], groups: Mapping[str, tuple[network_api.Rule, ...]]
) -> dict[str, frozenset[str]]:
    """A set for every group that a chain may name, empty ones included."""
    used = {group_id for port in ports.values() for group_id in port.security_group_ids}
    named = {rule.source_group_id for rules in groups.values() for rule in rules}
    return {
        _set_name(group_id): frozenset(
            name for name, port in ports.items() if group_id in port.security_group_ids
        )
        for group_id in used | (named - {""})
    }


def _lines(rules: Iterable[network_api.Rule], direction: str) -> Iterable[str]:
    """Rules in the order in which they decide: by priority, drop before accept."""
    mine = [rule for rule in rules if rule.direction == direction]
    for rule in sorted(mine, key=lambda rule: (rule.priority, rule.policy != "drop")):
        yield " ".join(part for part in (_peer(rule), _traffic(rule), _verdict(rule)) if part)


def _peer(rule: network_api.Rule) -> str:
    """The other side, as a match."""
    into = rule.direction == "ingress"
    if rule.source_group_id:
        return f"{'iifname' if into else 'oifname'} @{_set_name(rule.source_group_id)}"
    if not rule.cidr_block:
        return ""
    block = ipaddress.ip_network(rule.cidr_block, strict=False)
    if block.prefixlen == 0:
        return f"meta nfproto ipv{block.version}"
    family = "ip" if block.version == 4 else "ip6"
    return f"{family} {'saddr' if into else 'daddr'} {block}"


def _traffic(rule: network_api.Rule) -> str:
    if rule.port_from < 0 or rule.protocol not in ("tcp", "udp"):
        return _PROTOCOLS[rule.protocol]
    return f"{rule.protocol} dport {rule.port_from}-{max(rule.port_from, rule.port_to)}"


def _verdict(rule: network_api.Rule) -> str:
    if rule.policy == "drop":
        return _REFUSE
    # What may go out must still be let in by the other side.
    return "accept" if rule.direction == "ingress" else "return"


def _chain_name(lines: tuple[str, ...]) -> str:
    return f"c_{_digest(' ; '.join(lines))}"


def _set_name(group_id: str) -> str:
    return f"g_{_digest(group_id)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
