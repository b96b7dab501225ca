"""The API server as `kube.watch` asks it: the metadata of one node's pods.

Pods that ended are left out by the selector; the server tells of them as gone.
"""

import json
import random
from collections.abc import AsyncIterator, Sequence

from core import errors
from kube import api, connection, watch

_PATH = "/api/v1/pods"
_AS = "application/json;as={};g=meta.k8s.io;v=v1"
_SERVER_S = 300
"""How long the server keeps a watch, about; it says so with a bookmark before."""
_GONE = 410
_SILENT_S = 120.0
"""Bookmarks come every minute; a watch that is silent for longer has lost its server."""


class PodSource:
    """Of the node with name *node_name*. silent_s: longest silence of a watch."""

    def __init__(
        self, server: connection.Connection, node_name: str, *, silent_s: float = _SILENT_S
    ) -> None:
        self._server = server
        self._silent_s = silent_s
        self._selector = f"spec.nodeName={node_name},status.phase!=Succeeded,status.phase!=Failed"

    async def list(self) -> tuple[Sequence[api.Object], str]:
        """As `watch.Source.list`."""
        told = await self._server.call(
            "GET",
            _PATH,
            what="pods of this node",
            params={"fieldSelector": self._selector},
            headers={"Accept": _AS.format("PartialObjectMetadataList")},
        )
        return told.get("items") or (), (told.get("metadata") or {}).get("resourceVersion") or ""

    async def follow(self, version: str) -> AsyncIterator[api.Object]:
        """As `watch.Source.follow`."""
        params = {
            "fieldSelector": self._selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            # Not for secrets: the nodes' watches must only not all end at once.
            "timeoutSeconds": str(int(_SERVER_S * random.uniform(0.8, 1.2))),  # noqa: S311
        }
        headers = {"Accept": _AS.format("PartialObjectMetadata")}
        what = "watch of this node's pods"
        async with connection.translated(what):
            http = await self._server.http()
            stream = http.stream(
                "GET",
                _PATH,
                params=params,
                headers=headers,
                timeout=connection.timeout(self._silent_s),
            )
            async with stream as response:
                if response.is_error:
                    refused = connection.refusal(what, response.status_code, await response.aread())
                    raise watch.Gone(str(refused)) if response.status_code == _GONE else refused
                yield {"type": "CONNECTED"}
                async for line in response.aiter_lines():
                    if line:
                        yield _decode(line)


def _decode(line: str) -> api.Object:
    try:
        told: api.Object = json.loads(line)
    except ValueError as e:
        raise errors.Unavailable("the watch of this node's pods broke within an event") from e
    return told
