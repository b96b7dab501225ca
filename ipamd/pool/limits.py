"""How many interfaces and addresses this node may hold. Pure. Source: spec/terway.md 5.1, 12.1."""

import dataclasses

from ipamd import eni_conf


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What the pool aims at.

    max_enis: secondary interfaces. capacity: addresses in all. min_free, max_free: free addresses
    to keep at least and at most. minimum_total: addresses to hold however few pods there are.
    """

    max_enis: int
    addresses_per_eni: int
    min_free: int
    max_free: int
    minimum_total: int = 0

    @property
    def capacity(self) -> int:
        """Most addresses the node can hold. The primary one of a secondary interface counts."""
        return self.max_enis * self.addresses_per_eni


NOTHING = Targets(max_enis=0, addresses_per_eni=0, min_free=0, max_free=0)
"""Targets of a node nothing is known about yet."""


def choose_targets(
    conf: eni_conf.EniConf, *, eni_quantity: int, addresses_per_eni: int, others: int = 0
) -> Targets:
    """Targets of a node whose instance type has *eni_quantity* interfaces, the primary included.

    others: interfaces on it, besides the primary, that pods cannot use. `warm_ip_target` replaces
    the free minimum and maximum; `warm_eni_target` is in interfaces.
    """
    max_enis = int(eni_quantity * conf.eni_cap_ratio) + conf.eni_cap_shift - 1
    if conf.max_eni:
        max_enis = min(max_enis, conf.max_eni)
    max_enis = max(0, min(max_enis, eni_quantity - 1 - others))
    capacity = max_enis * addresses_per_eni
    min_free = conf.min_eni * addresses_per_eni if conf.min_eni else conf.min_pool_size
    max_free = max(conf.max_pool_size, 0)
    if conf.warm_ip_target is not None:
        min_free = max_free = conf.warm_ip_target
    elif conf.warm_eni_target is not None:
        min_free = conf.warm_eni_target * addresses_per_eni
        max_free = (conf.warm_eni_target + 1) * addresses_per_eni
    max_free = min(max_free, capacity)
    return Targets(
        max_enis=max_enis,
        addresses_per_eni=addresses_per_eni,
        # Spec 5.1: the minimum is overridden by min_eni and clamped to the maximum.
        min_free=min(min_free, max_free),
        max_free=max_free,
        minimum_total=min(conf.minimum_ip_target, capacity),
    )
