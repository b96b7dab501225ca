"""Lets PersistentVolumes go that wait for a node which is gone for good.

Each node's provisioner deletes the volumes of its own node alone. A collection on any other node
does it in the place of the one that is gone: see `csi.lvm.deleted_nodes`, which decides.
"""

from collections.abc import Iterable

import structlog

from core import clock, errors
from csi.lvm import deleted_nodes, topology
from kube import api, events
from kube import volumes as kube_volumes

log = structlog.get_logger()

ON_DELETED_NODE = "VolumeOnDeletedNode"


class ReleasedVolumes:
    """Those of *driver_name*. wait_s: least time between the two looks that miss a node.

    One event loop.
    """

    def __init__(
        self,
        *,
        driver_name: str,
        place: topology.Place,
        wait_s: float,
        kubernetes: api.VolumeApi,
        recorder: events.Recorder,
        time: clock.Clock,
    ) -> None:
        self._driver_name = driver_name
        self._place = place
        self._wait_s = wait_s
        self._kubernetes = kubernetes
        self._events = recorder
        self._time = time
        self._gone_since_s: dict[str, float] = {}

    async def let_go(self, found: Iterable[api.Object]) -> None:
        """Let those of *found* go that wait for a node which two calls did not find."""
        waiting = [
            volume
            for volume in map(kube_volumes.parse, found)
            if deleted_nodes.is_waiting(volume, self._driver_name)
        ]
        if self._place.value != self._place.node_id:
            return  # what volumes tell is not the name of a node
        gone: dict[str, float] = {}
        try:
            for volume in waiting:
                if await self._is_gone(volume):
                    now_s = self._time.monotonic_s()
                    since_s = self._gone_since_s.get(volume.name, now_s)
                    gone[volume.name] = since_s
                    if now_s - since_s >= self._wait_s:
                        await self._let_go(volume)
        except errors.Error as e:
            log.warning("volumes of deleted nodes are not looked at", error=str(e))
            return
        self._gone_since_s = gone

    async def _is_gone(self, volume: kube_volumes.PersistentVolume) -> bool:
        told = deleted_nodes.nodes(volume, (self._place.key, topology.HOSTNAME))
        if not told or self._place.value in told:
            return False
        for name in (self._place.node_id, *told):
            node = await self._kubernetes.read(api.Kind.NODE, name)
            # Our own must be there, or names mean something else; those told must not be.
            if (node is None) != (name in told):
                return False
        return True

    async def _let_go(self, volume: kube_volumes.PersistentVolume) -> None:
        await self._kubernetes.patch_volume(volume.name, deleted_nodes.release(volume))
        await self._kubernetes.delete_volume(volume.name)
        self._events.warn(
            events.volume(volume.name),
            ON_DELETED_NODE,
            f"volume {volume.volume_id} was on a node that the cluster no longer has, and its "
            "claim is gone: the PersistentVolume is deleted, and what was on the node stays there",
        )
