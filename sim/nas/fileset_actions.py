"""Filesets of CPFS and CPFS for Lingjun, and their quotas.

Codes are those of the API pages of CreateFileset, DeleteFileset, ModifyFileset and
CancelFilesetQuota; SetFilesetQuota's page is taken to be like the last one's.
"""

import dataclasses
import re
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim import params as params_module
from sim.nas import model, rules, trees, view
from sim.nas.model import Fileset

VERSION = "2017-06-26"
_GIB = 1024**3
_MIN_SIZE_GIB = 10
_FILES = (10_000, 10_000_000_000)
_MAX_DEPTH = 8
_PATH_LENGTHS = range(2, 1025)
_DESCRIPTION = re.compile(r"[^\W\d_][\w:-]{1,127}")
_IDS_MAX = 10
_MOST_OF_CPFS = 10
_UNKNOWN_TO_QUOTAS = "InvalidFilesetId.NotFound"
_FILTERS = ("FsetIds", "FileSystemPath", "Description", "QuotaExists")


@actions.action(VERSION, "CreateFileset", idempotent=True)
def create_fileset(call: actions.Call) -> dict[str, Any]:
    """A fileset at a new path, CREATED after the world's latency."""
    cloud, params = call.cloud, call.params
    found = _file_system(call)
    path = _path(cloud, params, found)
    size_bytes, file_count = _quota(params, "Quota.")
    if (size_bytes or file_count) and found.type != model.BMCPFS:
        raise errors.invalid_parameter("Quota", "given", "CPFS for Lingjun (bmcpfs-…) only")
    most = cloud.world.quotas.cpfs_filesets
    rules.require_quota(
        len(_live(cloud, found.file_system_id)),
        most if found.type == model.BMCPFS else min(most, _MOST_OF_CPFS),
        "OperationDenied.TooManyFilesets",
        f"filesets of file system {found.file_system_id}",
    )
    text = _description(params)
    if params.boolean("DryRun"):
        return {"FsetId": ""}
    now_s = cloud.clock.now_s()
    made = Fileset(
        fileset_id=cloud.ids.new("fset"),
        file_system_id=found.file_system_id,
        path=path,
        status="CREATING",
        creation_time=cloud.clock.timestamp(now_s),
        update_time=cloud.clock.timestamp(now_s),
        description=text,
        size_bytes=size_bytes,
        file_count=file_count,
        deletion_protection=bool(params.boolean("DeletionProtection", default=False)),
        due_s=now_s + cloud.latency("create_fileset"),
    )
    cloud.store.put(model.FILESET, made.fileset_id, made.row())
    trees.make(cloud, found.file_system_id, path.rstrip("/"), mode=0o777)
    trees.act(cloud)
    return {"FsetId": made.fileset_id}


@actions.action(VERSION, "DescribeFilesets")
def describe_filesets(call: actions.Call) -> dict[str, Any]:
    """Filesets of a file system that fit every filter."""
    cloud, params = call.cloud, call.params
    found = _file_system(call)
    if params.text("OrderByField"):
        raise errors.invalid_parameter("OrderByField", params.text("OrderByField"), "not offered")
    filters = _filters(params)
    rows = [Fileset.from_row(row) for row in cloud.view.all(model.FILESET)]
    fits = [
        row for row in rows if row.file_system_id == found.file_system_id and _fits(row, filters)
    ]
    page = paging.by_token(params, fits, lambda row: row.fileset_id, default=20)
    return {
        **page.fields,
        "FileSystemId": found.file_system_id,
        "Entries": {"Entrie": [view.fileset(cloud, row) for row in page.items]},
    }


