"""The HTTP library, imported when the first call needs it."""

import sys
from typing import Any


def load() -> Any:
    """httpx2, without the HTTP/2 that it would import and we never ask for: 1.3 MiB less."""
    # None makes an import fail as if it were not installed; httpcore2 goes on without it.
    sys.modules.setdefault("h2", None)  # type: ignore[arg-type]  # documented use of sys.modules
    import httpx2  # noqa: PLC0415  # see above

    return httpx2
