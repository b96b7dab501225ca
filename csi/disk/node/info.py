"""NodeGetInfo: who this node is, where it is, and how many volumes it takes.

Source: spec/csi-driver.md 2.14 and appendix D.
"""

import dataclasses
from collections.abc import Mapping

import structlog

from cloud import metadata as cloud_metadata
from core import errors
from csi.disk import topology_keys
from csi.disk.node import node_settings, volume_limits

log = structlog.get_logger()


_Key = cloud_metadata.Key


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """max_volumes: 0 = the CO decides. segments: empty = no disk can come here."""

    node_id: str
    max_volumes: int
    segments: Mapping[str, str]


class NodeInfoReader:
    """Reads the node's identity. node_id: value of --nodeid, "" = ask the metadata providers."""

    def __init__(
        self,
        settings: node_settings.NodeSettings,
        metadata: cloud_metadata.Metadata,
        limits: volume_limits.NodeLimits,
        *,
        node_id: str,
    ) -> None:
        self._settings = settings
        self._metadata = metadata
        self._limits = limits
        self._node_id = node_id

    def close(self) -> None:
        """Ask no more."""
        self._limits.close()

    async def read(self) -> NodeInfo:
        """This node. Raises Precondition or Unavailable when a part of it is not known (yet)."""
        tell = self._metadata
        node_id = self._node_id or await tell.get(_Key.INSTANCE_ID)
        segments = topology(
            node_id,
            await tell.get(_Key.ZONE_ID),
            await tell.get(_Key.REGION_ID),
            private_key=self._settings.private_topology_key,
        )
        if await tell.find(_Key.LINGJUN_NODE) == "true":
            segments |= lingjun_topology(await tell.find(_Key.LINGJUN_HPN_ZONE))
        max_volumes = self._settings.max_volumes or await self._ask_limits(node_id)
        if max_volumes == 0:
            log.warning("no slot is left for volumes, telling no topology", node_id=node_id)
            segments = {}
        return NodeInfo(node_id=node_id, max_volumes=max_volumes or 0, segments=segments)

    async def _ask_limits(self, node_id: str) -> int | None:
        """What the limits say; a node without that answer still works, so it is no error."""
        try:
            return await self._limits.max_volumes(node_id)
        except errors.Error as e:
            log.warning("number of volumes not known", node_id=node_id, error=str(e))
            return None


def topology(node_id: str, zone_id: str, region_id: str, *, private_key: bool) -> dict[str, str]:
    """Where volumes must be to come to this node.

    private_key: keep out of the standard keys, which a cloud controller manager owns.
    """
    segments = {topology_keys.INSTANCE: node_id, topology_keys.DISK_ZONE: zone_id}
    if private_key:
        return segments | {topology_keys.DISK_REGION: region_id}
    return segments | {topology_keys.ZONE: zone_id, topology_keys.REGION: region_id}


def lingjun_topology(hpn_zone: str) -> dict[str, str]:
    """What a Lingjun machine adds. hpn_zone: "" = not known. Source: spec/csi-driver.md 2.14."""
    return {topology_keys.LINGJUN: "true"} | (
        {topology_keys.LINGJUN_HPN_ZONE: hpn_zone} if hpn_zone else {}
    )
