"""The network of the VPC's namespace as data: what is wanted and what is there look the same."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """Addresses are text; a single address has no mask. dev: a port's name or "lo".

    routes: (destination, next hop or "", dev). neighbours: (address, dev, MAC). proxies: IPv6
    addresses that neighbour discovery answers on a dev. local: (address, dev) of the router itself.
    """

    routes: frozenset[tuple[str, str, str]] = frozenset()
    neighbours: frozenset[tuple[str, str, str]] = frozenset()
    proxies: frozenset[tuple[str, str]] = frozenset()
    local: frozenset[tuple[str, str]] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What nft holds.

    elements: set or map → elements in nft's text. chains: name → rules, None when only known to
    exist. guards: ports whose MAC is checked → MAC, "" when only known to exist.
    """

    elements: Mapping[str, frozenset[str]]
    chains: Mapping[str, tuple[str, ...] | None]
    guards: Mapping[str, str]
