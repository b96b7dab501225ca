"""The API server, asked by this process, with JSON as it is.

It costs 10 MiB with a TLS connection, so a process that must stay small uses `kube.child` instead.
"""

import urllib.parse
from collections.abc import Mapping, Sequence

from core import call, errors
from kube import api, connection

_CORE, _STORAGE = "/api/v1", "/apis/storage.k8s.io/v1"
_PLURALS: Mapping[api.Kind, tuple[str, str]] = {
    api.Kind.NODE: (_CORE, "nodes"),
    api.Kind.CONFIG_MAP: (_CORE, "configmaps"),
    api.Kind.PERSISTENT_VOLUME: (_CORE, "persistentvolumes"),
    api.Kind.PERSISTENT_VOLUME_CLAIM: (_CORE, "persistentvolumeclaims"),
    api.Kind.SECRET: (_CORE, "secrets"),
    api.Kind.POD: (_CORE, "pods"),
    api.Kind.STORAGE_CLASS: (_STORAGE, "storageclasses"),
    api.Kind.VOLUME_ATTACHMENT: (_STORAGE, "volumeattachments"),
    api.Kind.CSI_NODE: (_STORAGE, "csinodes"),
    api.Kind.VOLUME_SNAPSHOT_CONTENT: (
        "/apis/snapshot.storage.k8s.io/v1",
        "volumesnapshotcontents",
    ),
    api.Kind.CNFS: ("/apis/storage.alibabacloud.com/v1beta1", "containernetworkfilesystems"),
}
"""Where objects are: group with version, and name of the collection."""
_STRATEGIC_MERGE = {"Content-Type": "application/strategic-merge-patch+json"}
_MERGE = {"Content-Type": "application/merge-patch+json"}
_PAGE = 500
"""Objects of an answer, as client-go asks for them. Source: client-go, tools/pager."""


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
            headers=_STRATEGIC_MERGE,
            params=self._as,
            json=dict(patch),
        )

    async def list_all(self, kind: api.Kind, keep: Sequence[api.Path]) -> list[api.Object]:
        """As `api.VolumeApi.list_all`; asked for by pages, of one moment."""
        what = f"every {kind}"
        call.doing(f"reading {what}")
        group, plural = _PLURALS[kind]
        found: list[api.Object] = []
        asked = {"limit": str(_PAGE)}
        while True:
            page = await self._connection.call("GET", f"{group}/{plural}", what=what, params=asked)
            if not isinstance(page, dict) or page.get("kind") != f"{kind}List":
                raise errors.Unavailable(f"{what}: the answer of the Kubernetes API is no list")
            found += [api.pruned(each, keep) for each in page.get("items") or ()]
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return found
            asked = {"limit": str(_PAGE), "continue": more}

    async def patch_volume(self, name: str, patch: api.Object) -> None:
        """As `api.VolumeApi.patch_volume`."""
        kind = api.Kind.PERSISTENT_VOLUME
        await self._connection.call(
            "PATCH",
            path(kind, name),
            what=f"{kind} {name}",
            headers=_MERGE,
            params=self._as,
            json=dict(patch),
        )

    async def delete_volume(self, name: str) -> None:
        """As `api.VolumeApi.delete_volume`."""
        kind = api.Kind.PERSISTENT_VOLUME
        await self._connection.call("DELETE", path(kind, name), what=f"{kind} {name}", absent=name)

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
