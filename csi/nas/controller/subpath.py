"""volumeAs=subpath: a directory of a file system for each volume.

Over the NAS API where it can make directories (general-purpose NAS), through a mount elsewhere.
Source: spec/csi-driver.md 3.2.
"""

import dataclasses
import hashlib
import threading
import zlib
from typing import Protocol

import structlog

from cloud import nas_model
from core import errors, executor, units
from csi.nas import layout, server, tree
from csi.nas.controller import file_systems, made, params, removal, settings

log = structlog.get_logger()

Type = nas_model.FileSystemType
_THREADS = 4


class DirectoryApi(Protocol):
    """What is needed of `cloud.nas_directories.Directories`."""

    async def create(
        self,
        file_system_id: str,
        path: str,
        *,
        permission: str = "0777",
        user_id: int = 0,
        group_id: int = 0,
    ) -> None: ...

    async def exists(self, file_system_id: str, path: str) -> bool: ...

    async def set_quota(self, file_system_id: str, path: str, size_gib: int) -> None: ...

    async def cancel_quota(self, file_system_id: str, path: str) -> None: ...

    async def read_quota(self, file_system_id: str, path: str) -> nas_model.DirQuota | None: ...

    async def recycle_bin_enabled(self, file_system_id: str) -> bool: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A volume that exists. file_system: None on a server of one's own."""

    volume_id: str
    name: str
    place: server.Place
    file_system: nas_model.FileSystem | None

    @property
    def path(self) -> str:
        """Path of the volume on its server."""
        return layout.volume(self.place.base, self.name)

    @property
    def by_api(self) -> bool:
        """Whether the NAS API can work on its directory."""
        return self.file_system is not None and self.file_system.type is Type.STANDARD


class Subpaths:
    """Makes, grows and deletes such volumes."""

    def __init__(
        self,
        *,
        catalogue: file_systems.Catalogue,
        directories: DirectoryApi,
        roots: removal.Roots,
        remover: removal.Remover,
        config: settings.NasSettings,
    ) -> None:
        self._catalogue = catalogue
        self._directories = directories
        self._roots = roots
        self._remover = remover
        self._config = config
        self._pool = executor.BoundedExecutor("nas-subpath", _THREADS)

    def clean_up(self) -> None:
        """Begin to remove what the last process left mounted; dead servers take their time."""
        left = self._roots.leftovers()
        work = threading.Thread(
            target=self._roots.clean_up, args=(left,), name="nas-clean-up", daemon=True
        )
        work.start()

    async def create(
        self, want: made.VolumeRequest, parameters: params.SubpathParameters
    ) -> made.Made:
        """The volume, made now or before.

        Raises Exists when it was made with another size or another archiveOnDelete.
        """
        layout.require_name("name", want.name)
        place = choose_place(parameters.places, want.name)
        file_system = await self._file_system(place, parameters)
        size_bytes = _size_bytes(want, quota=parameters.quota)
        record = layout.Record(archive=parameters.archive, capacity_bytes=size_bytes)
        told = {"server": place.host, "path": layout.volume(place.base, want.name)}
        if "mountType" in parameters.context and parameters.context["mountType"] == "losetup":
            told["loopImageSize"] = str(size_bytes)
        if file_system is None:
            name = own_server_name(place, want.name)
            told["path"] = layout.volume(place.base, name)
            await self._make_mounted(place, name, record)
            volume_id = own_server_id(place, name)
            return made.Made(volume_id, size_bytes, {**parameters.context, **told})
        told |= {
            "fileSystemId": file_system.file_system_id,
            "fileSystemType": file_system.type.value,
        }
        await self._catalogue.hold_volumes(file_system, place.base)
        if file_system.type is not Type.STANDARD:
            await self._make_mounted(place, want.name, record)
        elif not self._config.fake_provision:
            await self._make_by_api(file_system, place.base, want.name, record)
            if parameters.quota:
                size_gib = units.ceil_gib(size_bytes)
                await self._directories.set_quota(
                    file_system.file_system_id, told["path"], size_gib
                )
                told["volumeCapacity"] = "true"
        return made.Made(want.name, size_bytes, {**parameters.context, **told})

    async def find(self, volume_id: str) -> Found | None:
        """The volume of that id, None when it has no record anywhere.

        Raises Internal when several file systems have a record of it: taking one would be a guess.
        """
        own = parse_own_server_id(volume_id)
        if own is not None:
            place, name = own
            return Found(volume_id=volume_id, name=name, place=place, file_system=None)
        if not layout.is_name(volume_id):
            return None
        found = await self._find_under(volume_id, await self._catalogue.bases())
        if not found:
            found = await self._find_under(volume_id, await self._catalogue.bases(fresh=True))
        if len(found) > 1:
            told = ", ".join(f"{each.place.host}{each.path}" for each in found)
            raise errors.Internal(
                f"volume {volume_id} has records in several places: {told}; remove the directory "
                f"{layout.RECORDS}/{volume_id} from all but one"
            )
        return found[0] if found else None

    async def delete(self, volume: Found) -> None:
        """Archive the volume's directory or delete its files, as its record says."""
        keep = False
        if volume.by_api and volume.file_system is not None:
            file_system_id = volume.file_system.file_system_id
            await self._directories.cancel_quota(file_system_id, volume.path)
            if self._config.check_recycle_bin:
                keep = not await self._directories.recycle_bin_enabled(file_system_id)
        await self._remover.remove(volume.name, volume.place, keep=keep)

    async def expand(self, volume: Found, want: made.ExpandRequest) -> int:
        """Size in bytes afterwards. A quota only ever grows; without one any size is told."""
        quota = None
        if volume.by_api and volume.file_system is not None:
            file_system_id = volume.file_system.file_system_id
            quota = await self._directories.read_quota(file_system_id, volume.path)
        if quota is None or quota.size_gib is None or volume.file_system is None:
            return want.required_bytes or want.limit_bytes
        size_gib = max(quota.size_gib, units.ceil_gib(want.required_bytes))
        made.require_within(want, units.gib_to_bytes(size_gib))
        if size_gib > quota.size_gib:
            await self._directories.set_quota(
                volume.file_system.file_system_id, volume.path, size_gib
            )
        return units.gib_to_bytes(size_gib)

    async def close(self) -> None:
        """Take no more calls."""
        await self._remover.close()
        self._pool.close()

    async def _file_system(
        self, place: server.Place, parameters: params.SubpathParameters
    ) -> nas_model.FileSystem | None:
        """The file system behind *place*, None for a server of one's own."""
        file_system_id = parameters.file_system_id or server.file_system_id(place.host)
        if not file_system_id:
            return None
        field = "parameters[fileSystemId]" if parameters.file_system_id else "parameters[server]"
        return await self._catalogue.require(file_system_id, field=field)

    async def _make_by_api(
        self, file_system: nas_model.FileSystem, base: str, name: str, record: layout.Record
    ) -> None:
        file_system_id = file_system.file_system_id
        wanted = layout.record(base, name, record)
        if await self._directories.exists(file_system_id, layout.records(base, name)):
            # Made before; with the same record, or it is another volume of that name.
            if not await self._directories.exists(file_system_id, wanted):
                raise _other_record(name)
        else:
            await self._directories.create(file_system_id, wanted, permission="0700")
        await self._directories.create(file_system_id, layout.volume(base, name))

    async def _make_mounted(self, place: server.Place, name: str, record: layout.Record) -> None:
        def make() -> None:
            with self._roots.opened(place, create=True) as base:
                there = tree.read_record(base, name)
                if there not in (None, record):
                    raise _other_record(name)
                tree.make(base, name, record)

        await self._pool.run(make)

    async def _find_under(self, name: str, bases: list[file_systems.Base]) -> list[Found]:
        return [
            Found(volume_id=name, name=name, place=base.place, file_system=base.file_system)
            for base in bases
            if await self._has_record(base, name)
        ]

    async def _has_record(self, base: file_systems.Base, name: str) -> bool:
        if base.file_system.type is Type.STANDARD:
            return await self._directories.exists(
                base.file_system.file_system_id, layout.records(base.path, name)
            )

        def look() -> bool:
            with self._roots.opened(base.place) as root:
                return tree.read_record(root, name) is not None

        try:
            return await self._pool.run(look)
        except errors.NotFound:
            return False


