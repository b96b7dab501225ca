"""`python -m kube.ask`: one call of the Kubernetes API, in a process of its own.

Reads one JSON object: `settings` (of `kube.settings`), and one of: `read` with `kind`, `name` and
`namespace`; `list` with `kind` and `keep`; `event` with `namespace` and `object`; `patch` with
those of `read`, `patch` and `status`; `patch_volume` with `name` and `patch`; `delete_volume` with
`name`. Prints one: `object` (null = there is none; a list for `list`), or `error` and its `kind`. A
process of its own, because the library takes a quarter of what the whole node service may have.
"""

import asyncio
import json
import sys
from typing import Any

from core import errors
from kube import api, client, connection, settings


def main() -> int:
    """Do what standard input says."""
    print(json.dumps(asyncio.run(_answer(json.load(sys.stdin)))))  # noqa: T201 - its result
    return 0


async def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    asking = client.Client(connection.Connection(settings.KubeSettings(**asked["settings"])))
    try:
        return await answer(asking, asked)
    finally:
        await asking.close()


async def answer(asking: client.Client, asked: dict[str, Any]) -> dict[str, Any]:
    """What is printed for *asked*."""
    try:
        return {"object": await _do(asking, asked)}
    except errors.Error as e:
        return {"error": str(e), "kind": e.kind.value}


async def _do(asking: client.Client, asked: dict[str, Any]) -> api.Object | list[api.Object] | None:
    if "event" in asked:
        event = asked["event"]
        await asking.post_event(event["namespace"], event["object"])
        return None
    if "patch" in asked:
        told = dict(asked["patch"])
        await asking.patch(api.Kind(told.pop("kind")), told.pop("name"), told.pop("patch"), **told)
        return None
    if "patch_volume" in asked:
        await asking.patch_volume(**asked["patch_volume"])
        return None
    if "delete_volume" in asked:
        await asking.delete_volume(**asked["delete_volume"])
        return None
    if "list" in asked:
        keep = [tuple(path) for path in asked["list"]["keep"]]
        return await asking.list_all(api.Kind(asked["list"]["kind"]), keep)
    wanted = asked["read"]
    return await asking.read(api.Kind(wanted["kind"]), wanted["name"], wanted["namespace"])


if __name__ == "__main__":
    sys.exit(main())
