"""Filesets of CPFS. Source: spec/csi-driver.md 4.2, 9.6."""

import contextlib
from collections.abc import Callable, Sequence

from cloud import errors as cloud_errors
from cloud import nas_model, nas_wire, openapi, wait
from core import clock

_PAGE = 100
_FIRST_S = 0.5
_POLL_S = 2.0
_ABSENT = ("InvalidFilesetId.NotFound", "InvalidFileset.NotFound", "InvalidFsetId.NotFound")
_SEPARATOR = "+"
_IDS_MAX = 10
"""Of one filter. Source: NAS API, DescribeFilesets."""
_RELEASED = "released"
"""Status of a fileset that is told of, and is gone. Source: NAS API, DescribeFilesets."""

Fileset = nas_model.Fileset


class Filesets:
    """Actions on filesets. Errors are `cloud.errors`."""

    def __init__(self, api: openapi.OpenApi, time: clock.Clock) -> None:
        self._api = api
        self._waiter = wait.StatusWaiter(
            "filesets",
            self._read_many,
            time,
            first_s=_FIRST_S,
            interval_s=_POLL_S,
            show=lambda found: found.status,
        )

    def close(self) -> None:
        """Stop polling; whoever waits is cancelled."""
        self._waiter.close()

    async def create(
        self,
        file_system_id: str,
        path: str,
        *,
        description: str,
        size_bytes: int,
        file_count: int,
        client_token: str,
    ) -> str:
        """Id of a new fileset at *path*, which begins and ends with "/". Limits: 0 = none."""
        quota = {
            name: value
            for name, value in (("SizeLimit", size_bytes), ("FileCountLimit", file_count))
            if value
        }
        body = await self._api.call(
            openapi.NAS,
            "CreateFileset",
            {
                "FileSystemId": file_system_id,
                "FileSystemPath": path,
                "Description": description or None,
                "DeletionProtection": False,
                "Quota": quota or None,
                "ClientToken": client_token,
            },
        )
        return str(body.fset_id)

    async def find(self, file_system_id: str, *, path: str) -> Fileset | None:
        """The fileset at *path*, None when there is none."""
        found = await self._describe(file_system_id, {"FileSystemPath": path})
        return next((each for each in found if each.path == path), None)

    async def read(self, file_system_id: str, fileset_id: str) -> Fileset | None:
        """The fileset now, None when there is none."""
        found = await self._describe(file_system_id, {"FsetIds": fileset_id})
        return next((each for each in found if each.fileset_id == fileset_id), None)

    async def set_quota(
        self, file_system_id: str, fileset_id: str, *, size_bytes: int, file_count: int
    ) -> None:
        """Change the limits; 0 = none."""
        await self._api.call(
            openapi.NAS,
            "SetFilesetQuota",
            {
                "FileSystemId": file_system_id,
                "FsetId": fileset_id,
                "SizeLimit": size_bytes or None,
                "FileCountLimit": file_count or None,
            },
        )

    async def delete(self, file_system_id: str, fileset_id: str) -> None:
        """Begin to delete the fileset with its files; absent is fine."""
        try:
            await self._api.call(
                openapi.NAS,
                "DeleteFileset",
                {"FileSystemId": file_system_id, "FsetId": fileset_id},
            )
        except cloud_errors.CloudError as e:
            if e.code not in _ABSENT:
                raise

    async def wait(
        self,
        file_system_id: str,
        fileset_id: str,
        done: Callable[[Fileset | None], bool],
        *,
        what: str,
    ) -> Fileset | None:
        """The fileset once *done* accepts it. Raises DeadlineExceeded naming *what*."""
        return await self._waiter.wait(f"{file_system_id}{_SEPARATOR}{fileset_id}", done, what=what)

    async def _read_many(self, keys: Sequence[str]) -> dict[str, Fileset]:
        """Those that are there. A file system that is gone is nobody's failure but its own."""
        wanted: dict[str, list[str]] = {}
        for key in keys:
            file_system_id, _, fileset_id = key.partition(_SEPARATOR)
            wanted.setdefault(file_system_id, []).append(fileset_id)
        found: dict[str, Fileset] = {}
        for file_system_id, ids in wanted.items():
            with contextlib.suppress(cloud_errors.CloudNotFound):
                for start in range(0, len(ids), _IDS_MAX):
                    some = ",".join(ids[start : start + _IDS_MAX])
                    for seen in await self._describe(file_system_id, {"FsetIds": some}):
                        found[f"{file_system_id}{_SEPARATOR}{seen.fileset_id}"] = seen
        return found

    async def _describe(self, file_system_id: str, wanted: dict[str, str]) -> list[Fileset]:
        """Filesets that fit every filter, and perhaps more: a part of a path fits too."""
        found: list[Fileset] = []
        token = ""
        while True:
            body = await self._api.call(
                openapi.NAS,
                "DescribeFilesets",
                {
                    "FileSystemId": file_system_id,
                    "Filters": [{"Key": key, "Value": value} for key, value in wanted.items()],
                    "MaxResults": _PAGE,
                    "NextToken": token or None,
                },
            )
            raw = getattr(body.entries, "entrie", None) or []
            told = (nas_wire.fileset(each) for each in raw)
            found += [each for each in told if each.status.lower() != _RELEASED]
            token = body.next_token or ""
            if not token:
                return found
