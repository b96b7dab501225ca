"""What the rest of our programs may ask of the Kubernetes API.

Objects are what the API sends as JSON; the modules named after a kind parse them.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from core import errors

Object = Mapping[str, Any]


class Kind(enum.StrEnum):
    """Kinds of objects that are read; the values are their names in the API."""

    NODE = "Node"
    CONFIG_MAP = "ConfigMap"
    CNFS = "ContainerNetworkFileSystem"
    PERSISTENT_VOLUME = "PersistentVolume"
    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"
    STORAGE_CLASS = "StorageClass"
    SECRET = "Secret"  # noqa: S105  # the kind's name
    POD = "Pod"
    VOLUME_ATTACHMENT = "VolumeAttachment"
    CSI_NODE = "CSINode"
    VOLUME_SNAPSHOT_CONTENT = "VolumeSnapshotContent"


class Api(Protocol):
    """The API server."""

    async def read(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        """The object, None when there is none.

        Raises Precondition where no API server is configured, or it does not know the kind; Denied
        when our service account may not read it, Unauthenticated, and Unavailable while the API
        server does not answer.
        """
        ...

    async def post_event(self, namespace: str, event: Object) -> None:
        """Make an object of kind Event (core/v1). Raises as `read`."""
        ...

    async def patch(
        self,
        kind: Kind,
        name: str,
        patch: Object,
        *,
        namespace: str = "",
        status: bool = False,
    ) -> None:
        """Merge *patch* into an object (strategic merge), or into its status. Raises as `read`.

        Raises Busy when *patch* has a uid and the object of that name has another.
        """
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


Path = tuple[str, ...]
"""Keys from the root of an object to a part of it."""


class VolumeApi(Api, Protocol):
    """The API server, for who changes PersistentVolumes too."""

    async def list_all(self, kind: Kind, keep: Sequence[Path]) -> list[Object]:
        """Every object of a kind that is in no namespace; of each what *keep* names, as `pruned`.

        All or nothing: an answer that is not whole raises. Raises as `read`.
        """
        ...

    async def patch_volume(self, name: str, patch: Object) -> None:
        """Merge *patch* into a PersistentVolume (JSON merge: lists are replaced).

        With metadata.resourceVersion in it, only into that version of it: raises Busy else.
        Raises as `read`, Precondition when there is no such volume, Invalid for what is immutable.
        """
        ...

    async def delete_volume(self, name: str) -> None:
        """Delete a PersistentVolume; one that is gone is fine. Raises as `read`."""
        ...


def pruned(found: Object, keep: Sequence[Path]) -> Object:
    """The parts of *found* that *keep* names and that are there, where they were. Pure."""
    told: dict[str, Any] = {}
    for path in keep:
        part: Any = found
        for key in path:
            part = part.get(key) if isinstance(part, Mapping) else None
        if part is None:
            continue
        into = told
        for key in path[:-1]:
            into = into.setdefault(key, {})
        into[path[-1]] = part
    return told


class NotConfigured(errors.Precondition):
    """Nothing says where the API server is."""

    def __init__(self) -> None:
        super().__init__(
            "the Kubernetes API is needed, and nothing says where it is: run in a pod, or give "
            "--kubeconfig or KUBECONFIG"
        )


class Nowhere:
    """Stands for an API server where none is configured."""

    async def read(self, kind: Kind, name: str, namespace: str = "") -> Object | None:  # noqa: ARG002
        """Raise NotConfigured."""
        raise NotConfigured

    async def post_event(self, namespace: str, event: Object) -> None:  # noqa: ARG002
        """Raise NotConfigured."""
        raise NotConfigured

    async def patch(
        self,
        kind: Kind,  # noqa: ARG002
        name: str,  # noqa: ARG002
        patch: Object,  # noqa: ARG002
        *,
        namespace: str = "",  # noqa: ARG002
        status: bool = False,  # noqa: ARG002
    ) -> None:
        """Raise NotConfigured."""
        raise NotConfigured

    async def list_all(self, kind: Kind, keep: Sequence[Path]) -> list[Object]:  # noqa: ARG002
        """Raise NotConfigured."""
        raise NotConfigured

    async def patch_volume(self, name: str, patch: Object) -> None:  # noqa: ARG002
        """Raise NotConfigured."""
        raise NotConfigured

    async def delete_volume(self, name: str) -> None:  # noqa: ARG002
        """Raise NotConfigured."""
        raise NotConfigured

    async def close(self) -> None:
        """Nothing is open."""
