"""File systems of NAS and CPFS with their mount targets. Source: spec/cloud-api.md 2.4, NAS."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cloud import ecs_wire, nas_model, nas_wire, openapi, wait
from cloud import errors as cloud_errors
from core import clock

_PAGE = 100
_FIRST_S = 0.5
_POLL_S = 2.0
_FILE_SYSTEM_GONE = "InvalidFileSystem.NotFound"
_TARGET_GONE = ("InvalidMountTarget.NotFound", "InvalidParam.MountTargetDomain")
_RESOURCE = "filesystem"

FileSystem = nas_model.FileSystem
MountTarget = nas_model.MountTarget


class FileSystems:
    """Actions on file systems. Errors are `cloud.errors`; only throttled calls are repeated."""

    def __init__(self, api: openapi.OpenApi, time: clock.Clock) -> None:
        self._api = api
        self._waiter = wait.StatusWaiter(
            "file systems",
            self._read_many,
            time,
            first_s=_FIRST_S,
            interval_s=_POLL_S,
            show=_show,
        )

    def close(self) -> None:
        """Stop polling; whoever waits is cancelled."""
        self._waiter.close()

    async def create(self, new: nas_model.NewFileSystem, *, client_token: str) -> str:
        """Id of the new file system. The same token and input give the same one."""
        body = await self._api.call(
            openapi.NAS,
            "CreateFileSystem",
            {
                "FileSystemType": new.type.value,
                "StorageType": new.storage_type,
                "ProtocolType": new.protocol,
                "ZoneId": new.zone_id or None,
                "ChargeType": "PayAsYouGo",
                "EncryptType": new.encrypt_type,
                "KmsKeyId": new.kms_key_id or None,
                "Capacity": new.capacity_gib or None,
                "VpcId": new.vpc_id or None,
                "VSwitchId": new.vswitch_id or None,
                "Description": new.description or None,
                "ResourceGroupId": new.resource_group_id or None,
                "SnapshotId": new.snapshot_id or None,
                "Tag": ecs_wire.tags(new.tags),
                "ClientToken": client_token,
            },
        )
        return str(body.file_system_id)

    async def read(self, file_system_id: str) -> FileSystem | None:
        """The file system now, None when there is none."""
        try:
            found = await self._describe({"FileSystemId": file_system_id})
        except cloud_errors.CloudError as e:
            if e.code != _FILE_SYSTEM_GONE:
                raise
            return None
        return next((each for each in found if each.file_system_id == file_system_id), None)

    async def find(self, *, tags: Mapping[str, str | None]) -> list[FileSystem]:
        """Every file system that carries all *tags*; a value of None stands for any."""
        wanted = [{"Key": key, "Value": value} for key, value in tags.items()]
        found = await self._describe({"Tag": [_given(each) for each in wanted]})
        return [each for each in found if _carries(each, tags)]

    async def grow(self, file_system_id: str, capacity_gib: int, *, client_token: str) -> None:
        """Begin to make an extreme or CPFS file system larger."""
        await self._api.call(
            openapi.NAS,
            "UpgradeFileSystem",
            {
                "FileSystemId": file_system_id,
                "Capacity": capacity_gib,
                "ClientToken": client_token,
            },
        )

    async def delete(self, file_system_id: str) -> None:
        """Delete a file system without mount targets; absent is fine."""
        try:
            await self._api.call(openapi.NAS, "DeleteFileSystem", {"FileSystemId": file_system_id})
        except cloud_errors.CloudError as e:
            if e.code != _FILE_SYSTEM_GONE:
                raise

    async def wait(
        self, file_system_id: str, done: Callable[[FileSystem | None], bool], *, what: str
    ) -> FileSystem | None:
        """The file system once *done* accepts it. Raises DeadlineExceeded naming *what*."""
        return await self._waiter.wait(file_system_id, done, what=what)

    async def create_mount_target(self, file_system_id: str, new: nas_model.NewMountTarget) -> str:
        """Domain of a new mount target. Twice makes two: look at `read` first."""
        body = await self._api.call(
            openapi.NAS,
            "CreateMountTarget",
            {
                "FileSystemId": file_system_id,
                "NetworkType": "Vpc",
                "VpcId": new.vpc_id,
                "VSwitchId": new.vswitch_id,
                "AccessGroupName": new.access_group,
                "SecurityGroupId": new.security_group_id or None,
            },
        )
        return str(body.mount_target_domain or "")

    async def delete_mount_target(self, file_system_id: str, domain: str) -> None:
        """Begin to delete a mount target; absent is fine."""
        try:
            await self._api.call(
                openapi.NAS,
                "DeleteMountTarget",
                {"FileSystemId": file_system_id, "MountTargetDomain": domain},
            )
        except cloud_errors.CloudError as e:
            if e.code not in (*_TARGET_GONE, _FILE_SYSTEM_GONE):
                raise

    async def tag(self, file_system_id: str, tags: Mapping[str, str]) -> None:
        """Set *tags*; others stay."""
        await self._api.call(
            openapi.NAS,
            "TagResources",
            {
                "ResourceType": _RESOURCE,
                "ResourceId": [file_system_id],
                "Tag": ecs_wire.tags(tags),
            },
        )

    async def _read_many(self, file_system_ids: Sequence[str]) -> dict[str, FileSystem]:
        """For the waiter: the API takes one id a call, and few wait at a time."""
        found: dict[str, FileSystem] = {}
        for file_system_id in file_system_ids:
            seen = await self.read(file_system_id)
            if seen is not None:
                found[file_system_id] = seen
        return found

    async def _describe(self, parameters: Mapping[str, Any]) -> list[FileSystem]:
        found: list[FileSystem] = []
        page = 1
        while True:
            body = await self._api.call(
                openapi.NAS,
                "DescribeFileSystems",
                {**parameters, "PageNumber": page, "PageSize": _PAGE},
            )
            raw = getattr(body.file_systems, "file_system", None) or []
            found += [nas_wire.file_system(each) for each in raw]
            if len(raw) < _PAGE:
                return found
            page += 1


def _given(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}


def _carries(file_system: FileSystem, tags: Mapping[str, str | None]) -> bool:
    """Told again by us: a service that does not filter must not make us take another's."""
    return all(
        key in file_system.tags and value in (None, file_system.tags[key])
        for key, value in tags.items()
    )


def _show(file_system: FileSystem) -> str:
    targets = ", ".join(f"{each.domain} {each.status}" for each in file_system.mount_targets)
    return f"{file_system.status}; mount targets: {targets or 'none'}"
