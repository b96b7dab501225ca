"""volumeAs=subpath: a directory of a file system for each volume.

Over the NAS API where it can make directories (general-purpose NAS), through a mount elsewhere.
Source: spec/csi-driver.md 3.2.
"""

import threading
import zlib
from typing import Protocol

import structlog

from cloud import nas_model
from core import errors, executor, units
from csi.nas import layout, paths, server, topology, tree
from csi.nas.controller import (
    file_systems,
    made,
    own_server,
    params,
    quotas,
    removal,
    search,
    settings,
)

log = structlog.get_logger()

Type = nas_model.FileSystemType
_THREADS = 4
"""For each server."""


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
        self._owner = layout.owner_of(config.cluster_id)
        self._pools = executor.ExecutorPerKey("nas-subpath", _THREADS)
        self._search = search.Search(
            catalogue=catalogue, directories=directories, roots=roots, pools=self._pools
        )

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
            name = own_server.short_name(place, want.name)
            told["path"] = layout.volume(place.base, name)
            await self._make_mounted(place, name, record)
            volume_id = own_server.volume_id(place, name)
            return made.Made(volume_id, size_bytes, {**parameters.context, **told})
        told |= {
            "fileSystemId": file_system.file_system_id,
            "fileSystemType": file_system.type.value,
        }
        if self._config.topology:
            topology.require_reachable(file_system.zone_id, want.zone_ids)
        await self._require_nowhere_else(want.name, file_system, place.base)
        await self._catalogue.hold_volumes(file_system, place.base)
        if file_system.type is not Type.STANDARD:
            await self._make_mounted(place, want.name, record)
        elif not self._config.fake_provision:
            is_new = await self._make_by_api(file_system, place.base, want.name, record)
            if parameters.quota:
                size_gib = await quotas.ensure(
                    self._directories,
                    file_system.file_system_id,
                    told["path"],
                    units.ceil_gib(size_bytes),
                    is_new=is_new,
                )
                size_bytes = units.gib_to_bytes(size_gib)
                told["volumeCapacity"] = "true"
        context = {**parameters.context, **told}
        return made.Made(want.name, size_bytes, context, zone_id=file_system.zone_id)

    async def find(self, volume_id: str) -> search.Found | None:
        """The volume of that id, None when it has no record anywhere. Raises `Search.find`'s."""
        return await self._search.find(volume_id)

    async def adopt(
        self, name: str, place: server.Place, file_system_id: str, record: layout.Record
    ) -> search.Found | None:
        """Note *record* of the directory that another driver made; None when it is not there.

        file_system_id: "" on a server of one's own.
        """
        layout.require_name("volume_id", name)
        file_system = await self._catalogue.find(file_system_id) if file_system_id else None
        if file_system_id and file_system is None:
            return None
        found = search.Found(volume_id=name, name=name, place=place, file_system=file_system)
        if file_system is not None and file_system.type is Type.STANDARD:
            if not await self._directories.exists(file_system_id, found.path):
                return None
            await self._catalogue.hold_volumes(file_system, place.base)
            records = layout.records(place.base, name)
            if not await self._directories.exists(file_system_id, records):
                # A second one would contradict it; lists may not have told of the first one yet.
                await self._directories.create(
                    file_system_id,
                    layout.owned_record(place.base, name, record, self._owner),
                    permission="0700",
                )
            return found
        if file_system is not None:
            await self._catalogue.hold_volumes(file_system, place.base)
        return found if await self._note_mounted(place, name, record) else None

    async def _note_mounted(self, place: server.Place, name: str, record: layout.Record) -> bool:
        """Whether the directory is there, which has the record then."""

        def note() -> bool:
            try:
                with self._roots.opened(place) as base:
                    return tree.note(base, name, record, owner=self._owner)
            except errors.NotFound:
                return False

        return await self._pools.of(place.host).run(note)

    async def delete(self, volume: search.Found) -> None:
        """Archive the volume's directory or delete its files, as its record says."""
        keep = False
        if volume.by_api and volume.file_system is not None:
            file_system_id = volume.file_system.file_system_id
            await self._remover.require_own(volume.name, volume.place)
            await self._directories.cancel_quota(file_system_id, volume.path)
            if self._config.check_recycle_bin:
                keep = not await self._directories.recycle_bin_enabled(file_system_id)
        has_gone = await self._remover.remove(volume.name, volume.place, keep=keep)
        if not has_gone and volume.by_api and volume.file_system is not None:
            await self._require_gone(volume, volume.file_system.file_system_id)

    async def _require_gone(self, volume: search.Found, file_system_id: str) -> None:
        """Raise Unavailable when the cloud has a record that the mount does not show."""
        records = layout.records(volume.place.base, volume.name)
        if await self._directories.exists(file_system_id, records):
            raise errors.Unavailable(
                f"volume {volume.volume_id} has the record {records} on {file_system_id}, which "
                f"is not seen at {volume.place}; retry, or look where that name leads"
            )

    async def expand(self, volume: search.Found, want: made.ExpandRequest) -> int:
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
        self._pools.close()

    async def _file_system(
        self, place: server.Place, parameters: params.SubpathParameters
    ) -> nas_model.FileSystem | None:
        """The file system behind *place*, None for a server of one's own."""
        file_system_id = parameters.file_system_id or server.file_system_id(place.host)
        if not file_system_id:
            return None
        field = "parameters[fileSystemId]" if parameters.file_system_id else "parameters[server]"
        return await self._catalogue.require(file_system_id, field=field)

    async def _require_nowhere_else(
        self, name: str, file_system: nas_model.FileSystem, base: str
    ) -> None:
        """Raise Exists for a volume that an earlier call began on another file system.

        As when its StorageClass was made anew before the retry. What is there may have a
        PersistentVolume, so it is not taken away; and with a second record nobody could tell which
        of the two DeleteVolume is to delete.
        """
        there = await self._search.find_elsewhere(name, file_system.file_system_id, base)
        if there is not None:
            raise errors.Exists(
                f"volume {name} was begun on {there.file_system.file_system_id} in {there.path}, "
                "where its record is, and the StorageClass leads elsewhere now; let it lead there "
                f"until the volume is made, or remove {layout.records(there.path, name)} and "
                f"{layout.volume(there.path, name)} if no PersistentVolume needs them"
            )

    async def _make_by_api(
        self, file_system: nas_model.FileSystem, base: str, name: str, record: layout.Record
    ) -> bool:
        """Whether nothing of the volume was there before."""
        self._require_stays(name)
        file_system_id = file_system.file_system_id
        wanted = layout.owned_record(base, name, record, self._owner)
        is_there = await self._directories.exists(file_system_id, layout.records(base, name))
        if is_there:
            await self._require_same(file_system_id, base, name, record)
        await self._directories.create(file_system_id, wanted, permission="0700")
        await self._directories.create(file_system_id, layout.volume(base, name))
        return not is_there

    async def _require_same(
        self, file_system_id: str, base: str, name: str, record: layout.Record
    ) -> None:
        """Raise Exists when what was made before is another volume, Busy while it goes."""

        async def there(path: str) -> bool:
            return await self._directories.exists(file_system_id, path)

        if await there(paths.join(base, layout.trash_name(name))):
            raise _going(name)
        if not await there(layout.record(base, name, record)):
            raise _other_record(name)
        if (
            self._owner
            and not await there(layout.owned_record(base, name, record, self._owner))
            and await there(layout.owners(base, name, record))
        ):
            raise _other_cluster(name)

    async def _make_mounted(self, place: server.Place, name: str, record: layout.Record) -> None:
        self._require_stays(name)

        def make() -> None:
            with self._roots.opened(place, create=True) as base:
                there = tree.read_record(base, name)
                if tree.is_going(base, name):
                    raise _going(name)
                if there not in (None, record):
                    raise _other_record(name)
                owner = tree.read_owner(base, name, record)
                if self._owner and owner not in ("", self._owner):
                    raise _other_cluster(name)
                tree.make(base, name, record, owner=self._owner)

        await self._pools.of(place.host).run(make)

    def _require_stays(self, name: str) -> None:
        """Raise Busy while an earlier volume of that name goes: at the end, its record does."""
        if self._remover.is_removing(name):
            raise _going(name)


def choose_place(places: tuple[server.Place, ...], name: str) -> server.Place:
    """One of *places*, always the same for a name, so that a retry comes to the same. Pure."""
    return places[zlib.crc32(name.encode()) % len(places)]


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


def _going(name: str) -> errors.Busy:
    return errors.Busy(f"volume {name} is being deleted; retry when its files are gone")


def _other_record(name: str) -> errors.Exists:
    return errors.Exists(f"volume {name} exists with another size or another archiveOnDelete")


def _other_cluster(name: str) -> errors.Exists:
    return errors.Exists(f"volume {name} exists and is of another cluster; take another name")
