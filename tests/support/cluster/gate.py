"""Holds a command of a machine where it is called, so that its caller can be killed meanwhile.

The command's file is covered by a bind mount that only this machine sees. No hook in the caller.
"""

import pathlib
import shutil
import uuid
from types import TracebackType
from typing import Self

from tests.support.cluster import cluster, kubectl

_HELD_S = 60.0
_SCRIPT = """\
#!/bin/sh
case "$*" in {pattern}) ;; *) exec '{real}' "$@" ;; esac
[ -e '{directory}/open' ] || echo $$ >>'{directory}/held'
while [ ! -e '{directory}/open' ]; do sleep 0.05; done
exec '{real}' "$@"
"""


class Gate:
    """command: name of a program. pattern: of `case`, which its arguments must match to be held.

    Closed from `with` on; open and gone afterwards.
    """

    def __init__(self, of: cluster.Cluster, machine: str, command: str, pattern: str = "*") -> None:
        found = shutil.which(command)
        if found is None:
            raise RuntimeError(f"{command} is not on PATH")
        self._of, self._machine = of, machine
        self._covered = str(pathlib.Path(found).resolve())
        self._directory = of.where.state_dir / "gates" / uuid.uuid4().hex[:8]
        self._real = self._directory / "real" / command
        self._real.parent.mkdir(parents=True)
        shutil.copy2(self._covered, self._real)
        self._script = self._directory / command
        self._script.write_text(
            _SCRIPT.format(pattern=pattern, real=self._real, directory=self._directory)
        )
        self._script.chmod(self._real.stat().st_mode)

    def __enter__(self) -> Self:
        self._of.run(self._machine, "mount", "--bind", str(self._script), self._covered)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.open()
        self._of.run(self._machine, "umount", "--lazy", self._covered)

    def wait_held(self, count: int = 1) -> None:
        """Wait until so many calls have been held since the beginning."""
        what = f"{self._covered} of {self._machine} is called"
        kubectl.wait_until(what, lambda: len(self._held()) >= count, _HELD_S)

    def kill_held(self) -> None:
        """Kill the calls that are held."""
        script = f"kill -9 {' '.join(self._held())}"
        self._of.run(self._machine, "sh", "-c", script)

    def open(self) -> None:
        """Let held calls go on, and later ones through."""
        (self._directory / "open").touch()

    def _held(self) -> list[str]:
        """Their pids in the machine."""
        try:
            return (self._directory / "held").read_text().split()
        except FileNotFoundError:
            return []
