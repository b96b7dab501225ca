"""StorageClass parameters that are nobody's wish: what provisioners add by themselves."""

from collections.abc import Mapping

RECLAIM_POLICY = "csi.alibabacloud.com/reclaimPolicy"
_NAMES = frozenset({RECLAIM_POLICY, "csi.alibabacloud.com/storageclassName"})
SIDECAR_PREFIX = "csi.storage.k8s.io/"
_PREFIXES = (
    SIDECAR_PREFIX,
    "volume.kubernetes.io/",
    "volume.beta.kubernetes.io/",
    "pv.kubernetes.io/",
    "kubectl.kubernetes.io/",
)
"""ACK's provisioner passes the PVC's annotations too."""


def wishes(parameters: Mapping[str, str]) -> dict[str, str]:
    """*parameters* without them: what is left is the class's own, or a typing error."""
    return {
        key: text
        for key, text in parameters.items()
        if key not in _NAMES and not key.startswith(_PREFIXES)
    }
