"""Keeps OpenSSL out of a process that speaks no TLS. Call it before anything else is imported.

Python's asyncio imports `ssl` when it can, and `hashlib` its `_hashlib`: together 7.7 MiB of
resident memory in every node process (measured 2026-11-28). Python has the hashes itself, too,
unless whoever built it left them out, as builds for FIPS do: then OpenSSL's stay.
"""

import importlib.util
import sys

_OWN_HASHES = (
    ("_md5",),
    ("_sha1",),
    ("_sha2", "_sha256"),
    ("_sha2", "_sha512"),
    ("_sha3",),
    ("_blake2",),
)
"""One of each is needed; Python 3.12 has its SHA-2 in one module."""


def apply() -> None:
    """Make every later import of OpenSSL fail as if Python had been built without it."""
    # None does that; documented use of sys.modules.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    if all(any(map(importlib.util.find_spec, names)) for names in _OWN_HASHES):
        sys.modules["_hashlib"] = None  # type: ignore[assignment]
