"""A process in a mount namespace of its own, as a container is for its volumes."""

import contextlib
import pathlib
import subprocess
from collections.abc import Iterator

_READY = b"ready\n"


class Container:
    """A running one. pid: of a process in it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """*command*, run inside."""
        words = ["nsenter", "-t", str(self.pid), "-m", *command]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)

    def read(self, path: pathlib.Path) -> str:
        """What is in a file, as seen inside; "" when it cannot be read."""
        return self.run("cat", str(path)).stdout


@contextlib.contextmanager
def running(prepare: str) -> Iterator[Container]:
    """A container in which the shell commands *prepare* were run first."""
    shell = ["sh", "-ec", f"{prepare}; echo ready; exec sleep 100"]
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", *shell], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == _READY
        yield Container(process.pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
