"""Who uses a file system on a node, as Kubernetes knows it: a channel serves all of them."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
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


@dataclasses.dataclass(frozen=True, slots=True)
class Cluster:
    """handles: of PersistentVolumes, by name. node_ids: of the driver, by name of CSINode."""

    handles: Mapping[str, str]
    node_ids: Mapping[str, str]


class Lister(Protocol):
    """What is needed of `kube.api.VolumeApi`."""

    async def list_all(self, kind: api.Kind, keep: Sequence[api.Path]) -> list[api.Object]: ...


class Users:
    """Reads VolumeAttachments of *driver_name*."""

    def __init__(self, kubernetes: Lister, driver_name: str) -> None:
        self._kubernetes = kubernetes
        self._driver_name = driver_name

    def ask(self, file_system_id: str, node: node_ids.NodeId) -> "Question":
        """For one call, which may look several times."""
        return Question(self._kubernetes, self._driver_name, file_system_id, node)


class Question:
    """Whether *node* needs the file system: as `Users` asks. Volumes and nodes are read once."""

    def __init__(
        self, kubernetes: Lister, driver_name: str, file_system_id: str, node: node_ids.NodeId
    ) -> None:
        self._kubernetes = kubernetes
        self._driver_name = driver_name
        self._file_system_id = file_system_id
        self._node = node
        self._cluster: Cluster | None = None

    async def need(self) -> Need | None:
        """Why the node still needs the file system, None when it does not.

        None too where no API server is configured. Raises Unavailable while the API server does
        not answer.
        """
        try:
            return await self._look()
        except api.NotConfigured:
            return None
        except errors.Error as e:
            if e.kind is not errors.Kind.DENIED:
                raise
            log.warning("attachments may not be read", error=str(e))
            return Need(f"nobody may tell who uses it: {e}", is_sure=False)

    async def _look(self) -> Need | None:
        is_first = self._cluster is None
        cluster = self._cluster or await self._read_cluster()
        # Last: who is published later has an object that is newer than this list.
        there = await self._kubernetes.list_all(api.Kind.VOLUME_ATTACHMENT, _ATTACHMENT)
        live = [each for each in there if is_live(each, self._driver_name)]
        if not is_first and not is_known(cluster, live):
            cluster = await self._read_cluster()  # they came since
        self._cluster = cluster
        return choose_need(cluster, live, self._file_system_id, self._node)

    async def _read_cluster(self) -> Cluster:
        nodes = await self._kubernetes.list_all(api.Kind.CSI_NODE, _NODE)
        volumes = await self._kubernetes.list_all(api.Kind.PERSISTENT_VOLUME, _VOLUME)
        return Cluster(
            {
                each["metadata"]["name"]: (_spec(each).get("csi") or {}).get("volumeHandle") or ""
                for each in volumes
            },
            {
                each["metadata"]["name"]: str(driver.get("nodeID") or "")
                for each in nodes
                for driver in _spec(each).get("drivers") or ()
                if driver.get("name") == self._driver_name
            },
        )


def is_live(attachment: api.Object, driver_name: str) -> bool:
    """Whether it is of the driver, and stays. Pure."""
    is_going = (attachment.get("metadata") or {}).get("deletionTimestamp")
    return not is_going and _spec(attachment).get("attacher") == driver_name


def is_known(cluster: Cluster, attachments: Iterable[api.Object]) -> bool:
    """Whether *cluster* has the volumes and the nodes of all *attachments*. Pure."""
    return all(
        _volume_of(each) in cluster.handles and _spec(each).get("nodeName") in cluster.node_ids
        for each in attachments
    )


def choose_need(
    cluster: Cluster,
    attachments: Iterable[api.Object],
    file_system_id: str,
    node: node_ids.NodeId,
) -> Need | None:
    """As `Question.need`. attachments: the live ones of the driver. Pure.

    A node that no CSINode names has left the cluster, or its plug-in is just away: an attachment
    to a node without the driver may be one to it.
    """
    names = {name for name, node_id in cluster.node_ids.items() if node_id == str(node)}
    for each in attachments:
        at = _spec(each).get("nodeName")
        is_elsewhere = at not in names if names else at in cluster.node_ids
        if is_elsewhere:
            continue
        name = _volume_of(each)
        handle = handles.Handle.parse(cluster.handles.get(name, ""))
        if handle is not None and handle.file_system_id != file_system_id:
            continue
        if not names:
            told = f"PersistentVolume {name} is attached to {at}, which may be the node"
            return Need(told, is_sure=False)
        return Need(f"PersistentVolume {name} is attached", is_sure=handle is not None)
    return None


def _volume_of(attachment: api.Object) -> str:
    return (_spec(attachment).get("source") or {}).get("persistentVolumeName") or ""


def _spec(found: api.Object) -> api.Object:
    return found.get("spec") or {}
