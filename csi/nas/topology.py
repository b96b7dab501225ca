"""Zones of file systems as topology, where the operator wants that: NAS_TOPOLOGY. Pure.

A mount target is reached from every zone of its VPC, so a volume needs no zone, and the reference
tells none. But what crosses zones is slower, and fails with either zone: with NAS_TOPOLOGY pods
stay in the zone of their file system.
"""

from collections.abc import Sequence

from core import errors, settings

ZONE = "topology.kubernetes.io/zone"
KEYS = (ZONE, "topology.diskplugin.csi.alibabacloud.com/zone")
"""Keys under which a request may tell zones."""


def is_wanted(reader: settings.Reader) -> bool:
    """The setting, which controller, nodes and Identity read."""
    return reader.boolean("NAS_TOPOLOGY", default=False)


def require_reachable(zone_id: str, wanted: Sequence[str]) -> None:
    """Raise Exhausted when a file system in *zone_id* is for nodes of other zones."""
    if zone_id and wanted and zone_id not in wanted:
        raise errors.Exhausted(
            f"the file system is in zone {zone_id}, and the volume is for nodes in "
            f"{', '.join(wanted)}; name one there, or set NAS_TOPOLOGY to false"
        )
