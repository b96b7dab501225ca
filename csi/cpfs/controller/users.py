"""Who uses a file system on a node, as Kubernetes knows it: a channel serves all of them."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from core import errors
from csi.cpfs import handles, node_ids
from kube import api

log = structlog.get_logger()

_ATTACHMENT = (
    ("metadata", "deletionTimestamp"),
    ("spec", "attacher"),
    ("spec", "nodeName"),
    ("spec", "source", "persistentVolumeName"),
)
_VOLUME = (("metadata", "name"), ("spec", "csi", "volumeHandle"))
_NODE = (("metadata", "name"), ("spec", "drivers"))


@dataclasses.dataclass(frozen=True, slots=True)
class Need:
    """Why a channel stays. is_sure: False = nobody knows better."""

    why: str
    is_sure: bool


class Lister(Protocol):
    """What is needed of `kube.api.VolumeApi`."""

    async def list_all(self, kind: api.Kind, keep: Sequence[api.Path]) -> list[api.Object]: ...


class Users:
    """Reads VolumeAttachments of *driver_name*."""

    def __init__(self, kubernetes: Lister, driver_name: str) -> None:
        self._kubernetes = kubernetes
        self._driver_name = driver_name

    async def find(self, file_system_id: str, node: node_ids.NodeId) -> Need | None:
        """Why the node still needs the file system, None when it does not.

        None too where no API server is configured. Raises Unavailable while the API server does
        not answer.
        """
        try:
            nodes = await self._kubernetes.list_all(api.Kind.CSI_NODE, _NODE)
            volumes = await self._kubernetes.list_all(api.Kind.PERSISTENT_VOLUME, _VOLUME)
            # Last: who is published later has an object that is newer than this list.
            attachments = await self._kubernetes.list_all(api.Kind.VOLUME_ATTACHMENT, _ATTACHMENT)
        except api.NotConfigured:
            return None
        except errors.Error as e:
            if e.kind is not errors.Kind.DENIED:
                raise
            log.warning("attachments may not be read", error=str(e))
            return Need(f"nobody may tell who uses it: {e}", is_sure=False)
        return choose_need(
            nodes_of(nodes, self._driver_name, node),
            (each for each in attachments if _spec(each).get("attacher") == self._driver_name),
            volumes,
            file_system_id,
        )


def nodes_of(nodes: Iterable[api.Object], driver_name: str, node: node_ids.NodeId) -> set[str]:
    """Names of CSINodes on which the driver calls itself *node*. Pure."""
    return {
        each["metadata"]["name"]
        for each in nodes
        for driver in _spec(each).get("drivers") or ()
        if (driver.get("name"), driver.get("nodeID")) == (driver_name, str(node))
    }


def choose_need(
    names: set[str],
    attachments: Iterable[api.Object],
    volumes: Iterable[api.Object],
    file_system_id: str,
) -> Need | None:
    """As `Users.find`. names: of the node. attachments: of the driver. Pure."""
    if not names:
        return Need("Kubernetes does not know the node", is_sure=False)
    handle_of = {
        each["metadata"]["name"]: (_spec(each).get("csi") or {}).get("volumeHandle") or ""
        for each in volumes
    }
    for each in attachments:
        is_going = (each.get("metadata") or {}).get("deletionTimestamp")
        if is_going or _spec(each).get("nodeName") not in names:
            continue
        name = (_spec(each).get("source") or {}).get("persistentVolumeName") or ""
        handle = handles.Handle.parse(handle_of.get(name, ""))
        if handle is None or handle.file_system_id == file_system_id:
            return Need(f"PersistentVolume {name} is attached", is_sure=handle is not None)
    return None


def _spec(found: api.Object) -> api.Object:
    return found.get("spec") or {}
