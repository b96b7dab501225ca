"""Entry point of `csi-mounter`: decides what may be imported, then runs `keeper` or `app`.

The keeper is a process that only waits, beside each csi-mounter. The clients speak TLS, not we.
"""

import sys
from collections.abc import Sequence

from core import without_openssl
from csi.mounter import flags, keeper


def main(argv: Sequence[str] | None = None) -> int:
    """Run; the exit status: 0 stopped, 1 failed, 2 wrong usage."""
    given = sys.argv[1:] if argv is None else list(argv)
    options = flags.parser().parse_args(given)
    if options.keep:
        return keeper.run([word for word in given if word != flags.KEEP])
    without_openssl.apply()
    from csi.mounter import app  # noqa: PLC0415  # only after the line above

    return app.run(options)
