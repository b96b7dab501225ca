"""Directories of general-purpose NAS and their quotas."""

import dataclasses
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim import params as params_module
from sim.nas import behaviour, model, rules, trees
from sim.nas.model import DirQuota

VERSION = "2017-06-26"
_UINT32_MAX = 2**32 - 1
_QUOTA_TYPES = ("Accounting", "Enforcement")
_USER_TYPES = ("AllUsers", "Uid", "Gid")
_GIB = 1024**3


@actions.action(VERSION, "CreateDir")
def create_dir(call: actions.Call) -> dict[str, Any]:
    """A directory with its parents; one that is there stays as it is."""
    cloud, params = call.cloud, call.params
    found = rules.running(rules.file_system(cloud, params.required("FileSystemId"), model.STANDARD))
    path = rules.path("RootDirectory", params.required("RootDirectory"))
    for name in ("OwnerUserId", "OwnerGroupId"):
        params.required(name)
    user_id = params.integer("OwnerUserId", 0, 0, _UINT32_MAX) or 0
    group_id = params.integer("OwnerGroupId", 0, 0, _UINT32_MAX) or 0
    mode = _mode(params)
    kind = trees.kind(cloud, found.file_system_id, path)
    if kind == "File":
        raise errors.ApiError(
            "InvalidParameter.PathIsFile", 400, f"There is a file at {path}, not a directory."
        )
    parent = path.rpartition("/")[0] or "/"
    parents = params.boolean("Recursion", default=True)
    if not parents and not trees.kind(cloud, found.file_system_id, parent):
        raise _no_directory(parent)
    if not kind:
        trees.make(
            cloud,
            found.file_system_id,
            path,
            user_id=user_id,
            group_id=group_id,
            mode=mode,
        )
    return {}


@actions.action(VERSION, "GetDirectoryOrFileProperties")
def get_directory_or_file_properties(call: actions.Call) -> dict[str, Any]:
    """What is at a path; 404 InvalidParameter.DirPathNotExist (**strict**)."""
    cloud, params = call.cloud, call.params
    found = rules.file_system(cloud, params.required("FileSystemId"), model.STANDARD)
    path = rules.path("Path", params.required("Path"))
    kind = trees.kind(cloud, found.file_system_id, path)
    if not kind:
        raise _no_directory(path)
    entry: dict[str, Any] = {"Name": path.rpartition("/")[2], "Type": kind, "Inode": "0"}
    if kind == "Directory":
        entry |= {"HasArchiveFile": False, "HasInfrequentAccessFile": False}
    return {"Entry": entry}


@actions.action(VERSION, "SetDirQuota")
def set_dir_quota(call: actions.Call) -> dict[str, Any]:
    """Set or change a quota; it counts after the world's latency."""
    cloud, params = call.cloud, call.params
    found, path = _place(call)
    if behaviour.of(cloud).refuse_quotas:
        return {"Success": False}
    if not trees.kind(cloud, found.file_system_id, path):
        raise _no_directory(path)
    quota_type = rules.require_one_of("QuotaType", params.required("QuotaType"), _QUOTA_TYPES)
    user_type, user_id = _user(params)
    size_gib = params.integer("SizeLimit", 0, 1) or 0
    file_count = params.integer("FileCountLimit", 0, 1) or 0
    if quota_type == "Enforcement" and not size_gib and not file_count:
        raise errors.missing_parameter("SizeLimit")
    made = DirQuota(
        file_system_id=found.file_system_id,
        path=path,
        user_type=user_type,
        user_id=user_id,
        quota_type=quota_type,
        status="Initializing",
        size_gib=size_gib,
        file_count=file_count,
        due_s=cloud.clock.now_s() + cloud.latency("set_dir_quota"),
    )
    if cloud.store.get(model.DIR_QUOTA, made.key) is None:
        _require_room(cloud, found.file_system_id, path)
    else:
        # A quota that is there is changed at once.
        made = dataclasses.replace(made, status="Normal", due_s=None)
    cloud.store.put(model.DIR_QUOTA, made.key, made.row())
    trees.act(cloud)
    return {"Success": True}


