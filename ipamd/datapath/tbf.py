"""Token buckets: from what a pod is allowed to what the kernel is told. Pure.

Source: spec/terway.md 4.7; net/sched/sch_tbf.c.
"""

from host import rtnl, rtnl_read

_LATENCY_MS = 25
"""How long a full queue may hold a packet back."""
_HEADER_BYTES = 18
"""Ethernet with one tag: a bucket smaller than a frame never lets it pass."""
_DUMPED_S = 256
"""The kernel tells a burst as 32 bits of 64 ns; a longer one could not be compared."""
_TICK_NS = 64
_NS_PER_S = 1_000_000_000
_U32_MAX = 0xFFFFFFFF


def bucket(rate_bytes_per_s: int, burst_bytes: int, mtu: int) -> rtnl.Tbf | None:
    """The bucket for a rate, None for rate 0. burst_bytes 0: a millisecond, or two packets."""
    if rate_bytes_per_s == 0:
        return None
    wanted = burst_bytes or max(-(-rate_bytes_per_s // 1000), mtu + 1500)
    wanted = min(wanted, rate_bytes_per_s * _DUMPED_S, _U32_MAX)
    burst = max(wanted, mtu + _HEADER_BYTES)
    limit = rate_bytes_per_s * _LATENCY_MS // 1000 + burst
    return rtnl.Tbf(
        rate_bytes_per_s=rate_bytes_per_s,
        burst_bytes=burst,
        limit_bytes=min(limit, _U32_MAX),
        mtu=mtu,
    )


def is_same(wanted: rtnl.Tbf | None, found: rtnl_read.Bucket | None) -> bool:
    """Whether the kernel has the bucket that was asked for. The burst it tells is rounded."""
    if wanted is None or found is None:
        return wanted is None and found is None
    ticks = wanted.burst_bytes * _NS_PER_S // wanted.rate_bytes_per_s // _TICK_NS
    distance = abs((ticks & _U32_MAX) - found.buffer_ticks)
    return (
        found.rate_bytes_per_s == wanted.rate_bytes_per_s
        and found.limit_bytes == wanted.limit_bytes
        and distance <= 1 + ticks // 1_000_000
    )


def wanted_text(wanted: rtnl.Tbf | None) -> str:
    """For messages."""
    if wanted is None:
        return "no limit"
    return f"{wanted.rate_bytes_per_s} bytes/s, burst {wanted.burst_bytes} bytes"


def found_text(found: rtnl_read.Bucket | None) -> str:
    """For messages."""
    if found is None:
        return "no limit"
    burst = round(found.buffer_ticks * _TICK_NS * found.rate_bytes_per_s / _NS_PER_S)
    return f"{found.rate_bytes_per_s} bytes/s, burst {burst} bytes"
