"""PersistentVolumes that wait to be deleted, of nodes that the cluster no longer has. Pure.

Each node's provisioner deletes the volumes of its own node alone. The reference's central
controller answered OK for a node that was gone, and told of it.
Source: spec/csi-driver.md 6.1, Delete, and external-provisioner, `VolumeIsAccessible`.
"""

from collections.abc import Collection
from typing import Any

from kube import volumes as kube_volumes

FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
"""By which a PersistentVolume waits for DeleteVolume."""
_WAITING = ("Released", "Failed")


def is_waiting(volume: kube_volumes.PersistentVolume, driver_name: str) -> bool:
    """Whether nothing but a DeleteVolume of *driver_name* is missing for *volume* to go."""
    return (
        (volume.driver, volume.provisioned_by) == (driver_name, driver_name)
        and volume.phase in _WAITING
        and volume.reclaim_policy == "Delete"
        and not (volume.is_going and FINALIZER not in volume.finalizers)
    )


def nodes(volume: kube_volumes.PersistentVolume, keys: Collection[str]) -> frozenset[str]:
    """The nodes that alone may use *volume*; none = that is not said by *keys* and nothing else."""
    required = (volume.affinity or {}).get("required") or {}
    found: set[str] = set()
    for term in required.get("nodeSelectorTerms") or ():
        told = list(term.get("matchExpressions") or ())
        if len(told) != 1 or term.get("matchFields"):
            return frozenset()
        key, operator = told[0].get("key"), told[0].get("operator")
        if key not in keys or operator != "In":
            return frozenset()
        found |= set(told[0].get("values") or ())
    return frozenset(found)


def release(volume: kube_volumes.PersistentVolume) -> dict[str, Any]:
    """The patch after which *volume* waits for no DeleteVolume; only of what was read."""
    left = [each for each in volume.finalizers if each != FINALIZER]
    return {"metadata": {"resourceVersion": volume.version, "finalizers": left}}