@actions.action(VERSION, "CancelDirQuota")
def cancel_dir_quota(call: actions.Call) -> dict[str, Any]:
    """Remove a quota; 404 InvalidParameter.QuotaNotExistOnPath."""
    cloud, params = call.cloud, call.params
    found, path = _place(call)
    user_type, user_id = _user(params)
    if behaviour.of(cloud).refuse_quotas:
        return {"Success": False}
    key = f"{found.file_system_id}:{path}:{user_type}:{user_id}"
    if cloud.store.get(model.DIR_QUOTA, key) is None:
        raise errors.ApiError(
            "InvalidParameter.QuotaNotExistOnPath", 404, f"There is no such quota on {path}."
        )
    cloud.store.delete(model.DIR_QUOTA, key)
    trees.act(cloud)
    return {"Success": True}


@actions.action(VERSION, "DescribeDirQuotas")
def describe_dir_quotas(call: actions.Call) -> dict[str, Any]:
    """Directories with quotas, all of a file system or one."""
    cloud, params = call.cloud, call.params
    found = rules.file_system(cloud, params.required("FileSystemId"), model.STANDARD)
    wanted = params.text("Path")
    if wanted:
        wanted = rules.path("Path", wanted)
    rows = [DirQuota.from_row(row) for row in cloud.view.all(model.DIR_QUOTA)]
    of_path: dict[str, list[DirQuota]] = {}
    for row in rows:
        if row.file_system_id == found.file_system_id and wanted in ("", row.path):
            of_path.setdefault(row.path, []).append(row)
    page = paging.by_number(params, sorted(of_path))
    return {
        **page.fields,
        "DirQuotaInfos": [_info(cloud, path, of_path[path]) for path in page.items],
    }


def _info(cloud: cloud_module.Cloud, path: str, quotas: list[DirQuota]) -> dict[str, Any]:
    used = trees.usage(cloud, quotas[0].file_system_id, path)
    busy = any(each.status == "Initializing" for each in quotas)
    return {
        "Path": path,
        "DirInode": "0",
        "Status": "Initializing" if busy else "Normal",
        "UserQuotaInfos": [
            {
                "QuotaType": each.quota_type,
                "UserType": each.user_type,
                "UserId": each.user_id,
                "SizeLimit": each.size_gib,
                "FileCountLimit": each.file_count,
                "SizeReal": used.size_bytes // _GIB,
                "SizeRealInByte": used.size_bytes,
                "FileCountReal": used.file_count,
            }
            for each in quotas
        ],
    }


def _place(call: actions.Call) -> tuple[model.FileSystem, str]:
    found = rules.running(
        rules.file_system(call.cloud, call.params.required("FileSystemId"), model.STANDARD)
    )
    return found, rules.path("Path", call.params.required("Path"))


def _user(params: params_module.Params) -> tuple[str, str]:
    user_type = rules.require_one_of("UserType", params.required("UserType"), _USER_TYPES)
    if user_type == "AllUsers":
        return user_type, ""
    params.required("UserId")
    return user_type, str(params.integer("UserId", 0, 0, _UINT32_MAX))


def _mode(params: params_module.Params) -> int:
    text = params.required("Permission")
    if not 3 <= len(text) <= 4 or not set(text) <= set("01234567"):
        raise errors.invalid_parameter("Permission", text, "an octal number such as 0755")
    return int(text, 8)


def _require_room(cloud: cloud_module.Cloud, file_system_id: str, path: str) -> None:
    """Quotas have a number, a depth, and do not nest on one path for the same user."""
    rows = cloud.store.by(model.DIR_QUOTA, "file_system_id", file_system_id)
    paths = {row["path"] for row in rows}
    if path not in paths:
        rules.require_quota(
            len(paths),
            cloud.world.quotas.nas_dir_quotas,
            "OperationDenied.QuotaDirCountExceeded",
            f"directories with a quota on file system {file_system_id}",
        )


def _no_directory(path: str) -> errors.ApiError:
    return errors.ApiError(
        "InvalidParameter.DirPathNotExist", 404, f"The directory {path} does not exist."
    )
