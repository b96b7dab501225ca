"""The quota that holds a directory to its volume's size: it only ever grows."""

from typing import Protocol

from cloud import nas_model


class QuotaApi(Protocol):
    """What is needed of `cloud.nas_directories.Directories`."""

    async def set_quota(self, file_system_id: str, path: str, size_gib: int) -> None: ...

    async def read_quota(self, file_system_id: str, path: str) -> nas_model.DirQuota | None: ...


async def ensure(
    api: QuotaApi, file_system_id: str, path: str, size_gib: int, *, is_new: bool
) -> int:
    """Size in GiB of the quota of *path* afterwards: *size_gib*, or more when it has grown.

    is_new: the directory was made just now, so that nobody can have grown its quota.
    """
    if not is_new:
        there = await api.read_quota(file_system_id, path)
        if there is not None and there.size_gib is not None and there.size_gib >= size_gib:
            return there.size_gib
    await api.set_quota(file_system_id, path, size_gib)
    return size_gib
