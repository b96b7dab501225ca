"""StorageClass parameters of CreateVolume, parsed.

Pure. Source: spec/csi-driver.md 2.4. Mutable parameters (VolumeAttributesClass) are in
`csi.disk.mutable_params`. mkfsOptions and its like are the node's: `csi.disk.node_options`.
"""

import dataclasses
import json
from collections.abc import Mapping

from cloud import ecs_model
from core import errors
from csi import class_parameters, node_options, requests, values
from csi.disk import disk_options
from csi.disk.controller import category, tags

VOLUME_SIZE_FLOOR_GIB = 20
"""What `volumeSizeAutoAvailable` raises smaller sizes to. Source: spec/csi-driver.md 2.4."""
SNAPSHOT_ID = "csi.alibabacloud.com/disk-snapshot-id"
ADOPT_DISK_ID = "volume.alibabacloud.com/disk-id"
KMS_KEY_ID = "alibabacloud.com/kms-key-id"
ARNS = "alibabacloud.com/createdisk-arn"
DISK_TAG_PREFIX = "diskTags/"

FS_TYPES: tuple[str, ...] = ("ext4", "ext3", "xfs")

_FOR_THE_NODE = frozenset(
    {"mkfsOptions", "sysConfig", "omitfsck", "readIOPS", "writeIOPS", "readBPS", "writeBPS"}
    | {"dataCacheSize", "dataCacheMode", "readOnly", "readonly", "fsType", "fstype"}
)
_FOR_US = frozenset(
    {"type", "performanceLevel", "zoneId", "zoneid", "regionId", "encrypted", "kmsKeyId"}
    | {KMS_KEY_ID, ARNS, "resourceGroupId", "storageClusterId", "multiAttach", "diskTags"}
    | {"volumeSizeAutoAvailable", "provisionedIops", "burstingEnabled", "restrictToHpnZone"}
    | {"volumeDeleteSnapshotRetentionDays", "volumeExpandAutoSnapshot"}
    | {SNAPSHOT_ID, ADOPT_DISK_ID}
)
_OF_THE_CLASS = "allowVolumeExpansion"
"""A field of the StorageClass that ACK's provisioner passes on; nothing here depends on it."""
_CREATED_FOR = ("pvc/name", "pvc/namespace", "pv/name")
_MULTI_ATTACH = {"true": True, "enabled": True, "": False, "false": False, "disabled": False}
_RETENTION_DAYS_MAX = 65536
_ANY = requests.VolumeCapability(
    access=requests.AccessType.MOUNT, mode=requests.AccessMode.SINGLE_NODE_WRITER
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VolumeParameters:
    """How a volume is to be made.

    categories, performance_levels, zone_ids: tried in this order; no level = the cloud's default.
    region_id, kms_key_id, resource_group_id, storage_cluster_id: "" = not asked for.
    snapshot_id: restore this snapshot, "" = none. adopt_disk_id: take this disk, make none.
    raise_small: sizes under 20 GiB become 20 GiB. tags: the user's, and who it is created for.
    context: parameters to hand to the node in volume_context.
    """

    categories: tuple[str, ...] = category.DEFAULT_TYPES
    performance_levels: tuple[str, ...] = ()
    zone_ids: tuple[str, ...] = ()
    region_id: str = ""
    encrypted: bool = False
    kms_key_id: str = ""
    arns: tuple[ecs_model.Arn, ...] = ()
    resource_group_id: str = ""
    storage_cluster_id: str = ""
    multi_attach: bool = False
    raise_small: bool = False
    provisioned_iops: int | None = None
    bursting_enabled: bool | None = None
    restrict_to_hpn_zone: bool = False
    delete_retention_days: int | None = None
    snapshot_id: str = ""
    adopt_disk_id: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    context: Mapping[str, str] = dataclasses.field(default_factory=dict)


def parse(parameters: Mapping[str, str]) -> VolumeParameters:
    """Parse *parameters*. Raises InvalidField naming the parameter and what is allowed."""
    own = class_parameters.wishes(parameters)
    own.pop(_OF_THE_CLASS, None)
    _require_known(own)
    _check_for_the_node(own)
    storage_cluster_id = own.get("storageClusterId", "")
    levels = values.choices(
        "parameters[performanceLevel]",
        own.get("performanceLevel", ""),
        category.PERFORMANCE_LEVELS,
    )
    if storage_cluster_id and not levels:
        raise errors.InvalidField("parameters[performanceLevel]", "is required by storageClusterId")
    return VolumeParameters(
        categories=parse_types("parameters[type]", own.get("type", "")),
        performance_levels=levels,
        zone_ids=values.words(own.get("zoneId", "") or own.get("zoneid", "")),
        region_id=own.get("regionId", ""),
        encrypted=values.boolean("parameters[encrypted]", own.get("encrypted", "")),
        kms_key_id=own.get(KMS_KEY_ID, "") or own.get("kmsKeyId", ""),
        arns=_parse_arns(own.get(ARNS, "")),
        resource_group_id=own.get("resourceGroupId", ""),
        storage_cluster_id=storage_cluster_id,
        multi_attach=_parse_multi_attach(own.get("multiAttach", "")),
        raise_small=values.boolean(
            "parameters[volumeSizeAutoAvailable]", own.get("volumeSizeAutoAvailable", "")
        ),
        provisioned_iops=_parse_iops(own),
        bursting_enabled=_parse_bursting(own),
        restrict_to_hpn_zone=_parse_restrict(own.get("restrictToHpnZone", "")),
        delete_retention_days=_parse_retention(own),
        snapshot_id=own.get(SNAPSHOT_ID, ""),
        adopt_disk_id=own.get(ADOPT_DISK_ID, ""),
        tags=_parse_tags(own) | _created_for(parameters),
        context=own,
    )


def parse_types(field: str, text: str) -> tuple[str, ...]:
    """Disk categories between commas; none or `available` stands for the defaults."""
    told = values.words(text)
    if not told or told == (category.AVAILABLE,):
        return category.DEFAULT_TYPES
    return tuple(category.require(field, name).name for name in told)


def require_fs_type(field: str, fs_type: str) -> None:
    """Refuse a file system that our nodes cannot make; "" is fine."""
    if fs_type and fs_type.lower() not in FS_TYPES:
        raise errors.InvalidField(
            field, "is not supported", value=fs_type, allowed=", ".join(FS_TYPES)
        )


def _require_known(own: Mapping[str, str]) -> None:
    for key in own:
        if key not in _FOR_US and key not in _FOR_THE_NODE and not key.startswith(DISK_TAG_PREFIX):
            known = sorted(_FOR_US | _FOR_THE_NODE)
            raise errors.InvalidField(
                "parameters",
                "has an unknown key",
                value=key,
                allowed=", ".join(
                    [*known, f"{DISK_TAG_PREFIX}<key>", f"{class_parameters.SIDECAR_PREFIX}*"]
                ),
            )


def _check_for_the_node(own: Mapping[str, str]) -> None:
    """Find faults now that would otherwise show when a pod already waits for its volume."""
    for key in ("fsType", "fstype"):
        require_fs_type(f"parameters[{key}]", own.get(key, ""))
    for key in ("readOnly", "readonly", "omitfsck"):
        values.boolean(f"parameters[{key}]", own.get(key, ""))
    node_options.parse_filesystem(_ANY, own)
    disk_options.parse_sys_config(own.get("sysConfig", ""))
    node_options.parse_io_limits(own)
    if own.get("dataCacheMode") and not own.get("dataCacheSize"):
        raise errors.InvalidField("parameters[dataCacheSize]", "is required by dataCacheMode")


def _parse_arns(text: str) -> tuple[ecs_model.Arn, ...]:
    """Shape: [{"roleType": …, "rolearn": …, "assumeRoleFor": <account id>}], any case."""
    if not text:
        return ()
    field = f"parameters[{ARNS}]"
    try:
        rows = json.loads(text)
        told = []
        for row in rows:
            low = {key.lower().replace("_", ""): value for key, value in row.items()}
            told.append(
                ecs_model.Arn(
                    role_type=str(low["roletype"]),
                    role_arn=str(low["rolearn"]),
                    assume_role_for=int(low["assumerolefor"]),
                )
            )
    except (ValueError, TypeError, AttributeError, KeyError) as e:
        raise errors.InvalidField(
            field,
            "is not a list of roles",
            value=text,
            allowed='[{"roleType": …, "rolearn": …, "assumeRoleFor": <account id>}]',
        ) from e
    return tuple(told)


def _parse_multi_attach(text: str) -> bool:
    try:
        return _MULTI_ATTACH[text.strip().lower()]
    except KeyError as e:
        raise errors.InvalidField(
            "parameters[multiAttach]", "is not known", value=text, allowed="true, Enabled, false"
        ) from e


def _parse_iops(own: Mapping[str, str]) -> int | None:
    text = own.get("provisionedIops", "")
    if not text:
        return None
    return values.integer("parameters[provisionedIops]", text, minimum=0, maximum=values.UINT32_MAX)


def _parse_bursting(own: Mapping[str, str]) -> bool | None:
    text = own.get("burstingEnabled", "")
    return values.boolean("parameters[burstingEnabled]", text) if text else None


def _parse_restrict(text: str) -> bool:
    if text not in ("", "never", "always"):
        raise errors.InvalidField(
            "parameters[restrictToHpnZone]", "is not known", value=text, allowed="never, always"
        )
    return text == "always"


def _parse_retention(own: Mapping[str, str]) -> int | None:
    text = own.get("volumeDeleteSnapshotRetentionDays", "")
    if not text:
        return None
    return values.integer(
        "parameters[volumeDeleteSnapshotRetentionDays]",
        text,
        minimum=1,
        maximum=_RETENTION_DAYS_MAX,
    )


def _parse_tags(own: Mapping[str, str]) -> dict[str, str]:
    """`diskTags` as `k:v,k:v`, overridden by `diskTags/<key>`."""
    told: dict[str, str] = {}
    for pair in values.words(own.get("diskTags", "")):
        key, colon, value = pair.partition(":")
        if not colon:
            raise errors.InvalidField(
                "parameters[diskTags]", "has no colon", value=pair, allowed="key:value,…"
            )
        told[key.strip()] = value.strip()
    for name, value in own.items():
        if name.startswith(DISK_TAG_PREFIX):
            told[name.removeprefix(DISK_TAG_PREFIX)] = value
    for key, value in told.items():
        tags.require_user_tag("parameters[diskTags]", key, value)
    return told


def _created_for(parameters: Mapping[str, str]) -> dict[str, str]:
    """Tags from what the sidecar's --extra-create-metadata tells; they beat the user's."""
    return {
        tags.CREATED_FOR + what: tags.shorten(parameters[class_parameters.SIDECAR_PREFIX + what])
        for what in _CREATED_FOR
        if parameters.get(class_parameters.SIDECAR_PREFIX + what)
    }
