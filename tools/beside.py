#!/usr/bin/env python3
"""beside.py COMMAND COMMAND: two commands of a shell at once, since tests wait most of their time.

What the second one says is seen as it comes, and then what the first one has said. Exit status: the
second one's, or the first one's when that is 0. Told to end, it interrupts both, as a terminal
does, and waits until they have cleaned up.
"""

import signal
import subprocess
import sys
import tempfile
from typing import IO


def main() -> int:
    """Run both; the exit status."""
    running: list[subprocess.Popen[bytes]] = []

    def interrupt(number: int, _frame: object) -> None:
        if number != signal.SIGINT:  # a terminal sends that to all of us
            for process in running:
                process.send_signal(signal.SIGINT)

    # Before they are started, so that neither ignores what we ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    first, second = sys.argv[1:]
    with tempfile.TemporaryFile() as said:
        running += [_start(first, said), _start(second, None)]
        statuses = [process.wait() for process in reversed(running)]
        said.seek(0)
        sys.stdout.write(f"at the same time: {first}\n")
        sys.stdout.flush()
        sys.stdout.buffer.write(said.read())
    return next((status for status in statuses if status), 0) & 0xFF


def _start(command: str, said: IO[bytes] | None) -> subprocess.Popen[bytes]:
    """*command*, what it says going to *said*, None = where ours does."""
    return subprocess.Popen(["bash", "-c", command], stdout=said, stderr=said)


if __name__ == "__main__":
    sys.exit(main())
