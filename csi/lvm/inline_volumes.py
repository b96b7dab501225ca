"""Which inline volumes the pods of this node have, as kubelet has written it down. Blocking."""

import json
import pathlib

_FILES = "pods/*/volumes/kubernetes.io~csi/*/vol_data.json"
"""Written before a volume is published, removed after it was unpublished.
Source: Kubernetes pkg/volume/csi, csi_mounter.go, `SetUpAt`."""


def handles(kubelet_root: pathlib.Path) -> frozenset[str] | None:
    """Ids of all CSI volumes of this node's pods; None = that cannot be read."""
    if not (kubelet_root / "pods").is_dir():
        return None
    told: set[str] = set()
    for file in kubelet_root.glob(_FILES):
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:  # unpublished meanwhile
            continue
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict) or not isinstance(found.get("volumeHandle"), str):
            return None
        told.add(found["volumeHandle"])
    return frozenset(told)
