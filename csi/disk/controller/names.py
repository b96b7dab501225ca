"""Names in the cloud, made from what the orchestrator calls a thing."""

import string
import unicodedata

from csi import token_chain

_NAME_LENGTHS = range(2, 129)
_NAME_MARKS = frozenset("_.:-")


def disk_name(name: str) -> str:
    """DiskName for *name*, "" when the cloud would not take it.

    2 to 128 characters: a letter, then letters, digits and `:_.-`.
    """
    return name if _is_cloud_name(name) else ""


def snapshot_name(name: str) -> str:
    """SnapshotName for *name*, "" when the cloud would not take it; `auto…` is reserved."""
    return name if _is_cloud_name(name) and not name.startswith("auto") else ""


def group_name(name: str) -> str:
    """Name of a snapshot group for *name*: the name itself, else one made from its hash.

    Never empty, because groups are found again by name.
    """
    if snapshot_name(name):
        return name
    plain = str.maketrans({"+": "-", "/": "_"})
    return "csi-" + token_chain.digest(name).translate(plain)


def tag_value(name: str) -> str:
    """*name* as a tag's value, or its hash where the cloud refuses the text."""
    if "http://" in name or "https://" in name:
        return "h:" + token_chain.digest(name)
    return name


def _is_cloud_name(name: str) -> bool:
    if len(name) not in _NAME_LENGTHS or not _is_letter(name[0]):
        return False
    return all(_is_letter(c) or c in string.digits or c in _NAME_MARKS for c in name)


def _is_letter(character: str) -> bool:
    return unicodedata.category(character).startswith("L")
