"""The hosts file of the state directory: names of exports, for nodes to mount over /etc/hosts.

It is changed in place, because a mount of a file shows that file and no other. A line that goes
becomes a comment of the same length, so that a name is never half there for who reads meanwhile.
"""

import os
import pathlib
from collections.abc import Mapping

_HEAD = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


def names(text: str) -> dict[str, str]:
    """Name → address, for every line that is not a comment."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        address, *told = line.split("#")[0].split() or [""]
        found |= dict.fromkeys(told, address)
    return found


def changed(text: str, wanted: Mapping[str, str]) -> str:
    """*text* with exactly the names of *wanted* after its head. wanted: name → address."""
    lines = text.removeprefix(_HEAD).splitlines()
    left = dict(wanted)
    for at, line in enumerate(lines):
        told = names(line)
        if told and all(left.get(name) == address for name, address in told.items()):
            for name in told:
                del left[name]
        elif told:
            lines[at] = "#".ljust(len(line))
    for name, address in left.items():
        new = f"{address} {name}"
        free = (n for n, line in enumerate(lines) if line[:1] == "#" and len(line) >= len(new))
        at = next(free, len(lines))
        if at == len(lines):
            lines.append(new)
        else:
            lines[at] = new.ljust(len(lines[at]))
    return _HEAD + "".join(f"{line}\n" for line in lines)


def read(path: pathlib.Path) -> str:
    """The file's text, "" when there is none. Raises OSError."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def update(path: pathlib.Path, wanted: Mapping[str, str]) -> None:
    """Make the file tell *wanted* and nothing else. Raises OSError."""
    have = read(path)
    want = changed(have, wanted)
    if have == want:
        return
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(fd, want.encode(), 0)  # never shorter than it was
    finally:
        os.close(fd)
