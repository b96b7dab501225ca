"""Reading the StorageClass parameters of CreateVolume.

Pure. Source: spec/csi-driver.md 3.1 to 3.5. The table of all keys is docs/reference/nas.md.
"""

import dataclasses
import re
from collections.abc import Mapping

from cloud import nas_model
from core import errors
from csi import class_parameters, values
from csi.nas import clients, cnfs, layout, paths, server
from csi.nas.controller import params

_SYSCTL = re.compile(r"bdi/read_ahead_kb=\d{1,9}")
_MODE = re.compile(r"0?[0-7]{3,4}")
_PERMISSION = re.compile(r"0?[0-7]{3}")
"""NAS wants four digits of which the first is 0. Source: the SDK's CreateAccessPointRequest."""
_MODE_TYPES = ("non-recursive", "recursive")
_MOUNT_TYPES = ("losetup",)
"""Not the reference's `skipmount`: pods would write to their node's own disk; nodes refuse it."""
_PROTOCOLS = tuple(each.value for each in clients.Protocol if each)
_UINT32_MAX = 2**32 - 1
_EXTREME_STORAGE = ("standard", "advance")
_STANDARD_STORAGE = ("Performance", "Capacity", "Premium")
DEFAULT_ACCESS_GROUP = "DEFAULT_VPC_GROUP_NAME"

_COMMON = frozenset({"volumeAs", "mode", "modeType", "options", "sysConfig"})
_QUOTA = frozenset({"volumeCapacity", "allowVolumeExpansion"})
_SHARED = _COMMON | {cnfs.KEY, "server", "path", "fileSystemId", "mountProtocol", "mountType"}
KNOWN: Mapping[params.VolumeAs, frozenset[str]] = {
    params.VolumeAs.SUBPATH: _SHARED | _QUOTA | {"archiveOnDelete"},
    params.VolumeAs.SHAREPATH: _SHARED | _QUOTA,
    params.VolumeAs.FILESYSTEM: _COMMON
    | _QUOTA
    | {"fileSystemType", "storageType", "protocolType", "encryptType", "kmsKeyId", "snapshotID"}
    | {"zoneId", "zoneid", "networkType", "vpcId", "vSwitchId", "accessGroupName"}
    | {"regionId", "description", "deleteVolume", "resourceGroupId"},
    params.VolumeAs.ACCESSPOINT: _COMMON
    | _QUOTA
    | {cnfs.KEY, "fileSystemId", "vpcId", "vSwitchId", "path"}
    | {"accessGroupName", "accessGroup"}
    | {"accesspointEnableRam", "accesspointOwnerGroupId", "accesspointOwnerUserId"}
    | {"accesspointPermission", "accesspointPosixUserId", "accesspointPosixGroupId"}
    | {"accesspointPosixSecondaryGroupIds"},
}
"""Parameters of each kind of volume. The values of `cnfs.KEY` are among the others already."""


def parse(parameters: Mapping[str, str]) -> params.Parameters:
    """Parse *parameters*. Raises InvalidField naming the parameter and what is allowed."""
    own = class_parameters.wishes(parameters)
    volume_as = _volume_as(own.get("volumeAs", ""))
    _require_known(own, volume_as)
    common = params.Common(volume_as=volume_as, context=_common_context(own, volume_as))
    match volume_as:
        case params.VolumeAs.SUBPATH:
            return _subpath(own, common)
        case params.VolumeAs.SHAREPATH:
            return _sharepath(own, common, parameters.get(class_parameters.RECLAIM_POLICY, ""))
        case params.VolumeAs.FILESYSTEM:
            return _filesystem(own, common)
        case params.VolumeAs.ACCESSPOINT:
            return _accesspoint(own, common)


def _subpath(own: Mapping[str, str], common: params.Common) -> params.SubpathParameters:
    mount_type = _choice(own, "mountType", "", _MOUNT_TYPES)
    return params.SubpathParameters(
        volume_as=common.volume_as,
        context=common.context,
        places=_places(own),
        file_system_id=own.get("fileSystemId", ""),
        archive=_boolean(own, "archiveOnDelete", default="true"),
        # An image is as large as the volume by itself.
        quota=_wants_quota(own) and mount_type != "losetup",
    )


