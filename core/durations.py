"""Durations as Go writes them, which is how Kubernetes settings spell them."""

import re

_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def parse_s(text: str) -> float:
    """Seconds of a text such as `120s`, `1h30m` or `0`. Raises ValueError."""
    if text == "0":
        return 0.0
    total_s, end = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != end:
            break
        total_s += float(part[1]) * _UNIT_S[part[2]]
        end = part.end()
    if not text or end != len(text):
        raise ValueError(f"{text!r} is not a duration such as 120s or 1h30m")
    return total_s
