"""volumeAs=accesspoint: an access point of a file system that is there already.

The API has no client token for access points, so the volume's name is looked up in their tags
before one is made, and again after: of two the one that was made first counts. What this process
made besides it goes, at once; others may be another replica's, which told that one to a node. They
go with the volume. Source: spec/csi-driver.md 3.5.
"""

from collections.abc import Callable
from typing import Protocol

import structlog

from cloud import nas_model
from core import clock, errors, units
from csi.nas import layout, paths
from csi.nas.controller import made, params, quotas, settings, subpath, tags

log = structlog.get_logger()

AccessPoint = nas_model.AccessPoint

_FORGET_S = 120.0
"""What lists do not show for so long was deleted by somebody else."""


class AccessPointApi(Protocol):
    """What is needed of `cloud.nas_access_points.AccessPoints`."""

    async def create(self, new: nas_model.NewAccessPoint) -> str: ...

    async def read(self, file_system_id: str, access_point_id: str) -> AccessPoint | None: ...

    async def find(
        self, *, file_system_id: str = "", tag_key: str = "", tag_value: str = ""
    ) -> list[AccessPoint]: ...

    async def delete(self, file_system_id: str, access_point_id: str) -> None: ...

    async def wait(
        self,
        file_system_id: str,
        access_point_id: str,
        done: Callable[[AccessPoint | None], bool],
        *,
        what: str,
    ) -> AccessPoint | None: ...


