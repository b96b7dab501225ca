"""What a volume tells about itself: volume_context and accessible topology. Pure.

Source: spec/csi-driver.md 2.7 (last lines), appendix D. The prefixed keys are copied to the
PersistentVolume's labels and annotations by ACK's provisioner.
"""

import json
from collections.abc import Mapping

from cloud import ecs_model
from core import errors
from csi import requests
from csi.disk import topology_keys
from csi.disk.controller import category, params, tags

LABEL_PREFIX = "csi.alibabacloud.com/label-prefix/"
ANNOTATION_PREFIX = "csi.alibabacloud.com/annotation-prefix/"
DISK_TYPE_LABEL = "csi.alibabacloud.com/disktype"
TOPOLOGY_ANNOTATION = "csi.alibabacloud.com/volume-topology"
NODE_DISK_TYPE_PREFIX = "node.csi.alibabacloud.com/disktype."


def volume_context(parameters: params.VolumeParameters, disk: ecs_model.Disk) -> dict[str, str]:
    """The volume_context of *disk*, made with *parameters*."""
    told = dict(parameters.context)
    told["type"] = disk.category
    told.pop("performanceLevel", None)
    if disk.performance_level:
        told["performanceLevel"] = disk.performance_level
    told[LABEL_PREFIX + topology_keys.DISK_REGION] = disk.region_id
    if disk.zone_id:
        told[LABEL_PREFIX + topology_keys.DISK_ZONE] = disk.zone_id
    told[LABEL_PREFIX + DISK_TYPE_LABEL] = disk_type(disk.category, disk.performance_level)
    told[ANNOTATION_PREFIX + TOPOLOGY_ANNOTATION] = _node_selector(disk.category)
    return told


def require_room(parameters: params.VolumeParameters, likely: ecs_model.Disk) -> None:
    """Raise InvalidField when the volume_context of a disk like *likely* would be too large.

    Found before a disk is made: no node could ever use it.
    """
    told = volume_context(parameters, likely)
    total = sum(len(key.encode()) + len(text.encode()) for key, text in told.items())
    if total > requests.MAP_MAX_BYTES:
        raise errors.InvalidField(
            "parameters",
            f"make a volume_context of {total} bytes",
            allowed=f"{requests.MAP_MAX_BYTES} bytes",
        )


def disk_type(category_name: str, performance_level: str) -> str:
    """Value of the disktype label, e.g. `cloud_essd.PL1`."""
    level = performance_level or category.of(category_name).default_level
    return f"{category_name}.{level}" if level else category_name


def place(disk: ecs_model.Disk, *, private_topology_key: bool) -> dict[str, str]:
    """Segments of where *disk* is: its zone, or the region for a regional disk."""
    if disk.zone_id:
        return {topology_keys.DISK_ZONE: disk.zone_id}
    key = topology_keys.DISK_REGION if private_topology_key else topology_keys.REGION
    return {key: disk.region_id}


def accessible_topology(
    disk: ecs_model.Disk, *, instance_id: str, private_topology_key: bool
) -> dict[str, str]:
    """Segments a node must have to use *disk*.

    instance_id: the node a single-instance disk was made for. Lingjun segments come from the
    disk's tags, so that a retry tells the same.
    """
    segments = place(disk, private_topology_key=private_topology_key)
    if category.of(disk.category).single_instance and instance_id:
        segments[topology_keys.INSTANCE] = instance_id
    return segments | _lingjun(disk.tags)


def _lingjun(disk_tags: Mapping[str, str]) -> dict[str, str]:
    if disk_tags.get(tags.LINGJUN_PRODUCT) != tags.LINGJUN_PRODUCT_EFLO:
        return {}
    segments = {topology_keys.LINGJUN: "true"}
    if disk_tags.get(tags.LINGJUN_HPN_ZONE):
        segments[topology_keys.LINGJUN_HPN_ZONE] = disk_tags[tags.LINGJUN_HPN_ZONE]
    return segments


def _node_selector(category_name: str) -> str:
    """A Kubernetes NodeSelector in JSON: nodes whose instance type takes the category."""
    expression = {
        "key": NODE_DISK_TYPE_PREFIX + category_name,
        "operator": "In",
        "values": ["available"],
    }
    selector = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return json.dumps(selector, separators=(",", ":"))
