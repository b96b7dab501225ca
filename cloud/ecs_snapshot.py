"""Snapshots and snapshot groups of ECS."""

from collections.abc import Callable, Mapping, Sequence

from cloud import batch, describe, ecs_model, ecs_wire, openapi, wait
from core import clock

_PAGE = 100
_POLL_S = 2.0


class Snapshots:
    """Actions on snapshots and their groups."""

    def __init__(self, api: openapi.OpenApi, time: clock.Clock, *, describe_qps: float) -> None:
        self._api = api
        self._batcher = batch.DescribeBatcher(
            "snapshots", self.read_many, time, calls_per_s=describe_qps
        )
        self._waiter = wait.StatusWaiter(
            "snapshots",
            self.read_many,
            time,
            first_s=1 / describe_qps,
            interval_s=_POLL_S,
            show=lambda snapshot: snapshot.status,
        )

    def close(self) -> None:
        """Stop polling; whoever waits is cancelled."""
        self._batcher.close()
        self._waiter.close()

    async def create(
        self,
        *,
        disk_id: str,
        name: str,
        retention_days: int | None,
        resource_group_id: str,
        tags: Mapping[str, str],
        client_token: str | None,
        instant_access: bool = False,
    ) -> str:
        """Id of the new snapshot; its content is fixed a moment later. name "" = none."""
        body = await self._api.call(
            openapi.ECS,
            "CreateSnapshot",
            {
                "DiskId": disk_id,
                "SnapshotName": name or None,
                "RetentionDays": retention_days,
                "ResourceGroupId": resource_group_id or None,
                "InstantAccess": instant_access or None,
                "Tag": ecs_wire.tags(tags),
                "ClientToken": client_token,
            },
        )
        return str(body.snapshot_id)

    async def read(self, snapshot_id: str) -> ecs_model.Snapshot | None:
        """The snapshot now, None when there is none; look-ups of a moment share one call."""
        return await self._batcher.read(snapshot_id)

    async def read_many(self, snapshot_ids: Sequence[str]) -> dict[str, ecs_model.Snapshot]:
        """What exists of at most 100 *snapshot_ids*, by id."""
        return await describe.by_id(self._describe, snapshot_ids, malformed="InvalidSnapshotId")

    async def _describe(self, snapshot_ids: Sequence[str]) -> dict[str, ecs_model.Snapshot]:
        """Source: ECS DescribeSnapshots."""
        body = await self._api.call(
            openapi.ECS,
            "DescribeSnapshots",
            {"SnapshotIds": ecs_wire.id_list(snapshot_ids), "MaxResults": _PAGE},
        )
        found = [ecs_wire.snapshot(raw) for raw in body.snapshots.snapshot or []]
        return {s.snapshot_id: s for s in found}

    async def list_page(
        self,
        *,
        source_disk_id: str = "",
        tags: Mapping[str, str] | None = None,
        name: str = "",
        max_results: int = _PAGE,
        next_token: str = "",
    ) -> ecs_model.Page[ecs_model.Snapshot]:
        """One page. max_results: ECS takes 10 to 100."""
        body = await self._api.call(
            openapi.ECS,
            "DescribeSnapshots",
            {
                "DiskId": source_disk_id or None,
                "SnapshotName": name or None,
                "Tag": ecs_wire.tags(tags or {}),
                "MaxResults": max_results,
                "NextToken": next_token or None,
            },
        )
        return ecs_model.Page(
            items=tuple(ecs_wire.snapshot(raw) for raw in body.snapshots.snapshot or []),
            next_token=body.next_token or "",
        )

    async def find(
        self,
        *,
        source_disk_id: str = "",
        tags: Mapping[str, str] | None = None,
        name: str = "",
    ) -> list[ecs_model.Snapshot]:
        """Every snapshot that matches all that is given; *name* exactly."""
        found: list[ecs_model.Snapshot] = []
        token = ""
        while True:
            page = await self.list_page(
                source_disk_id=source_disk_id, tags=tags, name=name, next_token=token
            )
            found += [s for s in page.items if name in ("", s.name)]
            token = page.next_token
            if not token:
                return found

    async def delete(self, snapshot_id: str) -> None:
        """Delete for good, also when disks were made from it."""
        await self._api.call(
            openapi.ECS, "DeleteSnapshot", {"SnapshotId": snapshot_id, "Force": True}
        )

    async def wait(
        self, snapshot_id: str, done: Callable[[ecs_model.Snapshot | None], bool], *, what: str
    ) -> ecs_model.Snapshot | None:
        """The snapshot once *done* accepts it, None when there is none and that is accepted.

        Raises DeadlineExceeded naming *what* and the status seen last.
        """
        return await self._waiter.wait(snapshot_id, done, what=what)

    async def create_group(
        self,
        *,
        disk_ids: Sequence[str],
        name: str,
        description: str,
        resource_group_id: str,
        tags: Mapping[str, str],
        client_token: str | None,
    ) -> str:
        """Id of a new group: snapshots of all *disk_ids* taken at one moment."""
        body = await self._api.call(
            openapi.ECS,
            "CreateSnapshotGroup",
            {
                "DiskId": list(disk_ids),
                "Name": name or None,
                "Description": description or None,
                "ResourceGroupId": resource_group_id or None,
                "Tag": ecs_wire.tags(tags),
                "ClientToken": client_token,
            },
        )
        return str(body.snapshot_group_id)

    async def read_group(self, group_id: str) -> ecs_model.SnapshotGroup | None:
        """The group now, None when there is none."""
        body = await self._api.call(
            openapi.ECS, "DescribeSnapshotGroups", {"SnapshotGroupId": [group_id]}
        )
        for raw in body.snapshot_groups.snapshot_group or []:
            return ecs_wire.snapshot_group(raw)
        return None

    async def find_groups(self, name: str) -> list[ecs_model.SnapshotGroup]:
        """Groups called exactly *name*."""
        found: list[ecs_model.SnapshotGroup] = []
        token: str | None = None
        while True:
            body = await self._api.call(
                openapi.ECS,
                "DescribeSnapshotGroups",
                {"Name": name, "MaxResults": _PAGE, "NextToken": token},
            )
            page = [ecs_wire.snapshot_group(r) for r in body.snapshot_groups.snapshot_group or []]
            found += [group for group in page if group.name == name]
            token = body.next_token or None
            if token is None:
                return found

    async def delete_group(self, group_id: str) -> None:
        """Delete a group and its snapshots."""
        await self._api.call(openapi.ECS, "DeleteSnapshotGroup", {"SnapshotGroupId": group_id})
