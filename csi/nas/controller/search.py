"""Which directory is a volume's: its record is looked for under every base there is.

One file system that cannot be looked into keeps nobody from finding what is on another.
"""

import asyncio
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol

from cloud import nas_model
from core import errors, executor
from csi.nas import layout, server, tree
from csi.nas.controller import file_systems, own_server, removal

Type = nas_model.FileSystemType


class Unsure(errors.Unavailable):
    """No record was found, and not every base could be looked into."""


class DirectoryApi(Protocol):
    """What is needed of `cloud.nas_directories.Directories`."""

    async def exists(self, file_system_id: str, path: str) -> bool: ...


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


class Search:
    """Finds volumes that are directories."""

    def __init__(
        self,
        *,
        catalogue: file_systems.Catalogue,
        directories: DirectoryApi,
        roots: removal.Roots,
        pools: executor.ExecutorPerKey,
    ) -> None:
        self._catalogue = catalogue
        self._directories = directories
        self._roots = roots
        self._pools = pools
        self._ways: dict[str, str] = {}
        """File systems → server by which one of several ways in was open last."""

    async def find(self, volume_id: str) -> Found | None:
        """The volume of that id, None when it has no record anywhere.

        Raises Internal when several file systems have a record of it: taking one would be a guess.
        Raises Unsure, and what a server of one's own says.
        """
        own = own_server.parse(volume_id)
        if own is not None:
            place, name = own
            there = await self._is_mounted_record(place, name)
            found = Found(volume_id=volume_id, name=name, place=place, file_system=None)
            return found if there else None
        if not layout.is_name(volume_id):
            return None
        found_now, failed = await self._look(volume_id, await self._catalogue.bases())
        if not found_now:
            bases = await self._catalogue.bases(fresh=True)
            found_now, failed = await self._look(volume_id, bases)
        if not found_now and failed:
            told = "; ".join(dict.fromkeys(map(str, failed)))
            raise Unsure(f"volume {volume_id} may be where nobody can look now: {told}")
        return _only(volume_id, found_now)

    async def find_elsewhere(
        self, name: str, file_system_id: str, path: str
    ) -> file_systems.Base | None:
        """Another base than *path* of *file_system_id* that has a record of volume *name*.

        Only where the API can look, and does so now: nothing is mounted.
        """
        bases = [
            base
            for base in await self._catalogue.bases()
            if base.file_system.type is Type.STANDARD
            and (base.file_system.file_system_id, base.path) != (file_system_id, path)
        ]
        told = await asyncio.gather(
            *(self._has_record(base, name) for base in bases), return_exceptions=True
        )
        for base, answer in zip(bases, told, strict=True):
            if isinstance(answer, BaseException) and not isinstance(answer, errors.Error):
                raise answer
            if answer is True:
                return base
        return None

    async def _look(
        self, name: str, bases: Sequence[file_systems.Base]
    ) -> tuple[list[Found], list[errors.Error]]:
        """Where records are, and what kept from looking. Mounts only what the API does not know."""
        by_api = [base for base in bases if base.file_system.type is Type.STANDARD]
        mounted = [base for base in bases if base.file_system.type is not Type.STANDARD]
        found, failed = await self._look_in(name, by_api)
        if found or not mounted:
            return found, failed
        found, more = await self._look_in(name, mounted)
        return found, [*failed, *more]

    async def _look_in(
        self, name: str, bases: Iterable[file_systems.Base]
    ) -> tuple[list[Found], list[errors.Error]]:
        bases = list(bases)
        told = await asyncio.gather(
            *(self._has_record(base, name) for base in bases), return_exceptions=True
        )
        found, failed = [], []
        for base, answer in zip(bases, told, strict=True):
            if isinstance(answer, errors.NotFound):
                # Its file system was deleted, with all on it, and is remembered still.
                continue
            if isinstance(answer, errors.Error):
                failed.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            elif answer:
                place = await self._way_in(base)
                found.append(
                    Found(volume_id=name, name=name, place=place, file_system=base.file_system)
                )
        return found, failed

    async def _has_record(self, base: file_systems.Base, name: str) -> bool:
        if base.file_system.type is not Type.STANDARD:
            return await self._is_mounted_record(await self._way_in(base), name)
        path = layout.records(base.path, name)
        return await self._directories.exists(base.file_system.file_system_id, path)

    async def _way_in(self, base: file_systems.Base) -> server.Place:
        """Where to mount *base*: by the way that was open last, or the first that answers."""
        places, file_system_id = base.places, base.file_system.file_system_id
        if len(places) == 1:
            return places[0]
        last = self._ways.get(file_system_id, "")
        ordered = sorted(places, key=lambda each: each.host != last)
        place = await self._pools.of(file_system_id).run(self._roots.choose, ordered)
        self._ways[file_system_id] = place.host
        return place

    async def _is_mounted_record(self, place: server.Place, name: str) -> bool:
        def look() -> bool:
            try:
                with self._roots.opened(place) as root:
                    return tree.read_record(root, name) is not None
            except errors.NotFound:
                return False

        return await self._pools.of(place.host).run(look)


def _only(volume_id: str, found: Sequence[Found]) -> Found | None:
    if len(found) > 1:
        told = ", ".join(f"{each.place.host}{each.path}" for each in found)
        raise errors.Internal(
            f"volume {volume_id} has records in several places: {told}; remove the directory "
            f"{layout.RECORDS}/{volume_id} from all but one"
        )
    return found[0] if found else None
