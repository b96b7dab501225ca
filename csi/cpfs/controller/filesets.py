"""Volumes that are filesets: made once, grown, deleted.

A fileset is found by its path, which holds the volume's name: that works for ever and from any
process. A client token covers the moments until it is seen. Source: spec/csi-driver.md 4.2.
"""

from collections.abc import Callable
from typing import Protocol

import structlog

from cloud import errors as cloud_errors
from cloud import nas_model
from core import call, clock, errors, units
from csi import token_chain
from csi.cpfs import handles
from csi.cpfs.controller import marks, params

log = structlog.get_logger()

Fileset = nas_model.Fileset

_LOOKS = 3
"""A fileset made by somebody else shows up in lists within seconds."""
_CREATED = "created"
_GOING = ("releasing", "deleting")
_PATH_TAKEN = "OperationDenied.AlreadyExists"
_NO_PARENT = ("InvalidFileSystemPath.ParentNotFound", "InvalidFileSystemPath.NotDirectory")
_MISMATCH = "IdempotentParameterMismatch"
_PROTECTED = "InvalidOperation.DeletionProtection"
_CHANGING = "OperationDenied.InvalidState"
"""Codes: NAS API, CreateFileset and DeleteFileset."""
_DELETE_TURNS = 10
_DELETE_EVERY_S = 2.0
"""The cloud deletes a fileset only while none of its file system is being made or deleted."""


class FilesetApi(Protocol):
    """What is needed of `cloud.cpfs_filesets.Filesets`."""

    async def create(
        self,
        file_system_id: str,
        path: str,
        *,
        description: str,
        size_bytes: int,
        file_count: int,
        client_token: str,
    ) -> str: ...

    async def find(self, file_system_id: str, *, path: str) -> Fileset | None: ...

    async def read(self, file_system_id: str, fileset_id: str) -> Fileset | None: ...

    async def set_quota(
        self, file_system_id: str, fileset_id: str, *, size_bytes: int, file_count: int
    ) -> None: ...

    async def delete(self, file_system_id: str, fileset_id: str) -> None: ...

    async def wait(
        self,
        file_system_id: str,
        fileset_id: str,
        done: Callable[[Fileset | None], bool],
        *,
        what: str,
    ) -> Fileset | None: ...