def _sharepath(
    own: Mapping[str, str], common: params.Common, reclaim: str
) -> params.SharepathParameters:
    if reclaim not in ("", "Retain"):
        raise errors.InvalidField(
            f"parameters[{class_parameters.RECLAIM_POLICY}]",
            "does not go with volumeAs=sharepath, whose directory belongs to nobody alone",
            value=reclaim,
            allowed="Retain",
        )
    return params.SharepathParameters(
        volume_as=common.volume_as,
        context=common.context,
        places=_places(own),
        file_system_id=own.get("fileSystemId", ""),
    )


def _filesystem(own: Mapping[str, str], common: params.Common) -> params.FilesystemParameters:
    kind = nas_model.FileSystemType(
        _choice(own, "fileSystemType", "standard", ("standard", "extreme"))
    )
    extreme = kind is nas_model.FileSystemType.EXTREME
    _choice(own, "protocolType", "NFS", ("NFS",))
    _choice(own, "networkType", "vpc", ("vpc", "VPC", "Vpc"))
    storage_type = (
        _choice(own, "storageType", "standard", _EXTREME_STORAGE)
        if extreme
        else _choice(own, "storageType", "Performance", _STANDARD_STORAGE)
    )
    encrypt_type = values.integer(
        "parameters[encryptType]", own.get("encryptType") or "0", minimum=0, maximum=2
    )
    kms_key_id = own.get("kmsKeyId", "")
    if (encrypt_type == _OWN_KEY) != bool(kms_key_id):
        raise errors.InvalidField(
            "parameters[kmsKeyId]", "belongs to encryptType 2", value=kms_key_id
        )
    return params.FilesystemParameters(
        volume_as=common.volume_as,
        context=common.context,
        type=kind,
        storage_type=storage_type,
        zone_id=own.get("zoneId", "") or own.get("zoneid", ""),
        vpc_id=_required(own, "vpcId"),
        vswitch_ids=values.words(_required(own, "vSwitchId")),
        access_group=own.get("accessGroupName", "") or DEFAULT_ACCESS_GROUP,
        encrypt_type=encrypt_type,
        kms_key_id=kms_key_id,
        description=own.get("description", ""),
        snapshot_id=own.get("snapshotID", ""),
        resource_group_id=own.get("resourceGroupId", ""),
        delete=_boolean(own, "deleteVolume", default="false"),
    )


_OWN_KEY = 2
"""EncryptType of a key of the user's own. Source: NAS API, CreateFileSystem."""


def _accesspoint(own: Mapping[str, str], common: params.Common) -> params.AccesspointParameters:
    secondary = values.words(own.get("accesspointPosixSecondaryGroupIds", ""))
    permission = own.get("accesspointPermission", "")
    if permission and not _PERMISSION.fullmatch(permission):
        raise errors.InvalidField(
            "parameters[accesspointPermission]",
            "is not a permission",
            value=permission,
            allowed="three octal digits, also with 0 before them, such as 0755",
        )
    return params.AccesspointParameters(
        volume_as=common.volume_as,
        context=common.context,
        file_system_id=_required(own, "fileSystemId"),
        vpc_id=_required(own, "vpcId"),
        vswitch_id=_required(own, "vSwitchId"),
        path=paths.parse("parameters[path]", own.get("path", "") or "/"),
        access_group=own.get("accessGroupName", "")
        or own.get("accessGroup", "")
        or DEFAULT_ACCESS_GROUP,
        ram_enabled=_boolean(own, "accesspointEnableRam", default="false"),
        owner_user_id=_number(own, "accesspointOwnerUserId") or 0,
        owner_group_id=_number(own, "accesspointOwnerGroupId") or 0,
        permission=permission and permission.zfill(4),
        posix_user_id=_number(own, "accesspointPosixUserId"),
        posix_group_id=_number(own, "accesspointPosixGroupId"),
        posix_secondary_group_ids=tuple(
            values.integer(
                "parameters[accesspointPosixSecondaryGroupIds]",
                word,
                minimum=0,
                maximum=_UINT32_MAX,
            )
            for word in secondary
        ),
        quota=_wants_quota(own),
    )


