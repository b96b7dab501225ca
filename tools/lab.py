#!/usr/bin/env python3
"""Runs a command in the lab: a User-Mode Linux guest that has what the running kernel may lack.

The guest's root is this machine's root, read only, under an overlay in the guest's memory. So it
has all programs of this machine, this directory at its own path, and nothing that it writes stays:
not in /etc, not here. `--keep DIR` makes one directory an exception; /tmp is the guest's own.
tools/lab-init.sh is its first process. CONTRIBUTING.md, "The lab", tells when to use it.

Exit status: the command's; 124 at the time limit; 125 when the guest ends without one (a kernel
panic; its last messages are printed); 128 + N on signal N. What the command writes to stderr is
printed to stdout.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import types
from typing import NoReturn

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTEST = (".venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
SLOW_PLUGINS = ("-p", "no:hypothesispytest")
"""Half of pytest's start in the guest: 5.6 s with it, 2.6 s without. Lab tests do not use it."""
TESTS = "tests/lab"
TIME_LIMIT, NO_STATUS = 124, 125
ENDING_S = 5.0
LOG_LINES = 40
"""Of the guest's kernel log, printed when the guest fails: an oops with its stack fits."""
NOT_PASSED = ("TMPDIR", "TEMP", "TMP", "OLDPWD", "PYTHONDONTWRITEBYTECODE")
"""Directories which the guest does not have; and the guest may cache what Python compiles: in its
memory, so that a program's second start is faster."""


class Ended(Exception):
    """This process was told to end by a signal; its only argument is the number."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """What to run, and on what. memory_mib is the most that it takes; limit_s is seconds."""

    command: list[str]
    memory_mib: int
    limit_s: float
    keep: list[pathlib.Path]
    interactive: bool

    def run(self) -> int:
        """Boot, run the command, halt. Returns the exit status, as told in the module's head."""
        with tempfile.TemporaryDirectory(prefix="lab-", dir="/tmp") as name:
            directory = pathlib.Path(name)
            self._write_script(directory)
            with (directory / "kernel.log").open("wb") as log:
                limited = self._boot(directory, log.fileno())
            if limited:
                _say(f"not done after {self.limit_s:g} s (--limit): ended")
                _print_log(directory)
                return TIME_LIMIT
            return _read_status(directory)

    def _write_script(self, directory: pathlib.Path) -> None:
        """`directory`/command: what the guest's first process runs, in the caller's environment."""
        passed = {name: value for name, value in os.environ.items() if name not in NOT_PASSED}
        if not sys.stdout.isatty():
            passed["NO_COLOR"] = "1"  # the command itself always sees a terminal
        names = (name for name in passed if name.isidentifier())
        lines = [f"export {name}={shlex.quote(passed[name])}" for name in names]
        if not self.interactive:
            lines += ["stty -opost", "exec </dev/null"]  # lines end as the command ends them
        lines += [f"cd {shlex.quote(str(pathlib.Path.cwd()))}", f"exec {shlex.join(self.command)}"]
        (directory / "command").write_text("\n".join(lines) + "\n")
        (directory / "keep").write_text("".join(f"{path.resolve()}\n" for path in self.keep))

    def _boot(self, directory: pathlib.Path, log: int) -> bool:
        """Run the guest until it halts. Returns whether it had to be ended at the limit."""
        output, end = os.pipe()
        # A terminal as console would be set to raw by the guest, and Ctrl-C would be a character.
        console = "fd:0,fd:2" if self.interactive else f"null,fd:{end}"
        guest = subprocess.Popen(
            _machine(directory, self.memory_mib, console),
            stdin=None if self.interactive else subprocess.DEVNULL,
            stdout=log,
            stderr=None if self.interactive else log,
            pass_fds=[end],
            start_new_session=True,  # Ctrl-C reaches this process only
        )
        os.close(end)
        try:
            if _copy(output, time.monotonic() + self.limit_s):
                return False
            _log_blocked(directory)
            return True
        finally:
            _kill(guest)
            _copy(output, time.monotonic() + ENDING_S)  # until the last of its processes is gone
            os.close(output)


