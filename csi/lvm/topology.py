"""Where node-local volumes can be used: on their node alone. Pure."""

import dataclasses
from collections.abc import Mapping, Sequence

from core import errors, settings

HOSTNAME = "kubernetes.io/hostname"
OF_LVMPLUGIN = "topology.lvmplugin.csi.alibabacloud.com/hostname"
"""Key of the older driver's volumes. Source: spec/csi-driver.md 6.1."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """This node: its id, and the topology segment that only it has."""

    node_id: str
    key: str
    value: str

    @property
    def segments(self) -> dict[str, str]:
        """As NodeGetInfo and volumes tell it."""
        return {self.key: self.value}

    def fits(self, segments: Mapping[str, str]) -> bool:
        """Whether *segments* are not those of another node."""
        return segments.get(self.key, self.value) == self.value

    def require_fits(self, terms: Sequence[Mapping[str, str]]) -> None:
        """Raise Exhausted when *terms*, of which one must hold, are all of other nodes."""
        if terms and not any(self.fits(term) for term in terms):
            told = ", ".join(term[self.key] for term in terms)
            raise errors.Exhausted(
                f"the volume is for nodes {told}, and this is {self.value}: "
                "run external-provisioner with --node-deployment on each node"
            )


def read(reader: settings.Reader, *, node_id: str, default_key: str) -> Place:
    """This node. Source: spec/csi-driver.md 6.1, LOCAL_TOPO_KEY_DEFINED, LOCAL_HOSTNAME_AS_TOPO."""
    name = node_id or reader.text("KUBE_NODE_NAME")
    key = reader.text("LOCAL_TOPO_KEY_DEFINED", default_key)
    value = reader.text("LOCAL_HOSTNAME_AS_TOPO") or name
    return Place(node_id=name, key=key, value=value)
