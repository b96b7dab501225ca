"""The API server as `kube.watch` asks it: metadata of one node's pods, or of the Node itself."""

import json
import random
from collections.abc import AsyncIterator, Sequence

from core import errors
from kube import api, connection, watch

_AS = "application/json;as={};g=meta.k8s.io;v=v1"
_SERVER_S = 300
"""How long the server keeps a watch, about; it says so with a bookmark before."""
_GONE = 410
_SILENT_S = 120.0
"""Bookmarks come every minute; a watch that is silent for longer has lost its server."""


class ObjectSource:
    """The objects at *path* that *selector* leaves; what: their name for messages.

    silent_s: longest silence of a watch.
    """

    def __init__(
        self,
        server: connection.Connection,
        path: str,
        selector: str,
        what: str,
        *,
        silent_s: float = _SILENT_S,
    ) -> None:
        self._server = server
        self._path = path
        self._selector = selector
        self._what = what
        self._silent_s = silent_s

    async def list(self) -> tuple[Sequence[api.Object], str]:
        """As `watch.Source.list`."""
        told = await self._server.call(
            "GET",
            self._path,
            what=self._what,
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
        what = f"watch of {self._what}"
        async with connection.translated(what):
            http = await self._server.http()
            stream = http.stream(
                "GET",
                self._path,
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
                        yield _decode(line, what)


def _decode(line: str, what: str) -> api.Object:
    try:
        told: api.Object = json.loads(line)
    except ValueError as e:
        raise errors.Unavailable(f"{what}: broke within an event") from e
    return told


def pods_of(
    server: connection.Connection, node_name: str, *, silent_s: float = _SILENT_S
) -> ObjectSource:
    """Pods of a node. Those that ended are left out; the server tells of them as gone."""
    selector = f"spec.nodeName={node_name},status.phase!=Succeeded,status.phase!=Failed"
    what = "pods of this node"
    return ObjectSource(server, "/api/v1/pods", selector, what, silent_s=silent_s)


def node(server: connection.Connection, node_name: str) -> ObjectSource:
    """The Node *node_name*."""
    selector = f"metadata.name={node_name}"
    return ObjectSource(server, "/api/v1/nodes", selector, "the Node of this machine")
