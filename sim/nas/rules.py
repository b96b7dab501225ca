"""What NAS actions require before they act; each refusal has the cloud's code. Writes nothing.

Codes: spec/cloud-api.md 4.2, spec/csi-driver.md 9.6; docs/reference/simulator-nas.md marks those
that are ours.
"""

import re
from collections.abc import Sequence

from sim import cloud as cloud_module
from sim import errors
from sim import params as params_module
from sim import world as world_module
from sim.ecs import names
from sim.nas import model

_DESCRIPTION = re.compile(r"[^\W\d_][\w:\-. ]{1,127}")
_PATH_CHARS = re.compile(r"/[\w./-]*", re.ASCII)
_PATH_MAX = 1023


def file_system(cloud: cloud_module.Cloud, file_system_id: str, *types: str) -> model.FileSystem:
    """The file system; 404 InvalidFileSystem.NotFound; of one of *types* when some are given."""
    row = cloud.store.get(model.FILE_SYSTEM, file_system_id)
    if row is None:
        raise errors.ApiError(
            "InvalidFileSystem.NotFound",
            404,
            f"The specified file system {file_system_id} does not exist.",
        )
    found = model.FileSystem.from_row(row)
    if types and found.type not in types:
        raise errors.ApiError(
            "InvalidFileSystemType.NotSupport",
            400,
            f"This operation does not support file systems of type {found.type} "
            f"(supported: {', '.join(types)}).",
        )
    return found


def running(found: model.FileSystem) -> model.FileSystem:
    """*found*, which must be Running; 403 OperationDenied.InvalidState."""
    if found.status != "Running":
        raise errors.ApiError(
            "OperationDenied.InvalidState",
            403,
            f"The file system {found.file_system_id} is {found.status}, expected Running.",
        )
    return found


def mount_target(cloud: cloud_module.Cloud, fs_id: str, domain: str) -> model.MountTarget:
    """The mount target of that file system; 404 InvalidMountTarget.NotFound."""
    row = cloud.store.get(model.MOUNT_TARGET, domain)
    if row is None or row["file_system_id"] != fs_id:
        raise errors.ApiError(
            "InvalidMountTarget.NotFound", 404, f"The mount target {domain} does not exist."
        )
    return model.MountTarget.from_row(row)


def mount_targets(cloud: cloud_module.Cloud, file_system_id: str) -> list[model.MountTarget]:
    """Mount targets of a file system, oldest first."""
    rows = cloud.store.by(model.MOUNT_TARGET, "file_system_id", file_system_id)
    return [model.MountTarget.from_row(row) for row in rows]


def vswitch(cloud: cloud_module.Cloud, vpc_id: str, vswitch_id: str) -> world_module.VSwitch:
    """The vSwitch in that VPC; 404 InvalidVpcId.NotFound, InvalidVSwitchId.NotFound."""
    if cloud.world.vpc(vpc_id) is None:
        raise errors.ApiError(
            "InvalidVpcId.NotFound", 404, f"The specified VPC {vpc_id} does not exist."
        )
    found = cloud.world.vswitch(vswitch_id)
    if found is None or found.vpc_id != vpc_id:
        raise errors.ApiError(
            "InvalidVSwitchId.NotFound",
            404,
            f"The specified VSwitch {vswitch_id} does not exist in {vpc_id}.",
        )
    return found


def access_group(cloud: cloud_module.Cloud, name: str, file_system_type: str) -> model.AccessGroup:
    """The permission group; 404 InvalidAccessGroup.NotFound."""
    kind = model.EXTREME if file_system_type == model.EXTREME else model.STANDARD
    row = cloud.store.get(model.ACCESS_GROUP, f"{kind}/{name}")
    if row is None:
        raise errors.ApiError(
            "InvalidAccessGroup.NotFound",
            404,
            f"The specified AccessGroup {name} does not exist for {kind} file systems.",
        )
    return model.AccessGroup.from_row(row)


def description(params: params_module.Params) -> str:
    """2 to 128 characters from a letter on, no link; 400 InvalidDescription.InvalidFormat."""
    text = params.text("Description")
    if text and (not _DESCRIPTION.fullmatch(text) or text.startswith(("http://", "https://"))):
        raise errors.invalid_parameter(
            "Description",
            text,
            "2 to 128 characters: a letter, then letters, digits, ':', '_', '-'",
            "InvalidDescription.InvalidFormat",
        )
    return text


def path(name: str, text: str, *, code: str = "InvalidParameter") -> str:
    """An absolute path without "." and "..", without a slash at its end but for "/" itself."""
    parts = text.split("/")
    if (
        not _PATH_CHARS.fullmatch(text)
        or len(text) > _PATH_MAX
        or any(part in (".", "..") for part in parts)
    ):
        raise errors.invalid_parameter(
            name, text, "/ and then letters, digits, '_', '-', '.', no '.' or '..' alone", code
        )
    return "/" + "/".join(part for part in parts if part)


def tags(params: params_module.Params) -> dict[str, str]:
    """`Tag.N` of a request that makes something."""
    return names.parse_tags(params.structs("Tag"))


def require_quota(used: int, limit: int, code: str, what: str) -> None:
    """403 *code* when one more would be too many."""
    if used >= limit:
        raise errors.ApiError(code, 403, f"The maximum number of {what} is exceeded: {limit}.")


def require_one_of(name: str, value: str, allowed: Sequence[str], code: str = "") -> str:
    """*value*, one of *allowed*."""
    if value not in allowed:
        raise errors.invalid_parameter(name, value, ", ".join(allowed), code)
    return value
