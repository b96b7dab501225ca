"""Entry point of `csi-plugin`: decides what may be imported, then runs `csi.app`.

A node process keeps TLS out: nothing there speaks it, and Python's `ssl`, which asyncio imports
when it can, takes 4.3 MB of resident memory on every node (measured 2026-11-23).
"""

import sys
from collections.abc import Sequence

_NO_CONTROLLER = "--run-controller-service=false"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with *argv* (default: the command line); returns its exit status."""
    words = sys.argv[1:] if argv is None else argv
    if _NO_CONTROLLER in words:
        # None makes every `import ssl` fail as if Python had been built without it.
        sys.modules["ssl"] = None  # type: ignore[assignment]  # documented use of sys.modules
    from csi import app  # noqa: PLC0415  # only after the line above

    return app.main(argv)