class Filesets:
    """Makes, grows and deletes them. cluster_id: what another made is left alone; "" = unknown."""

    def __init__(self, api: FilesetApi, time: clock.Clock, *, cluster_id: str = "") -> None:
        self._api = api
        self._clock = time
        self._cluster_id = cluster_id

    async def create(self, name: str, size_bytes: int, wish: params.CpfsParameters) -> Fileset:
        """The fileset of volume *name*, made now or before, ready to be used.

        Raises Exists when it was made with another size.
        """
        file_system_id, path = wish.file_system_id, wish.path(name)
        found = await self._api.find(file_system_id, path=path)
        if found is None:
            found = await self._make(name, size_bytes, wish)
        self._require_ours(found, name)
        _require_same(found, name, size_bytes)
        ready = await self._api.wait(
            file_system_id,
            found.fileset_id,
            lambda seen: seen is None or seen.status.lower() not in ("creating", "pending"),
            what=f"fileset {found.fileset_id} of {file_system_id} to be made",
        )
        if ready is None or ready.status.lower() in _GOING:
            raise errors.Unavailable(
                f"fileset {found.fileset_id} is not seen any more, or not yet; retry"
            )
        if ready.status.lower() != _CREATED:
            raise errors.Internal(
                f"fileset {found.fileset_id} of {file_system_id} is {ready.status}; look at it in "
                "the console, delete it there, then retry"
            )
        return ready

    async def read(self, handle: handles.Handle) -> Fileset | None:
        """The fileset of a volume now, None when there is none or it is going."""
        try:
            found = await self._api.read(handle.file_system_id, handle.fileset_id)
        except cloud_errors.CloudNotFound:
            return None  # with its file system
        return None if found is None or found.status.lower() in _GOING else found

    async def delete(self, handle: handles.Handle) -> None:
        """Return when the fileset is gone with its files; one that never was is fine."""
        file_system_id, fileset_id = handle.file_system_id, handle.fileset_id
        await self._require_no_other_clusters(handle)
        await self._begin_to_delete(handle)
        await self._api.wait(
            file_system_id,
            fileset_id,
            lambda seen: seen is None,
            what=f"fileset {fileset_id} of {file_system_id} to be deleted",
        )
        log.info("fileset deleted", file_system_id=file_system_id, fileset_id=fileset_id)

    async def expand(self, handle: handles.Handle, required_bytes: int, limit_bytes: int) -> int:
        """Size in bytes afterwards; a quota only ever grows. Raises NotFound, OutOfRange."""
        found = await self.read(handle)
        if found is None:
            raise errors.NotFound(f"volume {handle} does not exist")
        wanted_bytes = params.choose_size_bytes(required_bytes, limit_bytes)
        if not found.size_bytes:
            return wanted_bytes  # never limited: there is nothing to grow
        if limit_bytes and found.size_bytes > limit_bytes:
            raise errors.OutOfRange(
                f"volume {handle} has {found.size_bytes} bytes and is never made smaller; above "
                f"capacity_range.limit_bytes {limit_bytes}"
            )
        if wanted_bytes > found.size_bytes:
            await self._api.set_quota(
                handle.file_system_id,
                handle.fileset_id,
                size_bytes=wanted_bytes,
                # The API drops a limit that is not named.
                file_count=found.file_count,
            )
        return max(wanted_bytes, found.size_bytes)

    def _require_ours(self, found: Fileset, name: str) -> None:
        """DeleteVolume deletes the volume's fileset: it must be one that was made for it."""
        wanted = marks.Mark.of(name, cluster_id=self._cluster_id)
        told = marks.Mark.parse(found.description)
        if told is None or not told.is_of(name) or told.is_foreign_to(self._cluster_id):
            raise errors.Exists(
                f"{found.path} holds fileset {found.fileset_id}, which was not made for volume "
                f"{name}: its description is {found.description!r}, not {str(wanted)!r}; use "
                "another parameters[path], or publish it as a static volume"
            )

    async def _require_no_other_clusters(self, handle: handles.Handle) -> None:
        """Raise Precondition for a fileset that another cluster made."""
        found = await self.read(handle) if self._cluster_id else None
        told = marks.Mark.parse(found.description) if found else None
        if told is not None and told.is_foreign_to(self._cluster_id):
            raise errors.Precondition(
                f"fileset {handle.fileset_id} of {handle.file_system_id} was made by cluster "
                f"{told.cluster} and is not deleted by cluster {self._cluster_id}; when that "
                "cluster is gone for good, change the fileset's description, then retry"
            )

    async def _begin_to_delete(self, handle: handles.Handle) -> None:
        """Return when the fileset is going or gone.

        Raises Precondition for a protected one, Unavailable while others keep it from being
        deleted.
        """
        why = ""
        for turn in range(_DELETE_TURNS):
            if turn:
                await self._clock.sleep(_DELETE_EVERY_S)
            try:
                await self._api.delete(handle.file_system_id, handle.fileset_id)
            except cloud_errors.CloudNotFound:
                return
            except cloud_errors.CloudError as e:
                if e.code == _PROTECTED:
                    raise errors.Precondition(
                        f"fileset {handle.fileset_id} of {handle.file_system_id} is protected from "
                        f"deletion; switch that off in the console, then retry: {e}"
                    ) from e
                if e.code != _CHANGING:
                    raise
                why = str(e)
            else:
                return
            call.doing(f"waiting for the other filesets of {handle.file_system_id} to be at rest")
            if await self._is_going(handle):
                return  # an earlier call has begun it
        raise errors.Unavailable(
            f"fileset {handle.fileset_id} of {handle.file_system_id} cannot be deleted while "
            f"others are being made or deleted; retry: {why}"
        )

    async def _is_going(self, handle: handles.Handle) -> bool:
        """Whether the fileset is seen going. Not seen is not gone: lists lag behind."""
        try:
            found = await self._api.read(handle.file_system_id, handle.fileset_id)
        except cloud_errors.CloudNotFound:
            return True  # with its file system
        return found is not None and found.status.lower() in _GOING

    async def _make(self, name: str, size_bytes: int, wish: params.CpfsParameters) -> Fileset:
        file_system_id, path = wish.file_system_id, wish.path(name)

        async def create(token: str) -> str:
            return await self._api.create(
                file_system_id,
                path,
                description=str(marks.Mark.of(name, cluster_id=self._cluster_id)),
                size_bytes=size_bytes,
                file_count=wish.file_count,
                client_token=token,
            )

        async def find() -> Fileset | None:
            return await self._api.find(file_system_id, path=path)

        async def read(fileset_id: str) -> Fileset | None:
            return await self._api.read(file_system_id, fileset_id)

        try:
            return await token_chain.make(
                name,
                kind="volume",
                wish=f"{file_system_id}{path}/{size_bytes // units.gib_to_bytes(1)}",
                create=create,
                is_spent=lambda e: e.code == _MISMATCH,
                find=lambda: token_chain.look(find, self._clock, times=_LOOKS),
                read=lambda made: token_chain.look(lambda: read(made), self._clock, times=_LOOKS),
            )
        except cloud_errors.CloudError as e:
            if e.code in _NO_PARENT:
                raise errors.InvalidField(
                    "parameters[path]",
                    f"is no directory of file system {file_system_id}; make it there first",
                    value=wish.base or "/",
                ) from e
            if e.code != _PATH_TAKEN:
                raise
            found = await token_chain.look(find, self._clock, times=_LOOKS)
            if found is None:
                raise errors.Precondition(
                    f"{path} of file system {file_system_id} is there already and is no fileset; "
                    "it may hold files, so move it away by hand"
                ) from e
            return found


def _require_same(found: Fileset, name: str, size_bytes: int) -> None:
    if found.size_bytes != size_bytes:
        raise errors.Exists(
            f"volume {name} exists as fileset {found.fileset_id} with {found.size_bytes} bytes; "
            f"{size_bytes} bytes were asked for"
        )
