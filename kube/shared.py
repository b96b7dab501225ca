"""One read of an object for all who ask for it at the same time.

After a reboot kubelet publishes every volume of a node at once, and most of them name the same few
objects. Nothing is kept: what is read tells an access key, or the server that a pod stays with for
its whole life, and a read that is over may be out of date.
"""

from collections.abc import Sequence

from core import call, single_flight
from kube import api


class Shared:
    """The API server *inner*, whose reads have a time limit of their own. One event loop.

    Who joins a read gets the object as it was then, so at most that limit ago. Not for those who
    read an object to change it.
    """

    def __init__(self, inner: api.VolumeApi) -> None:
        self._inner = inner
        self._reads: single_flight.SingleFlight[api.Object | None] = single_flight.SingleFlight(
            "read"
        )

    async def read(self, kind: api.Kind, name: str, namespace: str = "") -> api.Object | None:
        """As `api.Api.read`."""
        call.doing(f"reading {kind} {name}")
        return await self._reads.run(
            f"{kind} {namespace}/{name}", lambda: self._inner.read(kind, name, namespace)
        )

    async def post_event(self, namespace: str, event: api.Object) -> None:
        """As `api.Api.post_event`."""
        await self._inner.post_event(namespace, event)

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
        await self._inner.patch(kind, name, patch, namespace=namespace, status=status)

    async def list_all(self, kind: api.Kind, keep: Sequence[api.Path]) -> list[api.Object]:
        """As `api.VolumeApi.list_all`."""
        return await self._inner.list_all(kind, keep)

    async def patch_volume(self, name: str, patch: api.Object) -> None:
        """As `api.VolumeApi.patch_volume`."""
        await self._inner.patch_volume(name, patch)

    async def delete_volume(self, name: str) -> None:
        """As `api.VolumeApi.delete_volume`."""
        await self._inner.delete_volume(name)

    async def close(self) -> None:
        """End the reads under way, and give connections back."""
        self._reads.close()
        await self._inner.close()
