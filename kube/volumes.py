"""PersistentVolumes and the classes they are of. Pure."""

import dataclasses
from collections.abc import Mapping

from kube import api, quantity


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersistentVolume:
    """A volume of a CSI driver. driver: "" = of no CSI driver.

    provisioned_by: the driver whose provisioner made it, "" = somebody wrote it by hand.
    storage_class: "" = none.
    """

    name: str
    driver: str
    volume_id: str
    volume_context: Mapping[str, str]
    capacity_bytes: int
    storage_class: str
    provisioned_by: str


def parse(found: api.Object) -> PersistentVolume:
    """What the object tells. Raises InvalidField for a capacity that is none."""
    metadata, spec = found.get("metadata") or {}, found.get("spec") or {}
    csi = spec.get("csi") or {}
    name = metadata.get("name") or ""
    storage = str((spec.get("capacity") or {}).get("storage") or "0")
    return PersistentVolume(
        name=name,
        driver=csi.get("driver") or "",
        volume_id=csi.get("volumeHandle") or "",
        volume_context=csi.get("volumeAttributes") or {},
        capacity_bytes=quantity.parse(f"PersistentVolume {name} capacity.storage", storage),
        storage_class=spec.get("storageClassName") or "",
        provisioned_by=(metadata.get("annotations") or {}).get("pv.kubernetes.io/provisioned-by")
        or "",
    )


async def read(kubernetes: api.Api, name: str) -> PersistentVolume | None:
    """The volume of that name. Raises as `api.Api.read` and `parse`."""
    found = await kubernetes.read(api.Kind.PERSISTENT_VOLUME, name)
    return None if found is None else parse(found)


async def class_parameters(kubernetes: api.Api, name: str) -> Mapping[str, str] | None:
    """Parameters of a StorageClass; None when there is none, or *name* is "". Raises as `read`."""
    found = await kubernetes.read(api.Kind.STORAGE_CLASS, name) if name else None
    return None if found is None else (found.get("parameters") or {})