class Accesspoints:
    """Makes, grows and deletes such volumes."""

    def __init__(
        self,
        *,
        api: AccessPointApi,
        directories: subpath.DirectoryApi,
        time: clock.Clock,
        config: settings.NasSettings,
    ) -> None:
        self._api = api
        self._directories = directories
        self._config = config
        self._clock = time
        self._unseen: dict[str, tuple[str, float]] = {}
        """Volumes' names → (access point made by this process that no list showed, when)."""

    async def create(
        self, want: made.VolumeRequest, parameters: params.AccesspointParameters
    ) -> made.Made:
        """The volume, made now or before, ready to be mounted. Raises Exists."""
        layout.require_name("name", want.name)
        root_path = paths.join(parameters.path, want.name)
        size_bytes = want.required_bytes or want.limit_bytes
        mine, _ = self._unseen.get(want.name, ("", 0.0))
        found = await self.find(want.name)
        is_new = not found
        if is_new:
            new = self._new(want.name, parameters, root_path, size_bytes)
            mine = await self._api.create(new)
            self._unseen[want.name] = (mine, self._clock.monotonic_s())
            found = await self.find(want.name)
        first = found[0]
        if any(each.access_point_id == mine for each in found[1:]):
            log.warning("access point made twice; removing one", id=mine)
            await self._api.delete(parameters.file_system_id, mine)
        _require_same(first, want.name, parameters, root_path, size_bytes)
        active = await self._api.wait(
            first.file_system_id,
            first.access_point_id,
            lambda seen: seen is None or seen.status.lower() == "active",
            what=f"access point {first.access_point_id} to become Active",
        )
        if active is None:
            raise errors.Unavailable(f"access point {first.access_point_id} is gone; retry")
        told = {
            "accesspoint": active.domain,
            "accesspointId": active.access_point_id,
            "accesspointEnableRam": "true" if active.ram_enabled else "false",
            "fileSystemId": active.file_system_id,
            "path": "/",
        }
        if parameters.quota:
            size_gib = await quotas.ensure(
                self._directories,
                active.file_system_id,
                root_path,
                max(1, units.ceil_gib(size_bytes)),
                is_new=is_new,
            )
            size_bytes = units.gib_to_bytes(size_gib)
            told["volumeCapacity"] = "true"
        return made.Made(want.name, size_bytes, {**parameters.context, **told})

    async def find(self, name: str) -> list[AccessPoint]:
        """Access points made for volume *name*, the one that counts first.

        Raises Unavailable while lists do not show one that was made: nobody may make another, or
        call the volume gone.
        """
        found = await self._api.find(tag_key=tags.VOLUME_NAME, tag_value=name)
        made_id, made_s = self._unseen.get(name, ("", 0.0))
        is_listed = not made_id or any(each.access_point_id == made_id for each in found)
        if is_listed or self._clock.monotonic_s() - made_s > _FORGET_S:
            self._unseen.pop(name, None)
        else:
            raise errors.Unavailable(
                f"access point {made_id} of volume {name} does not show up yet; retry"
            )
        return sorted(found, key=lambda each: (each.created, each.access_point_id))

    async def adopt(self, file_system_id: str, access_point_id: str) -> list[AccessPoint] | None:
        """The access point that another driver made; None when it is gone."""
        if not file_system_id or not access_point_id:
            return None
        found = await self._api.read(file_system_id, access_point_id)
        return None if found is None else [found]

    async def delete(self, found: list[AccessPoint]) -> None:
        """Delete them all with their quotas. The files stay where they are."""
        for each in found:
            what = f"access point {each.access_point_id}"
            tags.require_own(what, each.tags, cluster_id=self._config.cluster_id)
        for each in found:
            await self._directories.cancel_quota(each.file_system_id, each.root_path)
            await self._api.delete(each.file_system_id, each.access_point_id)
        for each in found:
            await self._api.wait(
                each.file_system_id,
                each.access_point_id,
                lambda seen: seen is None,
                what=f"access point {each.access_point_id} to be deleted",
            )

    async def expand(self, found: AccessPoint, want: made.ExpandRequest) -> int:
        """Size in bytes afterwards; without a quota any size is told."""
        quota = await self._directories.read_quota(found.file_system_id, found.root_path)
        if quota is None or quota.size_gib is None:
            return want.required_bytes or want.limit_bytes
        size_gib = max(quota.size_gib, units.ceil_gib(want.required_bytes))
        made.require_within(want, units.gib_to_bytes(size_gib))
        if size_gib > quota.size_gib:
            await self._directories.set_quota(found.file_system_id, found.root_path, size_gib)
        return units.gib_to_bytes(size_gib)

    def _new(
        self,
        name: str,
        parameters: params.AccesspointParameters,
        root_path: str,
        size_bytes: int,
    ) -> nas_model.NewAccessPoint:
        told = tags.of_volume(name, cluster_id=self._config.cluster_id)
        told[tags.CAPACITY] = str(size_bytes)
        told[tags.WISH] = tags.wish(_wish(parameters))
        return nas_model.NewAccessPoint(
            file_system_id=parameters.file_system_id,
            name=name,
            access_group=parameters.access_group,
            vpc_id=parameters.vpc_id,
            vswitch_id=parameters.vswitch_id,
            root_directory=root_path,
            ram_enabled=parameters.ram_enabled,
            owner_user_id=parameters.owner_user_id,
            owner_group_id=parameters.owner_group_id,
            permission=parameters.permission or "0777",
            posix_user_id=parameters.posix_user_id,
            posix_group_id=parameters.posix_group_id,
            posix_secondary_group_ids=parameters.posix_secondary_group_ids,
            tags=told,
        )


def _require_same(
    found: AccessPoint,
    name: str,
    parameters: params.AccesspointParameters,
    root_path: str,
    size_bytes: int,
) -> None:
    same = (
        found.file_system_id == parameters.file_system_id
        and found.root_path.rstrip("/") == root_path.rstrip("/")
        and found.ram_enabled == parameters.ram_enabled
        and found.tags.get(tags.CAPACITY, str(size_bytes)) == str(size_bytes)
        and tags.is_wish(found.tags, _wish(parameters))
    )
    if not same:
        raise errors.Exists(
            f"volume {name} exists as access point {found.access_point_id} of "
            f"{found.file_system_id} at {found.root_path}, not what was asked for: another "
            "directory, size, network, permission group, owner or user"
        )


def _wish(parameters: params.AccesspointParameters) -> dict[str, object]:
    """What an access point is made with and does not tell."""
    return {
        "vpc": parameters.vpc_id,
        "vswitch": parameters.vswitch_id,
        "access group": parameters.access_group,
        "owner": parameters.owner_user_id,
        "owner group": parameters.owner_group_id,
        "permission": parameters.permission,
        "user": parameters.posix_user_id,
        "group": parameters.posix_group_id,
        "groups": parameters.posix_secondary_group_ids,
    }
