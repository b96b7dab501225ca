"""Which disks the cluster has attached to this node, or is about to: what the Node object tells.

kubelet writes `volumesInUse` within ten seconds after a pod came to the node, the controller
`volumesAttached` when the disk is attached. Source: Kubernetes API, NodeStatus; kubelet's
--node-status-update-frequency.
"""

import dataclasses
from collections.abc import Iterator

from core import errors
from csi.lvm.stores import pod_disks
from kube import api

_PREFIX = "kubernetes.io/csi/"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """disk_ids: of pods here. why_unknown: "" = they are all that there are."""

    disk_ids: frozenset[str] = frozenset()
    why_unknown: str = ""


NONE = Attached()


async def read(kubernetes: api.Api, node_name: str) -> Attached:
    """What the Node object tells now; none where there is no Kubernetes."""
    try:
        node = await kubernetes.read(api.Kind.NODE, node_name)
    except api.NotConfigured:
        return NONE
    except errors.Error as e:
        return Attached(why_unknown=str(e))
    if node is None:
        return Attached(why_unknown=f"there is no Node {node_name}")
    return Attached(disk_ids=pod_disks.disks_of(_handles(node)))


def _handles(node: api.Object) -> Iterator[str]:
    """Volume ids in the names `kubernetes.io/csi/DRIVER^VOLUME_ID`. Pure."""
    status = node.get("status") or {}
    names = [*(status.get("volumesInUse") or ())]
    names += [each.get("name") or "" for each in status.get("volumesAttached") or ()]
    for name in names:
        if name.startswith(_PREFIX):
            yield name.partition("^")[2]
