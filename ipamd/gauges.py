"""What is counted and measured. Names are Terway's where it has one.

Source: spec/terway.md 7.2.
"""

from collections.abc import Mapping

from core import grpc_server, metrics
from ipamd import counters
from ipamd.model import AddressState
from ipamd.pool import pool
from kube import pod_cache

QUIET = frozenset(
    {"Add", "Del", "Check", "Status", "Watch", "GetPool", "ListAttachments", "GetResourceMapping"}
)
"""RPCs that are not logged at their start and end: the first three have a line that says more."""


def observer(registry: metrics.Metrics) -> grpc_server.Observe:
    """Counts RPCs."""
    latency = registry.histogram(
        "terway_rpc_latency",
        "duration of RPCs in milliseconds",
        ("rpc_api", "error"),
        counters.LATENCY_BUCKETS_MS,
    )

    def observe(method: str, code: str, elapsed_s: float) -> None:
        latency.observe(elapsed_s * 1000, method, "false" if code == "OK" else "true")

    return observe


def offer_pool(registry: metrics.Metrics, addresses: pool.Pool) -> None:
    """Gauges of the pool."""
    state = addresses.state

    def total() -> Mapping[tuple[str, ...], float]:
        return {
            (counters.TYPE, counters.STACK): float(
                sum(len(eni.addresses) for eni in state.enis.values())
            )
        }

    def idle() -> Mapping[tuple[str, ...], float]:
        return {(counters.TYPE, counters.STACK): float(state.count(AddressState.WARM))}

    def by_state() -> Mapping[tuple[str, ...], float]:
        return {(each.value,): float(state.count(each)) for each in AddressState}

    def by_vswitch() -> Mapping[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {}
        for eni in state.enis.values():
            key = (eni.vswitch_id,)
            found[key] = found.get(key, 0.0) + len(eni.addresses)
        return found

    def enis() -> Mapping[tuple[str, ...], float]:
        return {("default", str(addresses.targets.max_enis)): float(len(state.enis))}

    def ips() -> Mapping[tuple[str, ...], float]:
        maximum = str(addresses.targets.addresses_per_eni)
        return {
            ("default", eni.mac, maximum): float(len(eni.addresses)) for eni in state.enis.values()
        }

    labels = ("type", "ipStack")
    registry.gauges("terway_resource_pool_total_count", "addresses the node holds", labels, total)
    registry.gauges("terway_resource_pool_idle_count", "addresses free and ready", labels, idle)
    registry.gauges("terway_eniip_factory_eni_count", "interfaces", ("name", "max_eni"), enis)
    registry.gauges(
        "terway_eniip_factory_ip_count",
        "addresses of each interface",
        ("name", "eni", "max_ip"),
        ips,
    )
    registry.gauges("ipamd_addresses", "addresses by state", ("state",), by_state)
    registry.gauges("ipamd_vswitch_addresses", "addresses by vSwitch", ("vswitch_id",), by_vswitch)
    registry.gauge("ipamd_waiting_adds", "ADDs that wait for an address", lambda: addresses.waiting)
    registry.gauge(
        "ipamd_growth_blocked",
        "1 while the pool cannot grow",
        lambda: float(bool(addresses.growth_blocked)),
    )


def offer_pods(registry: metrics.Metrics, cache: pod_cache.PodCache) -> None:
    """The watch of this node's pods; only where there is a Kubernetes API."""
    registry.gauge(
        "ipamd_pod_watch_live",
        "1 while the Kubernetes API tells of this node's pods",
        lambda: float(cache.is_live),
    )
    registry.gauge(
        "ipamd_known_pods", "pods of this node that the Kubernetes API told of", lambda: len(cache)
    )


def offer_janitor(registry: metrics.Metrics, counts: counters.Cleanups) -> None:
    """What the slow rounds mended and cleaned up."""

    def done() -> Mapping[tuple[str, ...], float]:
        return {
            ("repaired",): float(counts.repaired),
            ("lease",): float(counts.collected),
            ("rule",): float(counts.stale_rules),
            ("link",): float(counts.stale_links),
            ("eni",): float(counts.swept_enis),
        }

    registry.gauges("ipamd_gc", "objects mended or collected since the start", ("what",), done)
    registry.gauge(
        "ipamd_orphaned_enis",
        "interfaces of instances that are gone, which nobody deletes",
        lambda: float(counts.orphaned_enis),
    )
