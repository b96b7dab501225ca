"""The API server as `kube.watch` asks it: the metadata of one node's pods.

Over lightkube's connection, but not through its client, which asks for whole objects. Pods that
ended are left out by the selector; the server tells of them as gone.
"""

import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

from core import errors
from kube import api, client, settings, watch

_PATH = "/api/v1/pods"
_AS = "application/json;as={};g=meta.k8s.io;v=v1"
_SERVER_S = 300
"""How long the server keeps a watch, about; it says so with a bookmark before."""
_SILENT_S = 120.0
"""Bookmarks come every minute; a watch that is silent for longer has lost its server."""


class PodSource:
    """Of the node with name *node_name*."""

    def __init__(self, config: settings.KubeSettings, node_name: str) -> None:
        self._config = config
        self._selector = f"spec.nodeName={node_name},status.phase!=Succeeded,status.phase!=Failed"
        self._made: Any = None

    async def list(self) -> tuple[Sequence[api.Object], str]:
        """As `watch.Source.list`."""
        headers = {"Accept": _AS.format("PartialObjectMetadataList")}
        async with client.translated("pods of this node"):
            got = await self._http().get(
                _PATH, params={"fieldSelector": self._selector}, headers=headers
            )
        _check(got.status_code, got.content)
        told = json.loads(got.content)
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
        async with client.translated("watch of this node's pods"):
            stream = self._http().stream(
                "GET", _PATH, params=params, headers=headers, timeout=client.timeout(_SILENT_S)
            )
            async with stream as response:
                if response.is_error:
                    _check(response.status_code, await response.aread())
                yield {"type": "CONNECTED"}
                async for line in response.aiter_lines():
                    if line:
                        yield _decode(line)

    async def close(self) -> None:
        """End the connections."""
        if self._made is not None:
            await self._made.aclose()

    def _http(self) -> Any:
        if self._made is None:
            self._made = client.connect_http(self._config)
        return self._made


def _decode(line: str) -> api.Object:
    try:
        told: api.Object = json.loads(line)
    except ValueError as e:
        raise errors.Unavailable("the watch of this node's pods broke within an event") from e
    return told


def _check(status: int, body: bytes) -> None:
    """Raise what an answer that is no success means."""
    if status < 400:
        return
    try:
        message = json.loads(body).get("message") or ""
    except (ValueError, AttributeError):
        message = body.decode(errors="replace")[:200]
    if status == 410:
        raise watch.Gone(message)
    kind = client.KINDS.get(status, errors.Unavailable)
    raise kind(f"pods of this node: the Kubernetes API says: {message or status}")