def choose_place(places: tuple[server.Place, ...], name: str) -> server.Place:
    """One of *places*, always the same for a name, so that a retry comes to the same. Pure."""
    return places[zlib.crc32(name.encode()) % len(places)]


_OWN = "nfs#"
_DIGEST_CHARS = 16


def own_server_id(place: server.Place, name: str) -> str:
    """Volume id on a server of one's own: no cloud could tell later where *name* is. Pure."""
    return f"{_OWN}{place.host}#{place.base}#{name}"


def own_server_name(place: server.Place, name: str) -> str:
    """*name*, shortened with a digest when the volume id would be too long with it. Pure.

    Raises InvalidField when server and path leave no room.
    """
    room = layout.ID_MAX_BYTES - len(own_server_id(place, "").encode())
    if len(name) <= room:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARS]
    kept = room - len(digest) - 1
    if kept < 1:
        raise errors.InvalidField(
            "parameters[server]",
            "makes volume ids that are too long",
            value=place.export,
            allowed=f"server and path of at most {layout.ID_MAX_BYTES - 32} characters together",
        )
    return f"{name[:kept]}-{digest}"


def parse_own_server_id(volume_id: str) -> tuple[server.Place, str] | None:
    """Inverse of `own_server_id`, None for another id. Raises InvalidField for a broken one."""
    if not volume_id.startswith(_OWN):
        return None
    host, _, rest = volume_id.removeprefix(_OWN).partition("#")
    base, _, name = rest.rpartition("#")
    place = server.parse_place("volume_id", f"{host}:{base}")
    return place, layout.require_name("volume_id", name)


def _size_bytes(want: made.VolumeRequest, *, quota: bool) -> int:
    """Size of the volume: whole GiB with a quota, what was asked for without."""
    size_bytes = want.required_bytes or want.limit_bytes
    if quota:
        size_bytes = units.gib_to_bytes(max(1, units.ceil_gib(size_bytes)))
        if want.limit_bytes and size_bytes > want.limit_bytes:
            raise errors.OutOfRange(
                f"a quota is whole GiB: {size_bytes} bytes are above "
                f"capacity_range.limit_bytes {want.limit_bytes}"
            )
    return size_bytes


def _other_record(name: str) -> errors.Exists:
    return errors.Exists(f"volume {name} exists with another size or another archiveOnDelete")
