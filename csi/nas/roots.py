"""Base directories of NFS servers, mounted for a moment to work in them. Blocking.

Soft mounts: a server that goes away fails the work, which is tried again, and hangs nobody.
"""

import contextlib
import errno
import os
import pathlib
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence

import structlog

from core import errors
from csi.nas import server
from host import files, mountinfo, mounts, nfs

log = structlog.get_logger()

_VERSIONS = ("3", "4.0", "4.1")
"""Tried in this order: every kind of NAS has version 3, and it is what nodes mount with; a server
of one's own may not have it."""
_OPTIONS = (
    "proto=tcp",
    "soft",
    "timeo=100",
    "retrans=3",
    # mount.nfs would try again for two minutes.
    "retry=0",
    "noresvport",
    "nosuid",
    "nodev",
    "noexec",
)
_ONLY_V3 = ("nolock",)
_PORT_TIMEOUT_S = 5.0
_PREFIX = "root-"
_BASE_MODE = 0o755
_PASSING = (errno.EIO, errno.ETIMEDOUT, errno.ESTALE, errno.EHOSTDOWN, errno.ECONNREFUSED)
"""What system calls on a soft mount tell when its server went away."""
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_FULL = (errno.ENOSPC, errno.EDQUOT)


class _Shared:
    """One mount and how many use it. mounting: held by who makes it. path: None = not made yet."""

    def __init__(self) -> None:
        self.users = 0
        self.mounting = threading.Lock()
        self.path: pathlib.Path | None = None


class Roots:
    """Mounts below *work_dir*, a directory of this driver alone.

    One process at a time may own *work_dir*. port: asked before a mount, which may take minutes.
    """

    def __init__(self, work_dir: pathlib.Path, *, port: int = nfs.PORT) -> None:
        self._work_dir = work_dir
        self._port = port
        self._guard = threading.Lock()
        self._shared: dict[tuple[server.Place, int], _Shared] = {}

    def leftovers(self) -> list[pathlib.Path]:
        """Mounts that a killed process left; to be asked for before the first `opened`."""
        return list(self._work_dir.glob(f"{_PREFIX}*"))

    def clean_up(self, left: Iterable[pathlib.Path]) -> None:
        """Remove *left*. What is still in use stays, and is told. Dead servers take their time."""
        for path in left:
            try:
                self._remove(path)
            except (errors.Error, OSError) as e:
                log.warning("an old mount cannot be removed", path=str(path), error=str(e))

    def choose(self, places: Sequence[server.Place]) -> server.Place:
        """The first of *places* whose server answers; the first of all when none does."""
        for place in places:
            if nfs.answers(place.host, timeout_s=_PORT_TIMEOUT_S, port=self._port):
                return place
        return places[0]

    @contextlib.contextmanager
    def opened(
        self, place: server.Place, *, create: bool = False, port: int = 0
    ) -> Iterator[pathlib.Path]:
        """The directory *place* names, mounted during the block; once for all who ask at once.

        create: make it when it is missing. port: of the server, 0 = the usual one.
        Raises NotFound without *create*, NoAnswer when the server does not answer, Unavailable when
        it goes away meanwhile, and what `host.nfs.mount` raises.
        """
        key = (place, port)
        with self._guard:
            shared = self._shared.setdefault(key, _Shared())
            shared.users += 1
        try:
            with shared.mounting:
                if shared.path is None:
                    shared.path = self._mount(place, create=create, port=port)
            with _told(place):
                yield shared.path
        except errors.Unavailable:
            # Who comes next needs a mount of its own: this one may be dead.
            with self._guard:
                if self._shared.get(key) is shared:
                    del self._shared[key]
            raise
        finally:
            with self._guard:
                shared.users -= 1
                last = not shared.users
                if last and self._shared.get(key) is shared:
                    del self._shared[key]
            if last and shared.path is not None:
                self._remove(shared.path)

    def _mount(self, place: server.Place, *, create: bool, port: int) -> pathlib.Path:
        nfs.require_port(place.host, timeout_s=_PORT_TIMEOUT_S, port=port or self._port)
        self._work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._work_dir))
        try:
            try:
                _mount(place, path, port)
            except (nfs.NoSuchDirectory, nfs.AccessDenied) as e:
                # NAS says "access denied" for a directory that is not there, too.
                if place == server.root_of(place):
                    raise
                if not create:
                    raise self._missing(place, e) from e
                self._make(place, port)
                _mount(place, path, port)
        except BaseException:
            self._remove(path)
            raise
        return path

    def _make(self, place: server.Place, port: int) -> None:
        """Make the base with its parents, from the server's root."""
        root = server.root_of(place)
        with self.opened(root, port=port) as path:
            files.ensure_dirs_below(path, server.below(place, root), mode=_BASE_MODE)

    def _missing(self, place: server.Place, said: errors.Error) -> errors.Error:
        """*said*, or NoSuchDirectory when the server's root shows that there is none."""
        root = server.root_of(place)
        with self.opened(root) as path:
            there = os.path.lexists(path / server.below(place, root))
        return said if there else nfs.NoSuchDirectory(f"{place} does not exist")

    def _remove(self, path: pathlib.Path) -> None:
        mounts.ensure_unmounted(path)
        if not mountinfo.mounts_at(path):
            path.rmdir()


def _mount(place: server.Place, path: pathlib.Path, port: int) -> None:
    more = (f"port={port}",) if port else ()
    for version in _VERSIONS:
        options = (f"vers={version}", *(_ONLY_V3 if version == "3" else ()), *_OPTIONS, *more)
        try:
            nfs.mount(place.export, path, options)
        except (nfs.WrongVersion, nfs.NoAnswer):
            # Version 3 has helpers on ports of their own, which a server of version 4 has not.
            if version == _VERSIONS[-1]:
                raise
        else:
            return


@contextlib.contextmanager
def _told(place: server.Place) -> Iterator[None]:
    """Tell what a system call says of *place* during the block, with what to do about it."""
    try:
        yield
    except OSError as e:
        if e.errno in _PASSING:
            raise errors.Unavailable(f"{place}: the server went away: {e.strerror}") from e
        if e.errno in _FORBIDDEN:
            raise errors.Precondition(
                f"{place}: root of this machine may not do that ({e.strerror}); export it with "
                "no_root_squash and rw, or look at the permission group of the mount target"
            ) from e
        if e.errno in _FULL:
            raise errors.Exhausted(f"{place}: there is no room ({e.strerror})") from e
        raise
