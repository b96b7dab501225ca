"""The mount options that a volume may bring, each with the values it may have. Pure data.

Source: nfs(5) and mount(8) of nfs-utils 2.6. What is not here is refused by name: an option may
name another server (`mounthost=`, `addr=`), relabel every file (`context=`), or have mount(8)
overlook the others (`sloppy`). The reasons are told in docs/reference/nas.md.
"""

import re
from collections.abc import Mapping

_NUMBER = r"[0-9]{1,10}"
VALUES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("rsize", "wsize", "bsize", "namlen", "timeo", "retrans", "retry"),
            *("acregmin", "acregmax", "acdirmin", "acdirmax", "actimeo", "port", "mountport"),
        ),
        _NUMBER,
    ),
    **dict.fromkeys(("nconnect", "max_connect"), "[1-9]|1[0-6]"),
    "proto": "tcp|tcp6|rdma|udp|udp6",
    "mountproto": "tcp|tcp6|udp|udp6",
    "mountvers": "1|2|3",
    "sec": "sys|none|krb5|krb5i|krb5p",
    "lookupcache": "all|none|pos|positive",
    "local_lock": "all|flock|posix|none",
    "clientaddr": r"[0-9A-Fa-f.:]{2,45}",
}
"""Options with a value → pattern of the value."""

WORDS = frozenset(
    {
        *("ro", "rw", "hard", "soft", "softerr", "softreval", "nosoftreval", "intr", "nointr"),
        *("lock", "nolock", "ac", "noac", "cto", "nocto", "acl", "noacl"),
        *("rdirplus", "nordirplus", "resvport", "noresvport", "sharecache", "nosharecache"),
        *("tcp", "udp", "rdma", "fsc", "nofsc", "migration", "nomigration", "posix", "noposix"),
        *("atime", "noatime", "relatime", "norelatime", "diratime", "nodiratime"),
        *("strictatime", "nostrictatime", "suid", "nosuid", "dev", "nodev", "exec", "noexec"),
        *("sync", "async", "dirsync", "trunkdiscovery", "notrunkdiscovery"),
        *("fg", "bg", "defaults", "_netdev", "nofail", "quota", "noquota", "usrquota", "grpquota"),
    }
)
"""Options without a value."""

SILENT = frozenset(
    {"fg", "bg", "defaults", "_netdev", "nofail", "quota", "noquota", "usrquota", "grpquota"}
)
"""Taken and left out: they speak to init scripts and quota tools. `bg` would have mount(8) answer
before anything is mounted."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@+-]*(=[A-Za-z0-9_.:/@+-]*)?")


def is_name(text: str) -> bool:
    """Whether *text* can be the name of an option."""
    return _NAME.fullmatch(text) is not None


def is_one_word(text: str) -> bool:
    """Whether *text* is one option in shape: no comma, blank, quote, backslash, second '='."""
    return _WORD.fullmatch(text) is not None


def fault(word: str, more: frozenset[str]) -> str:
    """Why *word* is refused, "" when it is not. more: names that the operator allows."""
    name, equals, value = word.partition("=")
    if name in more:
        return ""
    if not equals and name in WORDS:
        return ""
    pattern = VALUES.get(name)
    if pattern is None:
        return "has no value" if name in WORDS else "is not known"
    return "" if equals and re.fullmatch(pattern, value) else "has a value that is not allowed"
