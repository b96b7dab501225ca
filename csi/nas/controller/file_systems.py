"""What we know about file systems, asked for as rarely as possible."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol

from cloud import errors as cloud_errors
from cloud import nas_model
from core import clock, errors
from csi.nas import server
from csi.nas.controller import tags

FileSystem = nas_model.FileSystem
Type = nas_model.FileSystemType

_KEEP_S = 300.0
_PASSING = (errors.Kind.UNAVAILABLE, errors.Kind.BUSY, errors.Kind.DEADLINE)


class FileSystemApi(Protocol):
    """What is needed of `cloud.nas_file_systems.FileSystems`."""

    async def read(self, file_system_id: str) -> FileSystem | None: ...

    async def find(self, *, tags: Mapping[str, str | None]) -> list[FileSystem]: ...

    async def tag(self, file_system_id: str, tags: Mapping[str, str]) -> None: ...

    async def wait(
        self, file_system_id: str, done: Callable[[FileSystem | None], bool], *, what: str
    ) -> FileSystem | None: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A directory of a file system under which volumes are directories."""

    file_system: FileSystem
    path: str

    @property
    def places(self) -> tuple[server.Place, ...]:
        """Where it can be mounted, one for each way in: they are in VPCs that may not be ours.

        Raises Unavailable when no mount target is active.
        """
        targets = [each for each in self.file_system.mount_targets if each.active]
        if not targets:
            raise errors.Unavailable(
                f"file system {self.file_system.file_system_id} has no active mount target; "
                "make one"
            )
        return tuple(server.Place(host=each.domain, base=self.path) for each in targets)


class Catalogue:
    """File systems by id, and those that hold volumes as directories."""

    def __init__(self, api: FileSystemApi, time: clock.Clock) -> None:
        self._api = api
        self._clock = time
        self._known: dict[str, tuple[float, FileSystem]] = {}
        self._bases: tuple[float, list[Base]] | None = None

    async def require(self, file_system_id: str, *, field: str) -> FileSystem:
        """The file system, from memory when it was seen within five minutes.

        Raises InvalidField naming *field* when there is none.
        """
        found = await self.find(file_system_id)
        if found is None:
            raise errors.InvalidField(field, "does not exist", value=file_system_id)
        return found

    async def find(self, file_system_id: str) -> FileSystem | None:
        """The file system, from memory when it was seen within five minutes; None = none."""
        seen_s, found = self._known.get(file_system_id, (float("-inf"), None))
        if found is None or self._clock.monotonic_s() - seen_s > _KEEP_S:
            found = await self._api.read(file_system_id)
            if found is not None:
                self._remember(found)
        return found

    async def hold_volumes(self, file_system: FileSystem, base: str) -> None:
        """Note in the cloud that volumes are directories under *base*."""
        wanted = tags.of_base(base)
        now = self._known.get(file_system.file_system_id, (0.0, file_system))[1]
        if wanted.items() <= now.tags.items():
            return
        try:
            await self._api.tag(file_system.file_system_id, wanted)
        except cloud_errors.CloudError as e:
            if e.kind in _PASSING:
                raise
            raise errors.Precondition(
                f"file system {file_system.file_system_id} cannot be tagged, without which its "
                f"volumes could not be found again: {e}"
            ) from e
        self._remember(dataclasses.replace(now, tags={**now.tags, **wanted}))
        self._bases = None

    async def bases(self, *, fresh: bool = False) -> list[Base]:
        """Every base of every file system. fresh: ask the cloud now."""
        if not fresh and self._bases is not None:
            seen_s, bases = self._bases
            if self._clock.monotonic_s() - seen_s <= _KEEP_S:
                return bases
        listed = await self._api.find(tags={tags.SUBPATHS: "true"})
        found = {each.file_system_id: each for each in listed}
        # What was tagged a moment ago may not be in lists yet.
        found |= {key: each for key, each in self._noted().items() if key not in found}
        bases = [
            Base(file_system=each, path=path)
            for each in found.values()
            for path in tags.bases_of(each.tags)
        ]
        self._bases = (self._clock.monotonic_s(), bases)
        return bases

    def _noted(self) -> dict[str, FileSystem]:
        """File systems seen within five minutes that hold volumes, as far as we know."""
        now_s = self._clock.monotonic_s()
        return {
            key: each
            for key, (seen_s, each) in self._known.items()
            if now_s - seen_s <= _KEEP_S and tags.SUBPATHS in each.tags
        }

    def _remember(self, file_system: FileSystem) -> None:
        self._known[file_system.file_system_id] = (self._clock.monotonic_s(), file_system)
