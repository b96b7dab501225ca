"""`python -m kube.agent`: a process that watches a node and its pods, and asks for its parent.

Reads JSON objects a line. The first: `settings` (of `kube.settings`), `manager`, and `node`,
`annotations` and `labels`: the node that is watched with its pods, what is kept of them, and of it.
Each after it: an `id` and a call as in `kube.ask`. Writes JSON objects a line: answers with their
`id`, what `kube.watch` tells of pods, and what `kube.node_seen` tells of the Node. Ends when its
input does, so that it never outlives its parent. See `kube.companion` for why it is a process.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

from core import clock, errors
from kube import ask, client, connection, node_seen, object_source, pods, settings, watch

_AT_ONCE = 10
"""Calls of the API server; the others wait here."""
_LINE_MAX = 4 * 1024 * 1024
"""Bytes of a line: objects of the API are 1.5 MiB at most. Source: etcd's request limit."""


def main() -> int:
    """Serve until standard input ends."""
    with contextlib.suppress(BrokenPipeError):
        asyncio.run(_serve())
    return 0


async def _serve() -> None:
    lines = asyncio.StreamReader(limit=_LINE_MAX)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(0, "rb", buffering=0)
    )
    told = json.loads(await lines.readline())
    config = settings.KubeSettings(**told["settings"])
    server = connection.Connection(config)
    asking = client.Client(server, manager=told["manager"])
    room = asyncio.Semaphore(_AT_ONCE)
    tasks: set[asyncio.Task[None]] = set()
    for following in _watches(server, told) if told["node"] else ():
        watching = asyncio.create_task(following.run(), name="watch")
        tasks.add(watching)
        # It ends only by a defect; then this process does, and the parent starts another.
        watching.add_done_callback(lambda _: lines.feed_eof())
    try:
        while line := await lines.readline():
            task = asyncio.create_task(_answer(asking, json.loads(line), room), name="call")
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asking.close()
        transport.close()


def _watches(server: connection.Connection, told: dict[str, Any]) -> Iterable[watch.Watch]:
    """Of the node's pods, and of the Node."""
    time = clock.SystemClock()
    wanted = frozenset(told["annotations"])
    of_pods = object_source.pods_of(server, told["node"])
    yield watch.Watch(of_pods, lambda each: _tell(each, wanted), time)
    seen = node_seen.Teller(_write, told["labels"])
    yield watch.Watch(object_source.node(server, told["node"]), seen.take, time)


async def _answer(asking: client.Client, asked: dict[str, Any], room: asyncio.Semaphore) -> None:
    async with room:
        try:
            told = await ask.answer(asking, asked)
        except Exception as e:  # noqa: BLE001  # who asked must hear of a defect, too
            told = {"error": f"{type(e).__name__}: {e}", "kind": errors.Kind.INTERNAL.value}
        _write({"id": asked["id"], **told})


def _tell(each: dict[str, Any], wanted: frozenset[str]) -> None:
    """What the watch tells, with pods cut down to what is needed."""
    _write(
        {
            key: dataclasses.asdict(pods.parse(value, wanted)) if key in ("put", "gone") else value
            for key, value in each.items()
        }
    )


def _write(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
