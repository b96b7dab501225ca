"""Names of links. Source: spec/terway.md 4.0."""

import hashlib

PREFIX = "cali"
_DIGITS = 11
_FIRST_IFNAME = "eth0"


def host_ifname(namespace: str, pod_name: str, ifname: str, *, number: int = 0) -> str:
    """The node's end of a pod's interface; the same for the same pod, as Terway names it.

    number: 1 and more are other names, for a pod whose name another one has: 44 bits can be found
    on purpose.
    """
    suffix = "" if ifname == _FIRST_IFNAME else ifname
    text = f"{namespace}.{pod_name}{suffix}" + (f"#{number}" if number else "")
    # A name, not a secret: SHA-1 is what the existing plug-in uses.
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return PREFIX + digest[:_DIGITS]
