"""Where each volume is published on this node, in notes: the client's mounts do not tell. Blocking.

A note is there before its mount and goes after it; that it is mounted is read from the kernel.
"""

import contextlib
import hashlib
import os
import pathlib

from host import mountinfo

_DIRECTORY = "published"


class Published:
    """Notes below *work_dir*."""

    def __init__(self, work_dir: pathlib.Path) -> None:
        self._directory = work_dir / _DIRECTORY

    def add(self, volume_id: str, target: pathlib.Path) -> None:
        """Note that the volume is to be mounted at *target*."""
        note = self._note(volume_id, target)
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = note.with_suffix(".new")
        new.write_bytes(os.fsencode(target))
        new.replace(note)

    def drop(self, volume_id: str, target: pathlib.Path) -> None:
        """Note that it is there no more."""
        note = self._note(volume_id, target)
        note.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are there, or never was any
            note.parent.rmdir()

    def others(self, volume_id: str, target: pathlib.Path) -> list[pathlib.Path]:
        """Other paths at which the volume is mounted now."""
        return [path for path in self.all(volume_id) if path != target]

    def all(self, volume_id: str) -> list[pathlib.Path]:
        """Paths at which the volume is mounted now."""
        found = []
        for note in self._notes(volume_id).glob("*"):
            path = pathlib.Path(os.fsdecode(note.read_bytes()))
            if path.is_absolute() and mountinfo.mounts_at(path):
                found.append(path)
        return sorted(set(found))

    def _notes(self, volume_id: str) -> pathlib.Path:
        return self._directory / _digest(volume_id.encode())

    def _note(self, volume_id: str, target: pathlib.Path) -> pathlib.Path:
        return self._notes(volume_id) / _digest(os.fsencode(target))


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:32]