@actions.action(VERSION, "ModifyFileset", idempotent=True)
def modify_fileset(call: actions.Call) -> dict[str, Any]:
    """Change description and protection."""
    cloud, params = call.cloud, call.params
    found = _require(call)
    text = _description(params)
    if params.boolean("DryRun"):
        return {}
    changed = dataclasses.replace(
        found,
        description=text or found.description,
        deletion_protection=bool(
            params.boolean("DeletionProtection", default=found.deletion_protection)
        ),
        update_time=cloud.clock.timestamp(),
    )
    cloud.store.put(model.FILESET, found.fileset_id, changed.row())
    return {}


@actions.action(VERSION, "SetFilesetQuota", idempotent=True)
def set_fileset_quota(call: actions.Call) -> dict[str, Any]:
    """Set or change the limits; one that is not named is not limited."""
    cloud, params = call.cloud, call.params
    _require_lingjun(call)
    found = _require(call, status=400, code=_UNKNOWN_TO_QUOTAS)
    size_bytes, file_count = _quota(params, "")
    if not size_bytes and not file_count:
        raise errors.missing_parameter("SizeLimit or FileCountLimit, at least one of both")
    if not params.boolean("DryRun"):
        _put_quota(cloud, found, size_bytes, file_count)
    return {}


@actions.action(VERSION, "CancelFilesetQuota", idempotent=True)
def cancel_fileset_quota(call: actions.Call) -> dict[str, Any]:
    """Remove the limits."""
    _require_lingjun(call)
    found = _require(call, status=400, code=_UNKNOWN_TO_QUOTAS)
    if not call.params.boolean("DryRun"):
        _put_quota(call.cloud, found, 0, 0)
    return {}


@actions.action(VERSION, "DeleteFileset", idempotent=True)
def delete_fileset(call: actions.Call) -> dict[str, Any]:
    """Delete a fileset with its files; gone after the world's latency.

    Only while every fileset of the file system is CREATED.
    """
    cloud = call.cloud
    found = _require(call)
    if found.deletion_protection:
        raise errors.ApiError(
            "InvalidOperation.DeletionProtection",
            403,
            f"The fileset {found.fileset_id} is protected from deletion.",
        )
    exports = cloud.store.by(model.EXPORT, "fileset_id", found.fileset_id)
    if exports:
        raise errors.ApiError(
            "OperationDenied.DependencyViolation",
            403,
            f"The fileset is exported as {exports[0]['export_id']}; delete that first.",
        )
    for row in _live(cloud, found.file_system_id):
        if row.status != "CREATED":
            raise errors.ApiError(
                "OperationDenied.InvalidState",
                403,
                f"The fileset {row.fileset_id} is {row.status}; all must be CREATED.",
            )
    if call.params.boolean("DryRun"):
        return {}
    due_s = cloud.clock.now_s() + cloud.latency("delete_fileset")
    gone = dataclasses.replace(found, status="RELEASING", due_s=due_s)
    cloud.store.put(model.FILESET, found.fileset_id, gone.row())
    return {}


def _file_system(call: actions.Call) -> model.FileSystem:
    return rules.running(
        rules.file_system(
            call.cloud, call.params.required("FileSystemId"), model.CPFS, model.BMCPFS
        )
    )


def _require_lingjun(call: actions.Call) -> None:
    rules.file_system(call.cloud, call.params.required("FileSystemId"), model.BMCPFS)


def _live(cloud: cloud_module.Cloud, file_system_id: str) -> list[Fileset]:
    """Filesets that are there; those that are RELEASED are told of and no more."""
    rows = cloud.store.by(model.FILESET, "file_system_id", file_system_id)
    return [Fileset.from_row(row) for row in rows if row["status"] != "RELEASED"]


def _require(
    call: actions.Call, *, status: int = 404, code: str = "InvalidFsetId.NotFound"
) -> Fileset:
    """The fileset, which is there."""
    found = _file_system(call)
    fileset_id = call.params.required("FsetId")
    for row in _live(call.cloud, found.file_system_id):
        if row.fileset_id == fileset_id:
            return row
    raise errors.ApiError(code, status, f"The fileset {fileset_id} does not exist.")


