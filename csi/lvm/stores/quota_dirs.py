"""Volumes of type QuotaPath: a directory each, with a project quota of XFS or ext4.

A directory is made under another name, with its project, its limit and its record, and renamed. It
is renamed again before its files go, so that nobody uses what is half deleted.
"""

import hashlib
import pathlib
from collections.abc import Iterator

import structlog

from core import call, errors, units
from csi.lvm import model, names, params, settings
from csi.lvm.stores import records, store
from host import dir_lock, project_quota, stats

log = structlog.get_logger()

_MAKING, _GOING = ".csi-making-", ".csi-going-"
_STEP_BYTES = units.MIB
_PROJECTS = 10**9
_FIRST_PROJECT = 1000
"""Below are those that people number by hand."""
_MODE = 0o777


class QuotaDirs:
    """The directories below LOCAL_QUOTA_PATHS."""

    def __init__(self, config: settings.LocalSettings) -> None:
        self._config = config

    def has(self, volume_id: str) -> bool:
        """Whether there is such a directory."""
        return self._find(volume_id) is not None

    def create(self, want: model.VolumeWish) -> model.Volume:
        """As `Store.create`. Raises InvalidField for a root that is not allowed, Exhausted."""
        store.refuse_source(want)
        there = self._find(want.volume_id)
        if there is not None:
            return _volume(there, records.require_same(there, want))
        root = self._root(want.parameters.root)
        with dir_lock.hold(self._roots()[0]):
            return self._make(want, root)

    def _make(self, want: model.VolumeWish, root: pathlib.Path) -> model.Volume:
        size_bytes = store.rounded(store.wanted_bytes(want), want, _STEP_BYTES)
        room = self._room(root)
        if size_bytes > room:
            raise errors.Exhausted(f"{root} has room for {room} bytes, not {size_bytes}")
        call.doing(f"making a directory in {root}")
        making = root / f"{_MAKING}{want.volume_id}"
        making.mkdir(mode=_MODE, exist_ok=True)
        making.chmod(_MODE)
        project = project_quota.project_of(making) or _free_project(root, want.volume_id)
        project_quota.set_project(making, project)
        project_quota.set_limit(root, project, size_bytes)
        record = records.Record.of(want, size_bytes)
        records.write(making, record)
        made = root / want.volume_id
        making.rename(made)
        log.info("quota directory made", path=str(made), project=project, size_bytes=size_bytes)
        return _volume(made, record)

    def delete(self, volume_id: str) -> bool:
        """As `Store.delete`. Raises Busy while it is used, Precondition without record."""
        found = False
        for root in self._roots():
            path, going = root / volume_id, root / f"{_GOING}{volume_id}"
            if not names.can_be_ours(volume_id):
                continue
            if _is_directory(going):  # of a call that was killed
                self._remove(root, going, volume_id)
                found = True
            if _is_directory(path):
                if records.read(path) is None and not self._config.adopt:
                    raise errors.Precondition(
                        f"{path} has no note of ours; set LVM_ADOPT=true to delete it"
                    )
                store.require_unused(path, volume_id)
                path.rename(going)
                self._remove(root, going, volume_id)
                found = True
        return found

    def get(self, volume_id: str) -> model.Volume | None:
        """As `Store.get`."""
        path = self._find(volume_id)
        if path is None:
            return None
        record = records.read(path)
        if record is None:
            return model.Volume(volume_id=volume_id, capacity_bytes=stats.usage(path).total_bytes)
        return _volume(path, record)

    def listed(self) -> list[model.Volume]:
        """As `Store.listed`."""
        return [_volume(path, record) for root in self._roots() for path, record in _ours(root)]

    def capacity(self, wanted: params.Parameters) -> model.Capacity:
        """What is not promised yet of the file systems."""
        roots = [self._root(wanted.root)] if wanted.root else self._roots()
        # Roots of one file system share its room.
        rooms = {root.stat().st_dev: self._room(root) for root in roots if root.is_dir()}.values()
        return model.Capacity(available_bytes=sum(rooms), maximum_bytes=max(rooms, default=0))

    def extend(self, volume_id: str, required_bytes: int, limit_bytes: int) -> int:
        """As `Store.extend`."""
        path = self._require(volume_id)
        record = records.read(path)
        if record is None:
            raise errors.Precondition(f"{path} has no note of ours, so that its size is not known")
        if record.size_bytes >= required_bytes:
            return record.size_bytes
        wanted = -(-required_bytes // _STEP_BYTES) * _STEP_BYTES
        if limit_bytes and wanted > limit_bytes:
            raise errors.OutOfRange(f"limit_bytes {limit_bytes}: sizes are multiples of 1 MiB")
        with dir_lock.hold(self._roots()[0]):
            room = self._room(path.parent)
            if wanted - record.size_bytes > room:
                raise errors.Exhausted(f"{path.parent} has room for {room} bytes more")
            # The limit first: killed in between, the next call sets it again.
            project_quota.set_limit(path.parent, project_quota.project_of(path), wanted)
            records.write(path, record.with_size(wanted))
        return wanted

    def open(self, volume_id: str) -> model.OpenedDirectory:
        """As `Store.open`."""
        return model.OpenedDirectory(path=self._require(volume_id))

    def settle(self, volume_id: str) -> None:
        """A directory is empty when it is made."""

    def release(self, volume_id: str) -> None:
        """Nothing was made."""

    def _room(self, root: pathlib.Path) -> int:
        """Bytes of the file system of *root* that no volume in it has been promised."""
        project_quota.mount_of(root)
        number = root.stat().st_dev
        of_same = [each for each in self._roots() if each.stat().st_dev == number]
        promised = sum(record.size_bytes for each in of_same for _, record in _ours(each))
        room = max(0, stats.usage(root).total_bytes - promised)
        return room // _STEP_BYTES * _STEP_BYTES

    def _roots(self) -> list[pathlib.Path]:
        return [root for root in self._config.quota_roots if root.is_dir()]

    def _root(self, told: str) -> pathlib.Path:
        """The root that a class names, which is allowed; the first one where it names none."""
        allowed = self._config.quota_roots
        if told and pathlib.Path(told) not in allowed:
            raise errors.InvalidField(
                "parameters[rootPath]",
                "is not one of LOCAL_QUOTA_PATHS",
                value=told,
                allowed=", ".join(map(str, allowed)),
            )
        if not allowed:
            raise errors.Precondition("LOCAL_QUOTA_PATHS is not set: no QuotaPath on this node")
        return store.require_dir(pathlib.Path(told) if told else allowed[0], "LOCAL_QUOTA_PATHS")

    def _find(self, volume_id: str) -> pathlib.Path | None:
        if not names.can_be_ours(volume_id):
            return None
        paths = (root / volume_id for root in self._roots())
        return next((path for path in paths if _is_directory(path)), None)

    def _require(self, volume_id: str) -> pathlib.Path:
        path = self._find(volume_id)
        if path is None:
            raise errors.NotFound(f"there is no volume {volume_id} on this node")
        return path

    def _remove(self, root: pathlib.Path, going: pathlib.Path, volume_id: str) -> None:
        """The files, then the limit, then the directory, which tells the project."""
        store.require_unused(going, volume_id)
        call.doing(f"removing {going}")
        with store.opened(going) as directory:
            store.empty(directory)
        project = project_quota.project_of(going)
        if project:
            project_quota.set_limit(root, project, 0)
        going.rmdir()
        log.info("quota directory removed", path=str(going))


def _is_directory(path: pathlib.Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _ours(root: pathlib.Path) -> Iterator[tuple[pathlib.Path, records.Record]]:
    """Complete volumes in *root*."""
    for path in sorted(root.iterdir()):
        if _is_directory(path) and not path.name.startswith("."):
            record = records.read_known(path)
            if record is not None:
                yield path, record


def _free_project(root: pathlib.Path, volume_id: str) -> int:
    """A number that no directory in *root* has; from the id, as in the reference."""
    taken = {project_quota.project_of(path) for path in root.iterdir() if path.is_dir()}
    number = int(hashlib.sha256(volume_id.encode()).hexdigest(), 16) % _PROJECTS
    while number < _FIRST_PROJECT or number in taken:
        number = (number + 1) % _PROJECTS
    return number


def _volume(path: pathlib.Path, record: records.Record) -> model.Volume:
    return model.Volume(
        volume_id=path.name,
        capacity_bytes=record.size_bytes,
        context={"projQuotaFullPath": str(path)},
    )
