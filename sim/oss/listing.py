"""Which keys one page of a listing holds. Pure."""

import bisect
import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """keys: of objects; prefixes: of what a delimiter folds. next_marker: "" = the last page.

    A listing goes on with what sorts after next_marker: a key, or a prefix with all below it.
    """

    keys: tuple[str, ...]
    prefixes: tuple[str, ...]
    next_marker: str


def page(keys: Sequence[str], *, prefix: str, delimiter: str, marker: str, most: int) -> Page:
    """The page after *marker* of *keys*, which are sorted by their UTF-8 bytes."""
    found: list[str] = []
    prefixes: list[str] = []
    last = ""
    at = bisect.bisect_left(keys, prefix.encode(), key=str.encode)
    if marker:
        at = max(at, bisect.bisect_right(keys, marker.encode(), key=str.encode))
    while at < len(keys) and keys[at].startswith(prefix):
        key = keys[at]
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        folded = key[: end + len(delimiter)] if end >= 0 else ""
        if folded and marker.startswith(folded) and delimiter:
            at = _after(keys, folded)  # told by an earlier page
            continue
        if len(found) + len(prefixes) == most:
            return Page(keys=tuple(found), prefixes=tuple(prefixes), next_marker=last)
        if folded:
            prefixes.append(folded)
            last = folded
            at = _after(keys, folded)
        else:
            found.append(key)
            last = key
            at += 1
    return Page(keys=tuple(found), prefixes=tuple(prefixes), next_marker="")


def _after(keys: Sequence[str], prefix: str) -> int:
    """Index of the first key that sorts after everything below *prefix*."""
    return bisect.bisect_left(keys, prefix.encode() + b"\xff", key=str.encode)
