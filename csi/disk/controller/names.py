"""Names and client tokens made from what the orchestrator calls a thing.

A client token makes CreateDisk and CreateSnapshot idempotent in the cloud for a day. The algorithm
is the reference's (spec/csi-driver.md 2.7), so a retry by either driver finds the other's work.
"""

import base64
import string
import unicodedata

_PLAIN_MAX_BYTES = 62
_FNV_OFFSET = 0x6C62272E07BB014262B821756295C58D
_FNV_PRIME = 0x0000000001000000000000000000013B
_FNV_MASK = (1 << 128) - 1
_NAME_LENGTHS = range(2, 129)
_NAME_MARKS = frozenset("_.:-")


def client_token(name: str, salt: str = "") -> str:
    """Token for making *name*: `n:<name>` when short and ASCII, else `h:<hash of the name>`.

    salt: tells a further token for the same name, see `csi.disk.create`; always hashed.
    """
    if salt:
        return "h:" + _digest(f"{name}\0{salt}")
    if len(name.encode()) <= _PLAIN_MAX_BYTES and name.isascii():
        return "n:" + name
    return "h:" + _digest(name)


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
    return "csi-" + _digest(name).translate(plain)


def tag_value(name: str) -> str:
    """*name* as a tag's value, or its hash where the cloud refuses the text."""
    if "http://" in name or "https://" in name:
        return "h:" + _digest(name)
    return name


def _is_cloud_name(name: str) -> bool:
    if len(name) not in _NAME_LENGTHS or not _is_letter(name[0]):
        return False
    return all(_is_letter(c) or c in string.digits or c in _NAME_MARKS for c in name)


def _is_letter(character: str) -> bool:
    return unicodedata.category(character).startswith("L")


def _digest(text: str) -> str:
    """FNV-1a, 128 bit, big-endian, in base64 without padding."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & _FNV_MASK
    return base64.b64encode(value.to_bytes(16, "big")).decode().rstrip("=")
