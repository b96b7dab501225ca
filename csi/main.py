"""Entry point of `csi-plugin`: decides what may be imported, then runs `csi.app`.

A node process keeps OpenSSL out: nothing there speaks TLS.
"""

import sys
from collections.abc import Sequence

from core import without_openssl

_NO_CONTROLLER = "--run-controller-service=false"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with *argv* (default: the command line); returns its exit status."""
    words = sys.argv[1:] if argv is None else argv
    if _NO_CONTROLLER in words:
        without_openssl.apply()
    from csi import app  # noqa: PLC0415  # only after the line above

    return app.main(argv)
