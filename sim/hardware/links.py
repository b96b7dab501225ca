"""The by-id links of one state directory, remembered on disk so that a later run can remove them.

Each link has a note `<state>/links/<name>@<hash of directory>` written before the link appears: a
killed simulator leaves notes, never an unknown link. Not here: loop devices.
"""

import contextlib
import hashlib
import os
import pathlib


class Links:
    """`virtio-<serial>` links in any number of by-id directories."""

    def __init__(self, notes_dir: pathlib.Path) -> None:
        self._notes_dir = notes_dir

    def make(self, by_id_dir: pathlib.Path, serial: str, device: pathlib.Path) -> pathlib.Path:
        """Point `<by_id_dir>/virtio-<serial>` at *device*, atomically; the link. Raises OSError."""
        link = by_id_dir / f"virtio-{serial}"
        by_id_dir.mkdir(parents=True, exist_ok=True)
        self._notes_dir.mkdir(parents=True, exist_ok=True)
        self._note(link).write_text(str(link))
        if link.is_symlink() and link.readlink() == device:
            return link
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        fresh.symlink_to(device)
        fresh.replace(link)
        return link

    def drop(self, link: pathlib.Path) -> None:
        """Remove *link* and its note; absent is fine, a regular file in its place is kept."""
        if link.is_symlink():
            link.unlink(missing_ok=True)
        self._note(link).unlink(missing_ok=True)

    def known(self) -> list[pathlib.Path]:
        """Every link made and not yet dropped, also by earlier runs."""
        if not self._notes_dir.is_dir():
            return []
        return [pathlib.Path(note.read_text()) for note in sorted(self._notes_dir.iterdir())]

    def _note(self, link: pathlib.Path) -> pathlib.Path:
        folder = hashlib.sha256(os.fsencode(link.parent)).hexdigest()[:12]
        return self._notes_dir / f"{link.name}@{folder}"