def _machine(directory: pathlib.Path, memory_mib: int, console: str) -> list[str]:
    """The command line of the guest. console: its input and output, as UML spells them."""
    return [
        # All of the guest's processes are in a namespace that ends with its first process, and
        # that one ends with this process, however it dies.
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *("unshare", "--pid", "--fork", "--kill-child", "--"),
        *("linux.uml", f"mem={memory_mib}M", f"uml_dir={directory}/"),
        *("rootfstype=hostfs", "rootflags=/", "ro", f"init={ROOT}/tools/lab-init.sh"),
        *("con=null", "con0=null,fd:1", f"con1={console}", "quiet"),
        *(f"LAB_DIR={directory}", f"LAB_ROOT={ROOT}"),
    ]


def _log_blocked(directory: pathlib.Path) -> None:
    """Have the guest's kernel log the stacks of processes that wait in it, such as for a server."""
    magic, version = 0xCAFE_BABE, 2  # of UML's management console
    asker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with contextlib.suppress(OSError, StopIteration), asker:
        asker.settimeout(ENDING_S)
        asker.bind(str(directory / "asker"))
        for text in (b"sysrq 8", b"sysrq w"):  # 8: log even what is of little weight
            request = struct.pack("=III512s", magic, version, len(text), text)
            asker.sendto(request, str(next(directory.glob("*/mconsole"))))
            asker.recv(1 << 16)


def _kill(guest: subprocess.Popen[bytes]) -> None:
    """End *guest*. Its first process goes first, so that unshare can wait for it."""
    with contextlib.suppress(OSError):
        children = pathlib.Path(f"/proc/{guest.pid}/task/{guest.pid}/children").read_text()
        for pid in children.split():
            os.kill(int(pid), signal.SIGKILL)
    try:
        guest.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        guest.kill()
        guest.wait()


def _copy(source: int, deadline: float) -> bool:
    """Copy *source* to stdout as it comes. Returns False at the deadline, True at the end."""
    while True:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not select.select([source], [], [], left_s)[0]:
            return False
        data = os.read(source, 1 << 16)
        if not data:
            return True
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def main() -> int:
    """Parse the command line and run the guest."""
    asked = _parse(sys.argv[1:])
    if os.geteuid() != 0:
        _fail("the lab needs root")
    if shutil.which("linux.uml") is None:
        _fail("linux.uml is not installed; run `make setup` (Debian package user-mode-linux)")
    guest = Guest(
        command=_command(asked.what, asked.arguments),
        memory_mib=asked.memory,
        limit_s=asked.limit,
        keep=asked.keep,
        interactive=asked.what == "shell",
    )
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _end)
    terminal = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
    try:
        return guest.run()
    except Ended as ended:
        by = signal.Signals(ended.args[0])
        _say(f"ended by {by.name}")
        return 128 + by
    finally:
        if terminal is not None:  # the guest sets it to raw
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, terminal)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/lab.py", description=__doc__.splitlines()[0])
    parser.add_argument("--memory", type=int, default=2048, metavar="MIB", help="of the guest")
    parser.add_argument("--limit", type=float, default=2700, metavar="S", help="seconds, in all")
    parser.add_argument(
        "--keep", type=pathlib.Path, action="append", default=[], metavar="DIR", help="writable"
    )
    whats = ("test", "run", "shell")
    parser.add_argument("what", choices=whats, help="pytest, a command, or a shell")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="pytest's, or the command")
    asked = parser.parse_args(arguments)
    if asked.what == "run" and not asked.arguments:
        parser.error("run: no command is given")
    for path in asked.keep:
        if not path.is_dir():
            parser.error(f"--keep {path}: not a directory")
    return asked


def _command(what: str, arguments: list[str]) -> list[str]:
    if what == "run":
        return arguments
    if what == "shell":
        return arguments or ["bash"]
    names_tests = any(
        not word.startswith("-") and pathlib.Path(word.partition("::")[0]).exists()
        for word in arguments
    )
    return [*PYTEST, *SLOW_PLUGINS, *([] if names_tests else [TESTS]), *arguments]


def _read_status(directory: pathlib.Path) -> int:
    try:
        return int((directory / "status").read_text())
    except (OSError, ValueError):
        _say("the guest ended without an exit status")
        _print_log(directory)
        return NO_STATUS


def _print_log(directory: pathlib.Path) -> None:
    text = (directory / "kernel.log").read_text(errors="replace").replace("\r", "")
    for line in text.splitlines()[-LOG_LINES:]:
        _say(f"  {line}")


def _end(number: int, _frame: types.FrameType | None) -> NoReturn:
    raise Ended(number)


def _say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)  # noqa: T201


def _fail(text: str) -> NoReturn:
    _say(text)
    sys.exit(NO_STATUS)


if __name__ == "__main__":
    sys.exit(main())
