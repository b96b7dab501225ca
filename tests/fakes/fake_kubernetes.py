"""An API server in memory, typed against `kube.api.Api`."""

import dataclasses
from collections.abc import Sequence
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
    faults: dict[api.Kind, errors.Error] = dataclasses.field(default_factory=dict)
    """Raised by lists of a kind."""
    lists: list[api.Kind] = dataclasses.field(default_factory=list)
    volume_patches: list[tuple[str, api.Object]] = dataclasses.field(default_factory=list)
    volume_fault: errors.Error | None = None
    """Raised by patches of PersistentVolumes."""
    deleted: list[str] = dataclasses.field(default_factory=list)

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

    async def list_all(self, kind: api.Kind, keep: Sequence[api.Path]) -> list[api.Object]:
        self.lists.append(kind)
        for fault in (self.fault, self.faults.get(kind)):
            if fault is not None:
                raise fault
        return [api.pruned(each, keep) for (of, _), each in self.objects.items() if of is kind]

    async def patch_volume(self, name: str, patch: api.Object) -> None:
        for fault in (self.fault, self.volume_fault):
            if fault is not None:
                raise fault
        self.volume_patches.append((name, patch))
        found = self.objects[api.Kind.PERSISTENT_VOLUME, name]
        self.objects[api.Kind.PERSISTENT_VOLUME, name] = merged(found, patch)

    async def delete_volume(self, name: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.deleted.append(name)
        self.objects.pop((api.Kind.PERSISTENT_VOLUME, name), None)

    async def close(self) -> None:
        """Nothing is open."""


def merged(found: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict) or not isinstance(found, dict):
        return patch
    told = dict(found)
    for key, value in patch.items():
        if value is None:
            told.pop(key, None)
        else:
            told[key] = merged(told.get(key), value)
    return told


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
