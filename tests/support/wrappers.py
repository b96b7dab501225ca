"""Kills the driver at a host effect of choice, without any hook in the driver.

A directory of small programs goes in front of the driver's PATH. Each counts its calls and runs
the real command; at the planned call it kills the driver first, afterwards, or instead.
"""

import enum
import pathlib
import shutil
from collections.abc import Sequence

COMMANDS = (
    "blockdev",
    "e2fsck",
    "mkfs.ext3",
    "mkfs.ext4",
    "mkfs.xfs",
    "mount",
    "partx",
    "resize2fs",
    "sfdisk",
    "sync",
    "umount",
    "xfs_growfs",
)
"""Commands that change something; those that only look are not wrapped."""

_SCRIPT = """\
#!/bin/sh
dir='{directory}'
number=$(flock "$dir/lock" sh -c '
    read -r n <"$0/count"; n=$((n + 1)); echo "$n" >"$0/count"
    echo "$1" >>"$0/log"; echo "$n"' "$dir" "{name} $*")
read -r want phase pid <"$dir/plan"
if [ "$number" != "$want" ]; then exec '{real}' "$@"; fi
case $phase in
before) kill -9 "$pid"; exit 137 ;;
outlive) kill -9 "$pid"; exec '{real}' "$@" ;;
after) '{real}' "$@"; code=$?; kill -9 "$pid"; exit "$code" ;;
esac
"""


class Phase(enum.StrEnum):
    """When the driver dies: instead of the command, before it (which then runs on), after it."""

    BEFORE = "before"
    OUTLIVE = "outlive"
    AFTER = "after"


class Wrappers:
    """The wrapper programs of *commands* in *directory*, the first entry of the driver's PATH."""

    def __init__(self, directory: pathlib.Path, commands: Sequence[str] = COMMANDS) -> None:
        self.directory = directory
        self._control = directory.with_name(f"{directory.name}-plan")
        for made in (self.directory, self._control):
            made.mkdir(parents=True)
        (self._control / "lock").touch()
        self.disarm()
        for name in commands:
            real = shutil.which(name)
            if real is None:
                continue
            program = directory / name
            program.write_text(_SCRIPT.format(directory=self._control, name=name, real=real))
            program.chmod(0o755)

    def disarm(self) -> None:
        """Kill nobody; count from 0 again."""
        self._plan("0 none 0")

    def arm(self, pid: int, number: int, phase: Phase) -> None:
        """Kill process *pid* at call *number*, from 1."""
        self._plan(f"{number} {phase} {pid}")

    def calls(self) -> list[str]:
        """Command lines since `disarm` or `arm`."""
        return (self._control / "log").read_text().splitlines()

    def _plan(self, line: str) -> None:
        (self._control / "plan").write_text(f"{line}\n")
        (self._control / "count").write_text("0\n")
        (self._control / "log").write_text("")
