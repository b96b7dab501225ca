"""Directories of file systems. Clients put symbolic links there: none is followed here."""

import contextlib
import errno
import os
import pathlib
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator

from sim.hardware import api, files_api

_PARENT_MODE = 0o755
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 512
"""Unit of st_blocks."""


class Trees:
    """One directory for each file system, below *directory*. Methods raise HardwareError."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._trees = directory / "trees"
        self._trash = directory / "trash"

    def root(self, file_system_id: str) -> pathlib.Path:
        """Where the tree of a file system is."""
        return self._trees / file_system_id

    def sync(self, file_system_ids: Iterable[str]) -> bool:
        """Make the trees that are missing, and set those aside that there are no more of.

        Returns whether there is something for `empty_trash`.
        """
        wanted = set(file_system_ids)
        with _told(self._trees):
            self._trash.mkdir(parents=True, exist_ok=True)
            self._trees.mkdir(exist_ok=True)
            have = {path.name for path in self._trees.iterdir()}
            for name in have - wanted:
                (self._trees / name).rename(self._trash / uuid.uuid4().hex)
            for name in wanted - have:
                (self._trees / name).mkdir()
                (self._trees / name).chmod(0o777)  # who mounts a new NAS may write to it
            return bool(list(self._trash.iterdir()))

    def empty_trash(self) -> None:
        """Delete what was set aside. It may take long."""
        with _told(self._trash):
            for path in list(self._trash.iterdir()):
                shutil.rmtree(path)

    def make(
        self, file_system_id: str, path: str, *, user_id: int, group_id: int, mode: int
    ) -> None:
        """As `files_api.Files.make_directory`."""
        parts = _parts(path)
        with _told(self.root(file_system_id), path), contextlib.ExitStack() as opened:
            here = _open(opened, str(self.root(file_system_id)))
            for at, name in enumerate(parts):
                last = at == len(parts) - 1
                try:
                    os.mkdir(name, _PARENT_MODE, dir_fd=here)
                except FileExistsError:
                    here = _open(opened, name, here)
                    continue
                here = _open(opened, name, here)
                if last:
                    os.fchown(here, user_id, group_id)
                os.fchmod(here, mode if last else _PARENT_MODE)

    def set_aside(self, file_system_id: str, path: str) -> None:
        """Move a directory away, for `empty_trash`; one that is not there is fine."""
        *above, name = _parts(path)
        with _told(self.root(file_system_id), path), contextlib.ExitStack() as opened:
            try:
                here = _open(opened, str(self.root(file_system_id)))
                for part in above:
                    here = _open(opened, part, here)
                os.rename(name, self._trash / uuid.uuid4().hex, src_dir_fd=here)
            except FileNotFoundError:
                return

    def is_directory(self, file_system_id: str, path: str) -> bool | None:
        """As `files_api.Files.is_directory`."""
        parts = _parts(path)
        with _told(self.root(file_system_id), path), contextlib.ExitStack() as opened:
            try:
                here = _open(opened, str(self.root(file_system_id)))
                for name in parts[:-1]:
                    here = _open(opened, name, here)
                found = os.stat(parts[-1] if parts else ".", dir_fd=here, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as e:
                if e.errno == errno.ELOOP:
                    return None
                raise
            return stat.S_ISDIR(found.st_mode)

    @contextlib.contextmanager
    def opened(self, file_system_id: str, path: str) -> Iterator[int | None]:
        """The directory at *path* as an open descriptor; None when there is none."""
        with contextlib.ExitStack() as opened:
            if not self.is_directory(file_system_id, path):
                yield None
                return
            with _told(self.root(file_system_id), path):
                here = _open(opened, str(self.root(file_system_id)))
                for name in _parts(path):
                    here = _open(opened, name, here)
            yield here


def usage(directory: int) -> files_api.Usage:
    """What is below an open directory, found by walking. Raises OSError."""
    size, count = 0, 0
    counted = set()
    for _, folders, names, here in os.fwalk(dir_fd=directory):
        for name in [*folders, *names]:
            try:
                found = os.stat(name, dir_fd=here, follow_symlinks=False)
            except FileNotFoundError:
                continue  # it went meanwhile
            if found.st_ino not in counted:
                counted.add(found.st_ino)
                size += found.st_blocks * _BLOCK
                count += 1
    return files_api.Usage(size_bytes=size, file_count=count)


def _parts(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or ".." in parts:
        raise api.HardwareError(f"files: {path!r} is no absolute path without '..'")
    return parts


def _open(opened: contextlib.ExitStack, name: str, here: int | None = None) -> int:
    """Open a directory, until the stack ends."""
    fd = os.open(name, _DIRECTORY, dir_fd=here)
    opened.callback(os.close, fd)
    return fd


@contextlib.contextmanager
def _told(where: pathlib.Path, path: str = "") -> Iterator[None]:
    """HardwareError for OSError."""
    try:
        yield
    except OSError as e:
        raise api.HardwareError(f"files: {where}{path}: {e}") from e
