"""Directories of general-purpose NAS: making them, their quotas, the recycle bin.

Source: spec/csi-driver.md 9.6, spec/cloud-api.md 2.4, NAS.
"""

from typing import Any

from cloud import errors as cloud_errors
from cloud import nas_model, nas_wire, openapi

QUOTA_ABSENT = "InvalidParameter.QuotaNotExistOnPath"
DIRECTORY_ABSENT = "InvalidParameter.DirPathNotExist"
_FILE_SYSTEM_GONE = "InvalidFileSystem.NotFound"
_NOT_THERE = (QUOTA_ABSENT, DIRECTORY_ABSENT)
_PAGE = 100


class Directories:
    """Actions on directories. Errors are `cloud.errors`."""

    def __init__(self, api: openapi.OpenApi) -> None:
        self._api = api

    async def create(
        self,
        file_system_id: str,
        path: str,
        *,
        permission: str = "0777",
        user_id: int = 0,
        group_id: int = 0,
    ) -> None:
        """Make *path* with its parents; one that exists stays as it is."""
        await self._api.call(
            openapi.NAS,
            "CreateDir",
            {
                "FileSystemId": file_system_id,
                "RootDirectory": path,
                "OwnerUserId": user_id,
                "OwnerGroupId": group_id,
                "Permission": permission,
                "Recursion": True,
            },
        )

    async def exists(self, file_system_id: str, path: str) -> bool:
        """Whether there is a directory at *path*. Raises CloudNotFound without the file system."""
        try:
            body = await self._api.call(
                openapi.NAS,
                "GetDirectoryOrFileProperties",
                {"FileSystemId": file_system_id, "Path": path},
            )
        except cloud_errors.CloudNotFound as e:
            if e.code == _FILE_SYSTEM_GONE:
                raise
            return False
        except cloud_errors.CloudError as e:
            if e.code != DIRECTORY_ABSENT:
                raise
            return False
        return getattr(body.entry, "type", "") == "Directory"

    async def set_quota(self, file_system_id: str, path: str, size_gib: int) -> None:
        """Let nobody store more than *size_gib* under *path*; again changes it."""
        body = await self._api.call(
            openapi.NAS,
            "SetDirQuota",
            {
                "FileSystemId": file_system_id,
                "Path": path,
                "SizeLimit": size_gib,
                "QuotaType": "Enforcement",
                "UserType": "AllUsers",
            },
        )
        _require_success("SetDirQuota", body)

    async def cancel_quota(self, file_system_id: str, path: str) -> None:
        """Remove the quota of *path*; absent is fine, as is the file system."""
        try:
            body = await self._api.call(
                openapi.NAS,
                "CancelDirQuota",
                {"FileSystemId": file_system_id, "Path": path, "UserType": "AllUsers"},
            )
        except cloud_errors.CloudError as e:
            if e.code not in (*_NOT_THERE, _FILE_SYSTEM_GONE):
                raise
        else:
            _require_success("CancelDirQuota", body)

    async def read_quota(self, file_system_id: str, path: str) -> nas_model.DirQuota | None:
        """The quota of *path* for all users, None without one."""
        page = 1
        while True:
            try:
                body = await self._api.call(
                    openapi.NAS,
                    "DescribeDirQuotas",
                    {
                        "FileSystemId": file_system_id,
                        "Path": path,
                        "PageNumber": page,
                        "PageSize": _PAGE,
                    },
                )
            except cloud_errors.CloudError as e:
                if e.code not in _NOT_THERE:
                    raise
                return None
            infos = body.dir_quota_infos or []
            for raw in infos:
                if nas_wire.text(raw.path).rstrip("/") == path.rstrip("/"):
                    return nas_wire.dir_quota(raw)
            if len(infos) < _PAGE:
                return None
            page += 1

    async def recycle_bin_enabled(self, file_system_id: str) -> bool:
        """Whether deleted files can be had back for a while."""
        body = await self._api.call(
            openapi.NAS, "GetRecycleBinAttribute", {"FileSystemId": file_system_id}
        )
        return getattr(body.recycle_bin_attribute, "status", "") == "Enable"


def _require_success(action: str, body: Any) -> None:
    """These actions can fail with HTTP 200 and `Success: false`."""
    if body.success is False:
        raise cloud_errors.make(
            action=action,
            code="Success.False",
            status=200,
            message="NAS answered Success=false; nothing was changed",
            request_id=body.request_id or "",
        )
