"""Volumes of type MountPoint: a whole mounted file system each, as an operator mounted it.

A mount point is taken by a note on its root, which is written in one step or not at all. Only an
empty one is taken. What is not mounted is not there: nothing is ever written below it.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterator

import structlog

from core import call, errors
from csi.lvm import model, names, params, settings
from csi.lvm.stores import records, store
from host import marks, mountinfo, stats

log = structlog.get_logger()

_LOST = "lost+found"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who has a mount point. is_going: its files are being removed."""

    volume_id: str
    name: str
    spec: str
    is_going: bool = False


class MountPoints:
    """The mount points that match LOCAL_MOUNT_POINTS."""

    def __init__(self, config: settings.LocalSettings) -> None:
        self._config = config

    def has(self, volume_id: str) -> bool:
        """Whether a mount point is taken by the volume."""
        return self._find(volume_id) is not None

    def create(self, want: model.VolumeWish) -> model.Volume:
        """The smallest empty one that is large enough. Raises Exhausted, Exists."""
        store.refuse_source(want)
        there = self._find(want.volume_id)
        if there is not None and not there[1].is_going:
            return _existing(there[0], there[1], want)
        if there is not None:
            self._empty(*there)
        claim = Claim(
            volume_id=want.volume_id,
            name=names.digest(want.name),
            spec=names.digest(want.identity),
        )
        free = [path for path in self._free() if want.parameters.path in ("", str(path))]
        fitting = sorted((_size(path), path) for path in free if _fits(path, want))
        for _, path in fitting:
            try:
                marks.write(path, records.NAME, _text(claim), only_new=True)
            except errors.Exists:
                continue
            log.info("mount point taken", path=str(path), volume_id=want.volume_id)
            return _volume(path, claim)
        raise errors.Exhausted(
            f"no empty mount point of {len(free)} fits {store.wanted_bytes(want)} bytes"
        )

    def take(self, volume_id: str, path: str) -> None:
        """Note that what is mounted at *path* is *volume_id*, whatever files it has.

        Of a volume of the reference, which left no note. Raises Precondition for what is not
        mounted or not named by LOCAL_MOUNT_POINTS, Exists for what is another volume's.
        """
        found = next((each for each in self._paths() if str(each) == path.rstrip("/")), None)
        if found is None:
            raise errors.Precondition(
                f"{path} of volume {volume_id} is not mounted, or LOCAL_MOUNT_POINTS does not name "
                "it"
            )
        claim = Claim(volume_id=volume_id, name=names.digest(volume_id), spec="")
        marks.write(found, records.NAME, _text(claim), only_new=True)
        log.info("mount point of the reference taken over", path=path, volume_id=volume_id)

    def delete(self, volume_id: str) -> bool:
        """Remove its files, and give it back. Raises Busy while it is used elsewhere."""
        there = self._find(volume_id)
        if there is None:
            return False
        self._empty(*there)
        return True

    def get(self, volume_id: str) -> model.Volume | None:
        """As `Store.get`."""
        there = self._find(volume_id)
        return None if there is None else _volume(*there)

    def listed(self) -> list[model.Volume]:
        """As `Store.listed`."""
        return [_volume(path, claim) for path, claim in self._claims() if not claim.is_going]

    def capacity(self, wanted: params.Parameters) -> model.Capacity:
        """The sizes of those that are free."""
        sizes = [_size(path) for path in self._free() if wanted.path in ("", str(path))]
        return model.Capacity(available_bytes=sum(sizes), maximum_bytes=max(sizes, default=0))

    def extend(self, volume_id: str, required_bytes: int, limit_bytes: int) -> int:
        """Raises Precondition: a file system is as large as it is."""
        del limit_bytes
        path, _ = self._require(volume_id)
        if required_bytes > _size(path):
            raise errors.Precondition(f"{path} has {_size(path)} bytes, and cannot grow")
        return _size(path)

    def open(self, volume_id: str) -> model.OpenedDirectory:
        """As `Store.open`. Raises NotFound while it is not mounted."""
        path, claim = self._require(volume_id)
        if claim.is_going:
            raise errors.Precondition(f"volume {volume_id} is being deleted")
        return model.OpenedDirectory(path=path)

    def settle(self, volume_id: str) -> None:
        """It was empty when it was taken."""

    def release(self, volume_id: str) -> None:
        """Nothing was made."""

    def _paths(self) -> list[pathlib.Path]:
        """Those that are mounted now."""
        table = {mount.mount_point for mount in mountinfo.read()}
        return [path for path in self._config.mount_points() if str(path) in table]

    def _claims(self) -> Iterator[tuple[pathlib.Path, Claim]]:
        for path in self._paths():
            text = marks.read(path, records.NAME)
            try:
                claim = Claim(**json.loads(text)) if text else None
            except (ValueError, TypeError):
                log.warning("a note cannot be understood", path=str(path), text=text)
                continue  # the mount point is not free, and nobody's
            if claim is not None:
                yield path, claim

    def _free(self) -> list[pathlib.Path]:
        return [
            path for path in self._paths() if not marks.read(path, records.NAME) and _is_empty(path)
        ]

    def _find(self, volume_id: str) -> tuple[pathlib.Path, Claim] | None:
        return next((each for each in self._claims() if each[1].volume_id == volume_id), None)

    def _require(self, volume_id: str) -> tuple[pathlib.Path, Claim]:
        there = self._find(volume_id)
        if there is None:
            raise errors.NotFound(f"no mount point of volume {volume_id} is mounted on this node")
        return there

    def _empty(self, path: pathlib.Path, claim: Claim) -> None:
        """The note says so first: whoever is killed here goes on, and nobody uses it."""
        store.require_unused(path, claim.volume_id)
        going = dataclasses.replace(claim, is_going=True)
        marks.write(path, records.NAME, _text(going))
        call.doing(f"emptying {path}")
        with store.opened(path) as directory:
            if marks.read_open(directory, records.NAME) != _text(going):
                raise errors.Unavailable(f"{path} was unmounted meanwhile; nothing was removed")
            store.empty(directory, keep=(_LOST,))
        marks.remove(path, records.NAME)
        log.info("mount point given back", path=str(path), volume_id=claim.volume_id)


def _is_empty(path: pathlib.Path) -> bool:
    return all(entry.name == _LOST for entry in path.iterdir())


def _existing(path: pathlib.Path, claim: Claim, want: model.VolumeWish) -> model.Volume:
    if claim.spec != names.digest(want.identity) or _size(path) < want.required_bytes:
        raise errors.Exists(f"volume {want.volume_id} is there with other parameters: {path}")
    return _volume(path, claim)


def _fits(path: pathlib.Path, want: model.VolumeWish) -> bool:
    size_bytes = _size(path)
    return size_bytes >= want.required_bytes and not 0 < want.limit_bytes < size_bytes


def _size(path: pathlib.Path) -> int:
    return stats.usage(path).total_bytes


def _text(claim: Claim) -> str:
    return json.dumps(dataclasses.asdict(claim))


def _volume(path: pathlib.Path, claim: Claim) -> model.Volume:
    return model.Volume(
        volume_id=claim.volume_id, capacity_bytes=_size(path), context={"MountPoint": str(path)}
    )
