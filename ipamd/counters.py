"""What the parts count as they work. Names are Terway's where it has one.

Source: spec/terway.md 7.2.
"""

import dataclasses

from core import metrics

LATENCY_BUCKETS_MS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 120000)
DATAPATH_BUCKETS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)
TYPE, STACK = "LocalIP", "ipv4"


class Counters:
    """What the parts count as they work."""

    def __init__(self, registry: metrics.Metrics) -> None:
        self.commands = registry.counter(
            "ipamd_cni_commands_total", "CNI commands by code, 0 = done", ("command", "code")
        )
        self.datapath = registry.histogram(
            "ipamd_datapath_duration_seconds",
            "work in the kernel and the database",
            ("operation",),
            DATAPATH_BUCKETS_S,
        )
        self.metadata = registry.histogram(
            "aliyun_metadata_latency",
            "duration of reads of the metadata service in milliseconds",
            ("url", "error"),
            LATENCY_BUCKETS_MS,
        )
        self.allocated = registry.counter(
            "terway_resource_pool_allocated_count", "addresses leased", ("type",)
        )
        self.disposed = registry.counter(
            "terway_resource_pool_disposed_count",
            "addresses given back to the cloud",
            ("type", "ipStack"),
        )
        self.ip_alloc = registry.counter(
            "terway_eniip_factory_ip_alloc_count",
            "addresses asked of the cloud",
            ("eni", "status"),
        )

    def leased(self) -> None:
        """An ADD got an address."""
        self.allocated.inc(TYPE)

    def gave_back(self, count: int) -> None:
        """The cloud took *count* addresses back."""
        self.disposed.inc(TYPE, STACK, by=count)

    def asked(self, mac: str, count: int, *, succeeded: bool) -> None:
        """*count* addresses were asked for; mac: "" for a new interface."""
        self.ip_alloc.inc(mac, "succeed" if succeeded else "fail", by=count)


@dataclasses.dataclass(slots=True)
class Cleanups:
    """What the janitor did since the start; orphaned_enis: how many there are now."""

    repaired: int = 0
    collected: int = 0
    stale_rules: int = 0
    stale_links: int = 0
    swept_enis: int = 0
    orphaned_enis: int = 0
