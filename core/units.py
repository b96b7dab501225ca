"""Sizes. The only place where bytes and GiB are converted and rounded."""

import re

from core import errors

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

_QUANTITY = re.compile(r"(\d+)([KMGT]i?)?B?", re.IGNORECASE)
_FACTORS = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": TIB}


def ceil_gib(size_bytes: int) -> int:
    """Smallest whole number of GiB that holds *size_bytes*."""
    return -(-size_bytes // GIB)


def gib_to_bytes(size_gib: int) -> int:
    """Bytes in *size_gib* GiB."""
    return size_gib * GIB


def parse_binary(field: str, text: str) -> int:
    """Bytes named by *text*: digits with an optional K, M, G or T, all powers of 1024.

    Raises InvalidField naming *field*. Source: readBPS/writeBPS of the reference driver.
    """
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise errors.InvalidField(
            field, "is not a size", value=text, allowed="digits with K, M, G or T"
        )
    return int(match[1]) * _FACTORS[(match[2] or "").lower().removesuffix("i")]
