"""Directories inside file systems: real ones with file hardware, records without."""

from collections.abc import Iterable

import structlog

from sim import cloud as cloud_module
from sim import errors
from sim.hardware import api, files_api
from sim.nas import model

log = structlog.get_logger()

_GIB = 1024**3
EXTREME_PREFIX = "/share"
_NAMED = ("Active", "ACTIVE")
_SERVED = ("Pending", "CREATING", *_NAMED)
"""Made ready while they are pending, so that they serve once they are active."""


def make(
    cloud: cloud_module.Cloud,
    file_system_id: str,
    path: str,
    *,
    user_id: int = 0,
    group_id: int = 0,
    mode: int = 0o755,
) -> None:
    """A directory with its parents; one that is there stays as it is."""
    if cloud.files is None:
        for each in _with_parents(path):
            key = f"{file_system_id}:{each}"
            if cloud.store.get(model.DIRECTORY, key) is None:
                row = {"file_system_id": file_system_id, "path": each}
                cloud.store.put(model.DIRECTORY, key, row)
        return
    try:
        cloud.files.make_directory(
            file_system_id, path, user_id=user_id, group_id=group_id, mode=mode
        )
    except api.HardwareError as e:
        raise _failed(e) from e


def kind(cloud: cloud_module.Cloud, file_system_id: str, path: str) -> str:
    """Directory, File, or "" for nothing at *path*."""
    if path == "/":
        return "Directory"
    if cloud.files is None:
        known = cloud.store.get(model.DIRECTORY, f"{file_system_id}:{path}") is not None
        return "Directory" if known else ""
    try:
        found = cloud.files.is_directory(file_system_id, path)
    except api.HardwareError as e:
        raise _failed(e) from e
    return {True: "Directory", False: "File", None: ""}[found]


def usage(cloud: cloud_module.Cloud, file_system_id: str, path: str) -> files_api.Usage:
    """What is below *path*; nothing without file hardware."""
    if cloud.files is None:
        return files_api.Usage(size_bytes=0, file_count=0)
    try:
        return cloud.files.usage(file_system_id, path)
    except api.HardwareError as e:
        raise _failed(e) from e


def serves(cloud: cloud_module.Cloud, domain: str) -> bool:
    """Whether clients can mount a mount target that is to be active, if it is one for NFS."""
    if cloud.files is None:
        return True
    return cloud.files.serves(domain) or domain not in {row.domain for row in wanted(cloud).exports}


def remove(cloud: cloud_module.Cloud, file_system_id: str, path: str) -> bool:
    """Remove a directory with all in it; False when that failed and must be tried again."""
    below = path.rstrip("/")
    if cloud.files is None:
        for row in list(cloud.store.by(model.DIRECTORY, "file_system_id", file_system_id)):
            if f"{row['path']}/".startswith(f"{below}/"):
                cloud.store.delete(model.DIRECTORY, f"{file_system_id}:{row['path']}")
        return True
    try:
        cloud.files.remove_directory(file_system_id, below)
    except api.HardwareError as e:
        log.warning("files failed, trying again", error=str(e))
        return False
    return True


def forget(cloud: cloud_module.Cloud, file_system_id: str) -> None:
    """The records of a file system that is gone."""
    for row in cloud.store.by(model.DIRECTORY, "file_system_id", file_system_id):
        cloud.store.delete(model.DIRECTORY, f"{file_system_id}:{row['path']}")


def act(cloud: cloud_module.Cloud) -> None:
    """Make the machine so, in an action; a failure is 500 InternalError and undoes the action."""
    if cloud.files is None:
        return
    try:
        cloud.files.sync(wanted(cloud))
    except api.HardwareError as e:
        raise _failed(e) from e


def settle(cloud: cloud_module.Cloud) -> bool:
    """Make the machine so, in a settler; False when it failed and must be tried again."""
    if cloud.files is None:
        return True
    try:
        cloud.files.sync(wanted(cloud))
    except api.HardwareError as e:
        log.warning("files failed, trying again", error=str(e))
        return False
    return True


def wanted(cloud: cloud_module.Cloud) -> files_api.Wanted:
    """The machine's part of the store's state."""
    systems = {
        row["file_system_id"]: model.FileSystem.from_row(row)
        for row in cloud.store.all(model.FILE_SYSTEM)
    }
    return files_api.Wanted(
        file_system_ids=tuple(systems),
        exports=tuple(_exports(cloud, systems)),
        quotas=tuple(_quotas(cloud)),
    )


def _exports(
    cloud: cloud_module.Cloud, systems: dict[str, model.FileSystem]
) -> Iterable[files_api.Export]:
    for row in cloud.store.all(model.MOUNT_TARGET):
        target = model.MountTarget.from_row(row)
        system = systems[target.file_system_id]
        # Others have clients of their own, which this machine has no server for.
        if target.status in _SERVED and target.network_type and system.protocol == "NFS":
            extreme = system.type == model.EXTREME
            yield files_api.Export(
                domain=target.domain,
                file_system_id=target.file_system_id,
                prefix=EXTREME_PREFIX if extreme else "",
                named=target.status in _NAMED,
            )
    for row in cloud.store.all(model.ACCESS_POINT):
        point = model.AccessPoint.from_row(row)
        if point.status in _SERVED:
            yield files_api.Export(
                domain=point.domain,
                file_system_id=point.file_system_id,
                path=point.root_path,
                named=point.status in _NAMED,
            )
    for row in cloud.store.all(model.EXPORT):
        export = model.ProtocolMountTarget.from_row(row)
        if export.status in _SERVED:
            yield files_api.Export(
                domain=export.domain,
                file_system_id=export.file_system_id,
                path=export.path,
                prefix=EXTREME_PREFIX,
                named=export.status in _NAMED,
            )


def _quotas(cloud: cloud_module.Cloud) -> Iterable[files_api.Quota]:
    for row in cloud.store.all(model.DIR_QUOTA):
        quota = model.DirQuota.from_row(row)
        if quota.user_type == "AllUsers" and quota.quota_type == "Enforcement":
            yield files_api.Quota(
                file_system_id=quota.file_system_id,
                path=quota.path,
                size_bytes=quota.size_gib * _GIB,
                file_count=quota.file_count,
            )
    for row in cloud.store.all(model.FILESET):
        fileset = model.Fileset.from_row(row)
        limited = fileset.size_bytes or fileset.file_count
        if limited and fileset.status != "RELEASED":
            yield files_api.Quota(
                file_system_id=fileset.file_system_id,
                path=fileset.path.rstrip("/"),
                size_bytes=fileset.size_bytes,
                file_count=fileset.file_count,
            )


def _with_parents(path: str) -> list[str]:
    parts = path.strip("/").split("/")
    return ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]


def _failed(error: api.HardwareError) -> errors.ApiError:
    log.warning("files refused", error=str(error))
    return errors.ApiError("InternalError", 500, str(error))
