"""The API server, asked by this process, with JSON as it is.

It costs 10 MiB with a TLS connection, so a process that must stay small uses `kube.child` instead.
"""

import urllib.parse
from collections.abc import Mapping

from core import call, errors
from kube import api, connection

_CORE = "/api/v1"
_PLURALS: Mapping[api.Kind, tuple[str, str]] = {
    api.Kind.NODE: (_CORE, "nodes"),
    api.Kind.CONFIG_MAP: (_CORE, "configmaps"),
    api.Kind.PERSISTENT_VOLUME: (_CORE, "persistentvolumes"),
    api.Kind.PERSISTENT_VOLUME_CLAIM: (_CORE, "persistentvolumeclaims"),
    api.Kind.SECRET: (_CORE, "secrets"),
    api.Kind.POD: (_CORE, "pods"),
    api.Kind.STORAGE_CLASS: ("/apis/storage.k8s.io/v1", "storageclasses"),
    api.Kind.CNFS: ("/apis/storage.alibabacloud.com/v1beta1", "containernetworkfilesystems"),
}
"""Where objects are: group with version, and name of the collection."""
_MERGE = {"Content-Type": "application/strategic-merge-patch+json"}


class Client:
    """One API server; one event loop. manager: who changes objects, as `managedFields` shows."""

    def __init__(self, server: connection.Connection, *, manager: str = "csi-plugin") -> None:
        self._connection = server
        self._as = {"fieldManager": manager}

    async def read(self, kind: api.Kind, name: str, namespace: str = "") -> api.Object | None:
        """As `api.Api.read`."""
        what = f"{kind} {name}"
        call.doing(f"reading {what}")
        told = await self._connection.call(
            "GET", path(kind, name, namespace), what=what, absent=name
        )
        if told is None:
            return None
        if not isinstance(told, dict) or (told.get("metadata") or {}).get("name") != name:
            raise errors.Unavailable(f"{what}: the answer of the Kubernetes API is about another")
        found: api.Object = told
        return found

    async def post_event(self, namespace: str, event: api.Object) -> None:
        """As `api.Api.post_event`."""
        where = f"{_CORE}/namespaces/{_quoted(namespace)}/events"
        body = {"apiVersion": "v1", "kind": "Event", **event}
        await self._connection.call("POST", where, what="event", params=self._as, json=body)

    async def patch(
        self,
        kind: api.Kind,
        name: str,
        patch: api.Object,
        *,
        namespace: str = "",
        status: bool = False,
    ) -> None:
        """As `api.Api.patch`."""
        where = path(kind, name, namespace) + ("/status" if status else "")
        await self._connection.call(
            "PATCH",
            where,
            what=f"{kind} {name}",
            headers=_MERGE,
            params=self._as,
            json=dict(patch),
        )

    async def close(self) -> None:
        """End the connections."""
        await self._connection.close()


def path(kind: api.Kind, name: str, namespace: str = "") -> str:
    """Of an object."""
    group, plural = _PLURALS[kind]
    within = f"/namespaces/{_quoted(namespace)}" if namespace else ""
    return f"{group}{within}/{plural}/{_quoted(name)}"


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")
