"""Paths on an NFS server, as text. Pure."""

import re

from core import errors

_REFUSED = re.compile(r"[\x00-\x1f\x7f,\s]")
"""What would end a word or an option somewhere on its way to the kernel."""
_MAX = 1023


def parse(field: str, text: str) -> str:
    """An absolute path without '.', '..' and a slash at its end; "/" for the root.

    Raises InvalidField naming *field*.
    """
    allowed = (
        f"an absolute path of at most {_MAX} characters without '.', '..', commas and white space"
    )
    if not text.startswith("/"):
        raise errors.InvalidField(field, "is not absolute", value=text, allowed=allowed)
    if _REFUSED.search(text) or len(text) > _MAX:
        raise errors.InvalidField(field, "is not a path", value=text, allowed=allowed)
    parts = [part for part in text.split("/") if part]
    if any(part in (".", "..") for part in parts):
        raise errors.InvalidField(field, "has '.' or '..' in it", value=text, allowed=allowed)
    return "/" + "/".join(parts)


def join(base: str, below: str) -> str:
    """*below*, a relative path, under *base*. Both were parsed before."""
    return f"{base.rstrip('/')}/{below}" if below else base