def _places(own: Mapping[str, str]) -> tuple[server.Place, ...]:
    """Servers of *own*; `path` goes between a server's base and the volume."""
    places = server.parse_list("parameters[server]", _required(own, "server"))
    if own.get("path"):
        below = paths.parse("parameters[path]", own["path"])
        places = tuple(
            dataclasses.replace(place, base=paths.join(place.base, below.strip("/")))
            for place in places
        )
    for place in places:
        if layout.RECORDS in place.base.split("/"):
            raise errors.InvalidField(
                "parameters[server]",
                "lies among the records of other volumes",
                value=place.export,
                allowed=f"a directory that is not in {layout.RECORDS}",
            )
    return places


def _common_context(own: Mapping[str, str], volume_as: params.VolumeAs) -> dict[str, str]:
    """What the node is told as it was given. Checked here: a bad class should fail at once."""
    mode = own.get("mode", "")
    if mode and not _MODE.fullmatch(mode):
        raise errors.InvalidField(
            "parameters[mode]", "is not a file mode", value=mode, allowed="such as 0755"
        )
    _choice(own, "modeType", "non-recursive", _MODE_TYPES)
    config = own.get("sysConfig", "")
    if config and not _SYSCTL.fullmatch(config):
        raise errors.InvalidField(
            "parameters[sysConfig]",
            "is not allowed",
            value=config,
            allowed="bdi/read_ahead_kb=<number>",
        )
    protocol = _choice(own, "mountProtocol", "", _PROTOCOLS)
    if own.get("mountType") and protocol not in ("", clients.Protocol.NFS):
        raise errors.InvalidField(
            "parameters[mountType]",
            f"does not go with mountProtocol {protocol}",
            value=own["mountType"],
            allowed="mountProtocol nfs",
        )
    told = ("mode", "modeType", "options", "sysConfig", "mountProtocol", "mountType", cnfs.KEY)
    context = {"volumeAs": volume_as.value}
    return context | {key: own[key] for key in told if own.get(key)}


def _volume_as(text: str) -> params.VolumeAs:
    try:
        return params.VolumeAs(text or params.VolumeAs.SUBPATH)
    except ValueError as e:
        raise errors.InvalidField(
            "parameters[volumeAs]", "is not known", value=text, allowed=", ".join(params.VolumeAs)
        ) from e


def _require_known(own: Mapping[str, str], volume_as: params.VolumeAs) -> None:
    for key in sorted(own):
        if key not in KNOWN[volume_as]:
            raise errors.InvalidField(
                f"parameters[{key}]",
                f"is not a parameter of volumeAs={volume_as}",
                value=own[key],
                allowed=", ".join(sorted(KNOWN[volume_as])),
            )


def _wants_quota(own: Mapping[str, str]) -> bool:
    wanted = [_boolean(own, key, default="false") for key in sorted(_QUOTA)]
    return any(wanted)


def _required(own: Mapping[str, str], key: str) -> str:
    if not own.get(key):
        raise errors.InvalidField(f"parameters[{key}]", "is required")
    return own[key]


def _choice(own: Mapping[str, str], key: str, default: str, allowed: tuple[str, ...]) -> str:
    text = own.get(key, "") or default
    if text and text not in allowed:
        raise errors.InvalidField(
            f"parameters[{key}]", "is not known", value=text, allowed=", ".join(allowed)
        )
    return text


def _boolean(own: Mapping[str, str], key: str, *, default: str) -> bool:
    return values.boolean(f"parameters[{key}]", own.get(key, "") or default)


def _number(own: Mapping[str, str], key: str) -> int | None:
    text = own.get(key, "")
    if not text:
        return None
    return values.integer(f"parameters[{key}]", text, minimum=0, maximum=_UINT32_MAX)
