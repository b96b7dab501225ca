"""Running commands of iproute2 and nftables, and calls, inside a network namespace."""

import contextlib
import ctypes
import os
import pathlib
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from sim.hardware import api

T = TypeVar("T")

NETNS_DIR = pathlib.Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_LIMIT_S = 30.0
_SHOWN = 500


def run(argv: Sequence[str], *, netns: str = "", stdin: str = "") -> str:
    """Output of a command, run in *netns* when given; HardwareError when it fails."""
    return gather([Command(argv, netns=netns, stdin=stdin)])[0]


def gather(commands: Sequence["Command"]) -> list[str]:
    """Outputs of commands that run at the same time; HardwareError when one fails."""
    with contextlib.ExitStack() as ended:
        for command in commands:
            ended.callback(command.kill)
            command.start()
        return [command.output() for command in commands]


class Command:
    """One process. nsenter, not `ip netns exec`: that makes a mount namespace with its own /sys."""

    def __init__(self, argv: Sequence[str], *, netns: str = "", stdin: str = "") -> None:
        self._argv = [*enter(netns), *argv] if netns else list(argv)
        self._stdin = stdin
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; HardwareError when there is no such program."""
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                self._argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True
            )
        except OSError as e:
            raise self._failed(str(e)) from e

    def output(self) -> str:
        """What it printed; HardwareError when it fails or takes too long."""
        if self._process is None:
            raise self._failed("not started")
        try:
            printed, told = self._process.communicate(self._stdin, timeout=_LIMIT_S)
        except subprocess.TimeoutExpired as e:
            raise self._failed(f"no end after {_LIMIT_S:g} s") from e
        if self._process.returncode != 0:
            raise self._failed(told.strip()[:_SHOWN])
        return printed

    def kill(self) -> None:
        """End it if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def _failed(self, why: str) -> api.HardwareError:
        return api.HardwareError(f"network: {' '.join(self._argv)}: {why}")


def enter(netns: str) -> list[str]:
    """The words before a command that is to run in a namespace; mounts stay as they are."""
    return ["nsenter", f"--net={NETNS_DIR / netns}"]


def ip_batch(netns: str, lines: Sequence[str]) -> None:
    """Run `ip` commands in one process; the first that fails ends it with HardwareError."""
    if lines:
        run(["ip", "-n", netns, "-batch", "-"], stdin=_lines(lines))


def apply(netns: str, *, ip: Sequence[str], nft: Sequence[str]) -> None:
    """Run `ip` commands, and nft commands as one transaction, at the same time."""
    commands = []
    if ip:
        commands.append(Command(["ip", "-n", netns, "-batch", "-"], stdin=_lines(ip)))
    if nft:
        commands.append(Command(["nft", "-f", "-"], netns=netns, stdin=_lines(nft)))
    gather(commands)


def inside(netns: str, call: Callable[[], T]) -> T:
    """Result of *call*, made by a thread that moves into *netns* and then ends.

    setns changes one thread only, so no other thread may be used. Raises HardwareError.
    """
    results: list[T] = []
    failures: list[OSError] = []

    def work() -> None:
        try:
            _enter_thread(NETNS_DIR / netns)
            results.append(call())
        except OSError as e:
            failures.append(e)

    thread = threading.Thread(target=work, name=f"in-{netns}")
    thread.start()
    thread.join()
    if failures:
        raise api.HardwareError(f"network: in {netns}: {failures[0]}") from failures[0]
    return results[0]


def _enter_thread(path: pathlib.Path) -> None:
    """Move the calling thread. Python has os.setns only from 3.12 on."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(fd, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(fd)


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
