"""Runs CNI plug-ins and times each from exec to exit. A process of its own, in a node's network.

Reads a JSON object a line, answers one a line: {"turns": [[command, …], …], "at_once": N} becomes
{"elapsed_s": […], "wall_s": …}. A turn is a chain of commands, as a runtime runs a list of plug-
ins; turns run N at once. A command: argv, env, config, and `result`, a file that holds what ADD
printed: written by the first command of an ADD, given to every other one as prevResult.
"""

import concurrent.futures
import json
import os
import pathlib
import sys
import time
from typing import Any


def main() -> int:
    for line in sys.stdin:
        job = json.loads(line)
        started_s = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(job["at_once"]) as threads:
            elapsed = list(threads.map(_turn, job["turns"]))
        told = {"elapsed_s": elapsed, "wall_s": time.monotonic() - started_s}
        print(json.dumps(told), flush=True)
    return 0


def _turn(commands: list[dict[str, Any]]) -> float:
    return sum(_run(command, first=not n) for n, command in enumerate(commands))


def _run(command: dict[str, Any], *, first: bool) -> float:
    """Seconds from exec to exit. Raises RuntimeError when the plug-in fails."""
    result = pathlib.Path(command["result"])
    config = dict(command["config"])
    adds = command["env"]["CNI_COMMAND"] == "ADD"
    if not (adds and first):
        config["prevResult"] = json.loads(result.read_text())
    stdin = result.with_suffix(".in")
    stdin.write_text(json.dumps(config))
    stdout = result if adds and first else result.with_suffix(".out")
    read = os.open(stdin, os.O_RDONLY)
    write = os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    actions = [(os.POSIX_SPAWN_DUP2, read, 0), (os.POSIX_SPAWN_DUP2, write, 1)]
    try:
        started_s = time.monotonic()
        argv = command["argv"]
        pid = os.posix_spawn(argv[0], argv, command["env"], file_actions=actions)
        status = os.waitpid(pid, 0)[1]
        elapsed_s = time.monotonic() - started_s
    finally:
        os.close(read)
        os.close(write)
    if status != 0:
        raise RuntimeError(f"{argv}: {stdout.read_text(errors='replace')}")
    return elapsed_s


if __name__ == "__main__":
    sys.exit(main())
