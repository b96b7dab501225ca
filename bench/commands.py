"""Commands run and timed in another machine's namespaces, without the cost of entering them.

`python -m bench.commands` is the other end: a command in JSON on each line, seconds as the answer.
"""

import json
import os
import subprocess
import sys
import time
from typing import Self

from tests.support import machine, processes


class Commands:
    """Runs commands in *node*; a context manager."""

    def __init__(self, node: machine.Machine) -> None:
        self._worker = subprocess.Popen(
            node.argv(sys.executable, "-m", "bench.commands"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Entering a mount namespace leaves the working directory.
            env={**os.environ, "PYTHONPATH": str(processes.ROOT)},
        )

    def seconds(self, *argv: str) -> float:
        """How long *argv*, which must succeed, takes."""
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.write(f"{json.dumps(argv)}\n")
        self._worker.stdin.flush()
        return float(self._worker.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._worker.stdin is not None
        self._worker.stdin.close()
        self._worker.wait()


def _main() -> None:
    for line in sys.stdin:
        started_s = time.perf_counter()
        subprocess.run(json.loads(line), check=True, stdout=subprocess.DEVNULL)
        print(time.perf_counter() - started_s, flush=True)


if __name__ == "__main__":
    _main()
