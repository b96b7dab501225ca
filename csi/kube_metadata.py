"""The Node object and the cluster's profile as sources of metadata.

Source: spec/csi-driver.md 1.7.
"""

from collections.abc import Mapping, Sequence

from cloud import metadata
from core import errors, settings
from kube import api, nodes
from kube import settings as kube_settings

Key = metadata.Key

_LINGJUN = (Key.LINGJUN_NODE, Key.LINGJUN_HPN_ZONE)
_WHERE = (Key.REGION_ID, Key.ZONE_ID, Key.INSTANCE_ID)
_ECS = "i-"
"""What ids of ECS instances begin with; those of Lingjun machines do not."""
_PROFILE = ("ack-cluster-profile", "kube-system")
"""Name and namespace of the ConfigMap that ACK keeps in every cluster."""


class NodeProvider:
    """The Node object of this machine. instance_label: names the instance, "" = the usual ones."""

    name = "Node object"
    keys = frozenset({*_WHERE, Key.INSTANCE_TYPE, *_LINGJUN})

    def __init__(self, kubernetes: api.Api, node_name: str, *, instance_label: str) -> None:
        self._kubernetes = kubernetes
        self._node_name = node_name
        self._instance_label = instance_label
        self._facts: Mapping[Key, str] | None = None

    async def read(self, key: Key, known: Mapping[Key, str]) -> str | None:
        """Value of *key*; an ECS instance is no Lingjun machine, whatever the object says.

        The object is read until it tells where the machine is, which then does not change:
        kubelet makes it, and the cloud's controller fills it in later.
        """
        if key in _LINGJUN and known.get(Key.INSTANCE_ID, "").startswith(_ECS):
            return None
        facts = self._facts
        if facts is None:
            facts = await self._read()
            self._facts = facts if all(facts[each] for each in _WHERE) else None
        return facts.get(key) or None

    async def _read(self) -> Mapping[Key, str]:
        found = await self._kubernetes.read(api.Kind.NODE, self._node_name)
        if found is None:
            raise errors.NotFound(f"there is no Node {self._node_name}; see KUBE_NODE_NAME")
        facts = nodes.parse(found, instance_label=self._instance_label)
        return {
            Key.REGION_ID: facts.region_id,
            Key.ZONE_ID: facts.zone_id,
            Key.INSTANCE_ID: facts.instance_id,
            Key.INSTANCE_TYPE: facts.instance_type,
            Key.LINGJUN_NODE: "true" if facts.is_lingjun else "",
            Key.LINGJUN_HPN_ZONE: facts.hpn_zone,
        }


class ProfileProvider:
    """The profile of the cluster."""

    name = "cluster profile"
    keys = frozenset({Key.CLUSTER_ID})

    def __init__(self, kubernetes: api.Api) -> None:
        self._kubernetes = kubernetes

    async def read(self, key: Key, known: Mapping[Key, str]) -> str | None:  # noqa: ARG002
        """The cluster's id; None in a cluster without the profile, or that shows it to nobody."""
        try:
            found = await self._kubernetes.read(api.Kind.CONFIG_MAP, *_PROFILE)
        except errors.Denied:
            return None
        data = (found or {}).get("data") or {}
        return data.get("clusterid") or None


def providers(
    kubernetes: api.Api, config: kube_settings.KubeSettings, reader: settings.Reader
) -> Sequence[metadata.MetadataProvider]:
    """The sources that *config* gives."""
    label = reader.text("NODE_LABEL_ECS_ID_KEY")  # shown by --print-settings in any case
    if not config.is_configured:
        return ()
    profile = ProfileProvider(kubernetes)
    if not config.node_name:
        return (profile,)
    return (NodeProvider(kubernetes, config.node_name, instance_label=label), profile)
