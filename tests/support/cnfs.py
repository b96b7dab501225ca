"""ContainerNetworkFileSystem and PersistentVolume objects, as other programs leave them."""

from typing import Any

from tests.support import api_server

_GROUP = "storage.alibabacloud.com"
_PLURAL = f"containernetworkfilesystems.{_GROUP}"
_DRIVER = "nasplugin.csi.alibabacloud.com"


def install(kubernetes: api_server.ApiServer) -> None:
    """Make the kind known to *kubernetes*; its real definition is the storage operator's."""
    version = {
        "name": "v1beta1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        },
    }
    names = {"kind": "ContainerNetworkFileSystem", "plural": "containernetworkfilesystems"}
    kubernetes.kubectl.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": _PLURAL},
            "spec": {
                "group": _GROUP,
                "scope": "Cluster",
                "names": names,
                "versions": [version],
            },
        }
    )
    kubernetes.kubectl.wait("crd", _PLURAL, "condition=Established", limit_s=60)


def cnfs(name: str, *, fallback: str = "", strategy: str = "", **told: str) -> dict[str, Any]:
    """An object for NAS. told: its `fsAttributes`."""
    more = {"fallback": {"name": fallback, "strategy": strategy}} if fallback else {}
    return {
        "apiVersion": f"{_GROUP}/v1beta1",
        "kind": "ContainerNetworkFileSystem",
        "metadata": {"name": name},
        "spec": {"type": "nas", **more},
        "status": {"status": "Available", "fsAttributes": told},
    }


def persistent_volume(name: str, *, storage_class: str = "old", **told: str) -> dict[str, Any]:
    """A volume of NAS as the existing driver's provisioner left it. told: its attributes."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": _DRIVER}},
        "spec": {
            "capacity": {"storage": "20Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": storage_class,
            "persistentVolumeReclaimPolicy": "Delete",
            "csi": {"driver": _DRIVER, "volumeHandle": name, "volumeAttributes": told},
        },
    }
