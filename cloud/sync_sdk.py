"""Keeps the parts of the SDK out of memory that only its async methods use.

`darabonba` imports aiohttp for them: 8.1 MiB of resident memory (measured 2026-11-23). We call the
sync methods only (spec/cloud-api.md 1.4), so two names that its type annotations need are enough.
"""

import sys
import types

_NAMES = ("ClientResponse", "ClientSession")


def leave_out_aiohttp() -> bool:
    """Put a placeholder in aiohttp's place before an SDK is imported; False = left alone.

    In a process that has imported aiohttp already, such as the simulator's, nothing changes.
    """
    if "aiohttp" in sys.modules:
        return False
    placeholder = types.ModuleType("aiohttp", "placeholder of cloud.sync_sdk")
    for name in _NAMES:
        setattr(placeholder, name, type(name, (), {}))
    sys.modules["aiohttp"] = placeholder
    return True
