"""Specs of csi-sanity that a driver skips, by the capability that it lacks.

Their names are in sanity_skips.txt. A test asserts all of those it gives a reason for, so that a
capability that is lost shows.
"""

import pathlib

_FILE = pathlib.Path(__file__).with_suffix(".txt")


def of(*capabilities: str) -> list[str]:
    """All specs of *capabilities*, sorted."""
    groups = _read()
    return sorted(spec for name in capabilities for spec in groups[name])


def _read() -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    name = ""
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            name = line.strip("[]")
        elif line and not line.startswith("#"):
            groups.setdefault(name, []).append(line)
    return groups
