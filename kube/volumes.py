"""PersistentVolumes and the classes they are of. Pure."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from kube import api, quantity


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersistentVolume:
    """A volume of a CSI driver. driver: "" = of no CSI driver.

    provisioned_by: the driver whose provisioner made it, "" = somebody wrote it by hand.
    storage_class: "" = none. affinity: `spec.nodeAffinity`, None = it may be used on any node.
    version: of the object. phase: such as Released. is_going: it is being deleted.
    """

    name: str
    driver: str
    volume_id: str
    volume_context: Mapping[str, str]
    capacity_bytes: int
    storage_class: str
    provisioned_by: str
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    affinity: Mapping[str, Any] | None = None
    version: str = ""
    phase: str = ""
    reclaim_policy: str = ""
    finalizers: tuple[str, ...] = ()
    is_going: bool = False


PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"


def parse(found: api.Object) -> PersistentVolume:
    """What the object tells. Raises InvalidField for a capacity that is none."""
    metadata, spec = found.get("metadata") or {}, found.get("spec") or {}
    csi = spec.get("csi") or {}
    name = metadata.get("name") or ""
    storage = str((spec.get("capacity") or {}).get("storage") or "0")
    annotations = metadata.get("annotations") or {}
    return PersistentVolume(
        name=name,
        driver=csi.get("driver") or "",
        volume_id=csi.get("volumeHandle") or "",
        volume_context=csi.get("volumeAttributes") or {},
        capacity_bytes=quantity.parse(f"PersistentVolume {name} capacity.storage", storage),
        storage_class=spec.get("storageClassName") or "",
        provisioned_by=annotations.get(PROVISIONED_BY) or "",
        annotations=annotations,
        affinity=spec.get("nodeAffinity") or None,
        version=metadata.get("resourceVersion") or "",
        phase=(found.get("status") or {}).get("phase") or "",
        reclaim_policy=spec.get("persistentVolumeReclaimPolicy") or "",
        finalizers=tuple(metadata.get("finalizers") or ()),
        is_going=bool(metadata.get("deletionTimestamp")),
    )


async def read(kubernetes: api.Api, name: str) -> PersistentVolume | None:
    """The volume of that name. Raises as `api.Api.read` and `parse`."""
    found = await kubernetes.read(api.Kind.PERSISTENT_VOLUME, name)
    return None if found is None else parse(found)


async def class_parameters(kubernetes: api.Api, name: str) -> Mapping[str, str] | None:
    """Parameters of a StorageClass; None when there is none, or *name* is "". Raises as `read`."""
    found = await kubernetes.read(api.Kind.STORAGE_CLASS, name) if name else None
    return None if found is None else (found.get("parameters") or {})
