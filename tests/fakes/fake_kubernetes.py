"""An API server in memory, typed against `kube.api.Api`."""

import dataclasses
from typing import Any

from core import errors
from kube import api, events
from tests.fakes import virtual_clock


@dataclasses.dataclass
class FakeKubernetes:
    """objects: by kind and name. fault: raised by every call. patches: name, patch, of status."""

    objects: dict[tuple[api.Kind, str], api.Object] = dataclasses.field(default_factory=dict)
    events: list[tuple[str, api.Object]] = dataclasses.field(default_factory=list)
    reads: list[tuple[api.Kind, str, str]] = dataclasses.field(default_factory=list)
    patches: list[tuple[str, api.Object, bool]] = dataclasses.field(default_factory=list)
    fault: errors.Error | None = None

    async def read(self, kind: api.Kind, name: str, namespace: str = "") -> api.Object | None:
        self.reads.append((kind, name, namespace))
        if self.fault is not None:
            raise self.fault
        return self.objects.get((kind, name))

    async def post_event(self, namespace: str, event: api.Object) -> None:
        if self.fault is not None:
            raise self.fault
        self.events.append((namespace, event))

    async def patch(
        self,
        kind: api.Kind,
        name: str,
        patch: api.Object,
        *,
        namespace: str = "",
        status: bool = False,
    ) -> None:
        if self.fault is not None:
            raise self.fault
        self.patches.append((name, patch, status))

    async def close(self) -> None:
        """Nothing is open."""


def silent_recorder() -> events.Recorder:
    """One that tells nobody."""
    time = virtual_clock.VirtualClock()
    return events.Recorder(api.Nowhere(), component="test", host="", time=time)


def cnfs_object(
    name: str, *, kind: str = "nas", status: str = "Available", **told: Any
) -> api.Object:
    """A ContainerNetworkFileSystem as the storage operator fills it in; *told*: fsAttributes.

    `fallback` and `strategy` go to the specification.
    """
    fallback = {"name": told.pop("fallback", ""), "strategy": told.pop("strategy", "")}
    return {
        "apiVersion": "storage.alibabacloud.com/v1beta1",
        "kind": "ContainerNetworkFileSystem",
        "metadata": {"name": name},
        "spec": {"type": kind, **({"fallback": fallback} if fallback["name"] else {})},
        "status": {"status": status, "fsAttributes": told},
    }
