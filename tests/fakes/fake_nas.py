"""File systems, directories and mounts of the controller's tests, in memory."""

import contextlib
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cloud import nas_model
from core import errors
from csi.nas import server
from csi.nas.controller import tags

Type = nas_model.FileSystemType


def file_system(
    file_system_id: str, *bases: str, kind: Type = Type.STANDARD, active: bool = True
) -> nas_model.FileSystem:
    """One that holds volumes under *bases*, with a mount target named after it."""
    told = dict(item for base in bases for item in tags.of_base(base).items())
    target = nas_model.MountTarget(
        domain=f"{file_system_id}-x.cn-hangzhou.nas.aliyuncs.com",
        status="Active" if active else "Inactive",
    )
    return nas_model.FileSystem(
        file_system_id=file_system_id,
        type=kind,
        status="Running",
        protocol="NFS",
        storage_type="Performance",
        zone_id="cn-hangzhou-g",
        mount_targets=(target,),
        tags=told,
    )


class FakeFileSystems:
    """`file_systems.FileSystemApi`. lagging: lists do not show any yet."""

    def __init__(self, *there: nas_model.FileSystem) -> None:
        self.there = {each.file_system_id: each for each in there}
        self.lagging = False
        self.tagged: dict[str, dict[str, str]] = {}

    async def read(self, file_system_id: str) -> nas_model.FileSystem | None:
        return self.there.get(file_system_id)

    async def find(self, *, tags: Mapping[str, str | None]) -> list[nas_model.FileSystem]:
        return (
            [] if self.lagging else [e for e in self.there.values() if tags.keys() <= e.tags.keys()]
        )

    async def tag(self, file_system_id: str, tags: Mapping[str, str]) -> None:
        self.tagged.setdefault(file_system_id, {}).update(tags)

    async def wait(self, *_: object, **__: object) -> None:
        raise AssertionError("nobody waits here")


class FakeDirectories:
    """`subpath.DirectoryApi`. dead: file systems that give an error; deleted: that are gone.

    recycles: have a bin.
    """

    def __init__(self, *there: tuple[str, str], dead: Iterable[str] = ()) -> None:
        self.there = set(there)
        self.quotas: dict[tuple[str, str], int] = {}
        self.dead = set(dead)
        self.deleted: set[str] = set()
        self.recycles = False

    async def create(
        self, file_system_id: str, path: str, *, permission: str = "0777",
        user_id: int = 0, group_id: int = 0,
    ) -> None:  # fmt: skip
        parts = pathlib.PurePosixPath(path)
        self.there |= {(file_system_id, str(each)) for each in (parts, *parts.parents)}

    async def exists(self, file_system_id: str, path: str) -> bool:
        if file_system_id in self.deleted:
            raise errors.NotFound(f"{file_system_id} does not exist")
        if file_system_id in self.dead:
            raise errors.Unavailable(f"{file_system_id} is out of order")
        return (file_system_id, path) in self.there

    async def set_quota(self, file_system_id: str, path: str, size_gib: int) -> None:
        self.quotas[file_system_id, path] = size_gib

    async def cancel_quota(self, file_system_id: str, path: str) -> None:
        self.quotas.pop((file_system_id, path), None)

    async def read_quota(self, file_system_id: str, path: str) -> nas_model.DirQuota | None:
        size_gib = self.quotas.get((file_system_id, path))
        if size_gib is None:
            return None
        return nas_model.DirQuota(path=path, status="Normal", size_gib=size_gib, file_count=None)

    async def recycle_bin_enabled(self, file_system_id: str) -> bool:
        return self.recycles


class LocalRoots:
    """Every base is a directory below *path*, by host. dead: hosts that do not answer."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.dead: set[str] = set()
        self.opened_hosts: list[str] = []
        self.asked_hosts: list[str] = []

    def leftovers(self) -> list[pathlib.Path]:
        return []

    def clean_up(self, left: Iterable[pathlib.Path]) -> None:
        pass

    def choose(self, places: Sequence[server.Place]) -> server.Place:
        self.asked_hosts += [each.host for each in places]
        return next((each for each in places if each.host not in self.dead), places[0])

    @contextlib.contextmanager
    def opened(self, place: server.Place, *, create: bool = False) -> Iterator[pathlib.Path]:
        self.opened_hosts.append(place.host)
        if place.host in self.dead:
            raise errors.Unavailable(f"{place.host} does not answer")
        path = self.path / place.host / place.base.strip("/")
        if create:
            path.mkdir(parents=True, exist_ok=True)
        if not path.is_dir():
            raise errors.NotFound(f"{place} does not exist")
        yield path
