"""Who this node is, and so how it reaches CPFS. Source: spec/csi-driver.md 4.2."""

from typing import Protocol

from cloud import metadata as cloud_metadata
from core import errors
from csi.cpfs import node_ids

_Key = cloud_metadata.Key
Reach = node_ids.Reach


class Metadata(Protocol):
    """What is needed of `cloud.metadata.Metadata`."""

    async def get(self, key: cloud_metadata.Key) -> str: ...

    async def find(self, key: cloud_metadata.Key) -> str | None: ...


class Identity:
    """Reads the node's id. told: value of --nodeid; node_name: of Kubernetes, "" = unknown."""

    def __init__(self, metadata: Metadata, *, told: str, node_name: str) -> None:
        self._metadata = metadata
        self._told = node_ids.NodeId.parse(told)
        self._node_name = node_name or (told if self._told is None else "")

    async def read(self) -> node_ids.NodeId:
        """The node's id. Raises Precondition for a node without a name."""
        if self._told is not None:
            return self._told
        if await self._metadata.find(_Key.LINGJUN_NODE) == "true":
            return node_ids.NodeId(Reach.LINGJUN, await self._metadata.get(_Key.INSTANCE_ID))
        if (await self._metadata.find(_Key.VSC_ENABLED) or "").strip().lower() == "true":
            return node_ids.NodeId(Reach.VSC, await self._metadata.get(_Key.INSTANCE_ID))
        if not self._node_name:
            raise errors.Precondition("the node's name is unknown; set KUBE_NODE_NAME or --nodeid")
        return node_ids.NodeId(Reach.COMMON, self._node_name)
