"""Base directories of NFS servers, mounted for a moment to work in them. Blocking.

Soft mounts: a server that goes away fails the work, which is tried again, and hangs nobody.
"""

import contextlib
import os
import pathlib
import tempfile
import threading
from collections.abc import Iterator

import structlog

from core import errors
from csi.nas import server
from host import mountinfo, mounts, run

log = structlog.get_logger()

_VERSIONS = ("3", "4.0", "4.1")
"""Tried in this order: every kind of NAS has version 3, a server of one's own may not."""
_OPTIONS = (
    "proto=tcp",
    "soft",
    "timeo=100",
    "retrans=3",
    "noresvport",
    "nosuid",
    "nodev",
    "noexec",
)
_ONLY_V3 = ("nolock",)
_NOT_THERE = "no such file or directory"
_OTHER_VERSION = ("protocol not supported", "requested nfs version or transport protocol")
_PREFIX = "root-"


class Roots:
    """Mounts below *work_dir*, a directory of this driver alone.

    One process at a time may own *work_dir*.
    """

    def __init__(self, work_dir: pathlib.Path) -> None:
        self._work_dir = work_dir
        self._cleaning = threading.Lock()
        self._clean = False

    def clean_up(self) -> None:
        """Remove what a killed process left. What is still in use stays, and is told."""
        with contextlib.suppress(FileNotFoundError):
            for path in self._work_dir.iterdir():
                if path.name.startswith(_PREFIX):
                    try:
                        self._remove(path)
                    except (errors.Error, OSError) as e:
                        log.warning("an old mount cannot be removed", path=str(path), error=str(e))

    @contextlib.contextmanager
    def opened(self, place: server.Place, *, create: bool = False) -> Iterator[pathlib.Path]:
        """The directory *place* names, mounted for the length of the block.

        create: make it when it is missing. Raises NotFound without it, CommandFailed with mount's
        own words, CommandMissing.
        """
        with self._cleaning:
            # Not before: what a dead server left takes its time.
            if not self._clean:
                self.clean_up()
                self._clean = True
        self._work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._work_dir))
        try:
            try:
                _mount(place, path)
            except errors.NotFound:
                if not create:
                    raise
                self._make(place)
                _mount(place, path)
            yield path
        finally:
            self._remove(path)

    def _make(self, place: server.Place) -> None:
        """Make the base with its parents, from the server's root."""
        root = server.root_of(place)
        with self.opened(root) as path:
            below = os.path.relpath(place.base, root.base)
            (path / below).mkdir(mode=0o755, parents=True, exist_ok=True)

    def _remove(self, path: pathlib.Path) -> None:
        mounts.ensure_unmounted(path)
        if not mountinfo.mounts_at(path):
            path.rmdir()


def _mount(place: server.Place, path: pathlib.Path) -> None:
    failed: run.CommandFailed | None = None
    for version in _VERSIONS:
        options = (f"vers={version}", *(_ONLY_V3 if version == "3" else ()), *_OPTIONS)
        try:
            mounts.mount(place.export, path, fs_type="nfs", options=options)
        except run.CommandFailed as e:
            said = (e.result.stderr + e.result.stdout).lower()
            if _NOT_THERE in said:
                raise errors.NotFound(f"{place.export} does not exist") from e
            if not any(text in said for text in _OTHER_VERSION):
                raise
            failed = e
        else:
            return
    if failed is not None:
        raise failed
