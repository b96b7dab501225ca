"""Access points of general-purpose NAS. Source: spec/cloud-api.md 2.4, NAS."""

from collections.abc import Callable, Sequence

from cloud import ecs_wire, nas_model, nas_wire, openapi, wait
from cloud import errors as cloud_errors
from core import clock

_PAGE = 100
_FIRST_S = 0.5
_POLL_S = 2.0
_ABSENT = (
    *("NotFound", "InvalidAccessPointId.NotFound", "InvalidAccessPoint.NotFound"),
    "InvalidFileSystem.NotFound",  # it went with all on it
)
_SEPARATOR = "/"

AccessPoint = nas_model.AccessPoint


class AccessPoints:
    """Actions on access points. Errors are `cloud.errors`."""

    def __init__(self, api: openapi.OpenApi, time: clock.Clock) -> None:
        self._api = api
        self._waiter = wait.StatusWaiter(
            "access points",
            self._read_many,
            time,
            first_s=_FIRST_S,
            interval_s=_POLL_S,
            show=lambda found: found.status,
        )

    def close(self) -> None:
        """Stop polling; whoever waits is cancelled."""
        self._waiter.close()

    async def create(self, new: nas_model.NewAccessPoint) -> str:
        """Id of a new access point. Twice makes two: look with `find` first."""
        secondary = ",".join(str(each) for each in new.posix_secondary_group_ids)
        body = await self._api.call(
            openapi.NAS,
            "CreateAccessPoint",
            {
                "FileSystemId": new.file_system_id,
                "AccessPointName": new.name,
                "AccessGroup": new.access_group,
                "VpcId": new.vpc_id,
                "VswId": new.vswitch_id,
                "RootDirectory": new.root_directory,
                "EnabledRam": new.ram_enabled,
                "OwnerUserId": new.owner_user_id,
                "OwnerGroupId": new.owner_group_id,
                "Permission": new.permission or None,
                "PosixUserId": new.posix_user_id,
                "PosixGroupId": new.posix_group_id,
                "PosixSecondaryGroupIds": secondary or None,
                "Tag": ecs_wire.tags(new.tags),
            },
        )
        return str(body.access_point.access_point_id)

    async def read(self, file_system_id: str, access_point_id: str) -> AccessPoint | None:
        """The access point now, None when there is none."""
        try:
            body = await self._api.call(
                openapi.NAS,
                "DescribeAccessPoint",
                {"FileSystemId": file_system_id, "AccessPointId": access_point_id},
            )
        except cloud_errors.CloudError as e:
            if e.code not in _ABSENT:
                raise
            return None
        return nas_wire.access_point(body.access_point)

    async def find(
        self, *, file_system_id: str = "", tag_key: str = "", tag_value: str = ""
    ) -> list[AccessPoint]:
        """Every access point of the file system (of all, with "") that carries the tag."""
        found: list[AccessPoint] = []
        token = ""
        tag = [{"Key": tag_key, "Value": tag_value}] if tag_key else None
        while True:
            body = await self._api.call(
                openapi.NAS,
                "DescribeAccessPoints",
                {
                    "FileSystemId": file_system_id or None,
                    "Tag": tag,
                    "MaxResults": _PAGE,
                    "NextToken": token or None,
                },
            )
            found += [nas_wire.access_point(each) for each in body.access_points or []]
            token = body.next_token or ""
            if not token:
                break
        return [each for each in found if not tag_key or each.tags.get(tag_key) == tag_value]

    async def delete(self, file_system_id: str, access_point_id: str) -> None:
        """Begin to delete an access point; absent is fine."""
        try:
            await self._api.call(
                openapi.NAS,
                "DeleteAccessPoint",
                {"FileSystemId": file_system_id, "AccessPointId": access_point_id},
            )
        except cloud_errors.CloudError as e:
            if e.code not in _ABSENT:
                raise

    async def wait(
        self,
        file_system_id: str,
        access_point_id: str,
        done: Callable[[AccessPoint | None], bool],
        *,
        what: str,
    ) -> AccessPoint | None:
        """The access point once *done* accepts it. Raises DeadlineExceeded naming *what*."""
        key = f"{file_system_id}{_SEPARATOR}{access_point_id}"
        return await self._waiter.wait(key, done, what=what)

    async def _read_many(self, keys: Sequence[str]) -> dict[str, AccessPoint]:
        found: dict[str, AccessPoint] = {}
        for key in keys:
            file_system_id, _, access_point_id = key.partition(_SEPARATOR)
            seen = await self.read(file_system_id, access_point_id)
            if seen is not None:
                found[key] = seen
        return found
