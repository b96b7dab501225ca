"""What the command `cloudsim` does with the network hardware."""

import argparse
import asyncio
import os
import pathlib
import socket
from collections.abc import Sequence
from typing import NoReturn

import structlog

from sim.hardware import api
from sim.hardware.network import command, linux, ruleset

log = structlog.get_logger()

PREFIX = "cloudsim"
"""Of the namespaces' names."""
_NOTE = "netns-prefix"
_PORT = 80
_WATCH_S = 1.0


def make(prefix: str, state_dir: pathlib.Path) -> linux.LinuxNetwork:
    """The network of a state directory, which notes the prefix for `release`."""
    state_dir.mkdir(parents=True, exist_ok=True)
    (state_dir / _NOTE).write_text(prefix, encoding="utf-8")
    return linux.LinuxNetwork(prefix)


def release(prefix: str, state_dir: pathlib.Path) -> None:
    """Remove the namespaces with *prefix*, "" = those of the state directory, if it had any."""
    note = state_dir / _NOTE
    if not prefix and note.exists():
        prefix = note.read_text(encoding="utf-8")
    if prefix:
        linux.LinuxNetwork(prefix).release()
        note.unlink(missing_ok=True)


def listen(network: linux.LinuxNetwork) -> socket.socket:
    """Where instances find the cloud."""
    return network.open_listener(ruleset.CLOUD_ADDRESS, _PORT)


async def watch(network: linux.LinuxNetwork) -> None:
    """Plug again what guests delete; in the loop's thread, as every other change of the network."""
    while True:
        await asyncio.sleep(_WATCH_S)
        try:
            network.repair()
        except api.HardwareError as e:
            log.warning("network not mended, trying again", error=str(e))


def add_enter(parser: argparse.ArgumentParser) -> None:
    """Arguments of `enter`."""
    parser.add_argument("--netns-prefix", default=PREFIX, metavar="NAME", help="as of serve")
    parser.add_argument("node", help="short name of the instance, or vpc")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="default: a shell"
    )


def enter(prefix: str, node: str, words: Sequence[str]) -> NoReturn:
    """Become a command in an instance's network, with this machine's mounts.

    LookupError: no such namespace.
    """
    netns = f"{prefix}-{node}"
    if not (command.NETNS_DIR / netns).exists():
        raise LookupError(f"there is no namespace {netns}")
    given = list(words[1:] if words[:1] == ["--"] else words)
    argv = [*command.enter(netns), *(given or [os.environ.get("SHELL", "sh")])]
    os.execvp(argv[0], argv)  # noqa: S606 - the caller's own command, no shell in between