def _description(params: params_module.Params) -> str:
    """As CreateFileset has it: no blanks, no dots."""
    text = rules.description(params)
    if text and not _DESCRIPTION.fullmatch(text):
        raise errors.invalid_parameter(
            "Description",
            text,
            "2 to 128 characters: a letter, then letters, digits, ':', '_', '-'",
            "InvalidDescription.InvalidFormat",
        )
    return text


def _path(cloud: cloud_module.Cloud, params: params_module.Params, found: model.FileSystem) -> str:
    text = params.required("FileSystemPath")
    if not text.endswith("/") or len(text) not in _PATH_LENGTHS:
        raise errors.ApiError(
            "InvalidFilesetPath.InvalidParameter",
            404,
            f"The path {text} is invalid: 2 to 1024 characters, with / at both ends.",
        )
    path = rules.path("FileSystemPath", text)
    if path.count("/") > _MAX_DEPTH:
        raise errors.ApiError(
            "OperationDenied.TooManyDepths", 403, f"{text} has more than {_MAX_DEPTH} levels."
        )
    for row in _live(cloud, found.file_system_id):
        if row.path == f"{path}/":
            continue
        if f"{path}/".startswith(row.path) or row.path.startswith(f"{path}/"):
            raise errors.ApiError(
                "OperationDenied.NestedDir",
                403,
                f"{text} and the fileset {row.fileset_id} would be one inside the other.",
            )
    parent = path.rpartition("/")[0] or "/"
    if not trees.kind(cloud, found.file_system_id, parent):
        raise errors.ApiError(
            "InvalidFileSystemPath.ParentNotFound", 404, f"The directory {parent} does not exist."
        )
    if trees.kind(cloud, found.file_system_id, path):
        raise errors.ApiError(
            "OperationDenied.AlreadyExists", 403, f"There is something at {text} already."
        )
    return f"{path}/"


def _quota(params: params_module.Params, prefix: str) -> tuple[int, int]:
    size_bytes = params.integer(f"{prefix}SizeLimit", 0, _MIN_SIZE_GIB * _GIB) or 0
    if size_bytes % _GIB:
        raise errors.invalid_parameter(
            f"{prefix}SizeLimit", str(size_bytes), "bytes of whole GiB, 10 GiB at least"
        )
    return size_bytes, params.integer(f"{prefix}FileCountLimit", 0, *_FILES) or 0


def _put_quota(cloud: cloud_module.Cloud, found: Fileset, size_bytes: int, file_count: int) -> None:
    changed = dataclasses.replace(
        found,
        size_bytes=size_bytes,
        file_count=file_count,
        update_time=cloud.clock.timestamp(),
    )
    cloud.store.put(model.FILESET, found.fileset_id, changed.row())
    trees.act(cloud)


def _filters(params: params_module.Params) -> list[tuple[str, str]]:
    """(key, value) of each filter."""
    told = [(each.get("Key", ""), each.get("Value", "")) for each in params.structs("Filters")]
    for key, value in told:
        if key not in _FILTERS:
            raise errors.ApiError(
                "InvalidFilterParam", 404, f"Filters.N.Key {key} is none of {', '.join(_FILTERS)}."
            )
        if key == "FsetIds" and len(value.split(",")) > _IDS_MAX:
            raise errors.ApiError(
                "InvalidFilterValue", 404, f"Filters.N.Value names more than {_IDS_MAX} ids."
            )
    return told


def _fits(row: Fileset, filters: list[tuple[str, str]]) -> bool:
    """Ids must be whole; a part of a path or a description is enough."""
    for key, value in filters:
        told = {
            "FsetIds": row.fileset_id in value.split(","),
            "FileSystemPath": value in row.path,
            "Description": value in row.description,
            "QuotaExists": str(bool(row.size_bytes or row.file_count)).lower() == value.lower(),
        }
        if not told[key]:
            return False
    return True
