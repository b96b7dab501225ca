"""The node's network settings under /proc/sys, of the calling thread's namespace."""

import pathlib

import structlog

from core import errors

log = structlog.get_logger()

_NET = pathlib.Path("/proc/sys/net")


def ensure(path: str, value: str) -> None:
    """Let a setting below `net` have *value*; one that is gone is skipped.

    path: as in "ipv4/conf/all/rp_filter". Raises Precondition where it cannot be written.
    """
    file = _NET / path
    try:
        if file.read_text().strip() == value:
            return
        file.write_text(value)
    except FileNotFoundError:
        return
    except OSError as e:
        raise errors.Precondition(
            f"{file} must be {value} and cannot be set: {e.strerror}; "
            "is the daemon privileged, and /proc/sys writable?"
        ) from e
    log.debug("network setting changed", setting=path, value=value)


def ensure_router(ifname: str) -> None:
    """Forward IPv4 from a link, or "all" or "default", without a reverse path filter.

    Replies to a pod come in by its ENI, where the main table would not send them: the filter
    would drop them. Source: spec/terway.md 4.0.
    """
    ensure(f"ipv4/conf/{ifname}/forwarding", "1")
    ensure(f"ipv4/conf/{ifname}/rp_filter", "0")


def ensure_router_v6(ifname: str) -> None:
    """The same for IPv6, which may be switched off on a link."""
    ensure(f"ipv6/conf/{ifname}/disable_ipv6", "0")
    ensure(f"ipv6/conf/{ifname}/forwarding", "1")


def ensure_host_end_v6(ifname: str) -> None:
    """A router's settings for the node's end of a pair, before it is up.

    It asks for the pod's address from its link-local one, which must not wait a second for
    duplicates: on a pair there are none.
    """
    ensure_router_v6(ifname)
    ensure(f"ipv6/conf/{ifname}/accept_dad", "0")


def ensure_no_advertisements(ifname: str) -> None:
    """No addresses and routes from router advertisements: ours are all there is."""
    ensure(f"ipv6/conf/{ifname}/accept_ra", "0")


def ensure_pod_v6(ifname: str) -> None:
    """IPv6 in a pod, for a thread in its namespace. Source: spec/terway.md 4.0."""
    for name in ("lo", "all", "default", ifname):
        ensure(f"ipv6/conf/{name}/disable_ipv6", "0")
    ensure_no_advertisements(ifname)
