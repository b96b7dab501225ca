"""What a volume that is a file or a directory carries about itself, in an extended attribute."""

import dataclasses
import json
import pathlib

import structlog

from core import errors
from csi.lvm import model, names
from host import marks

log = structlog.get_logger()

NAME = "csi-local"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """name, spec: digests of the request's name and of what it asked for. size_bytes: its size.

    ephemeral: it goes with its pod.
    """

    name: str
    spec: str
    size_bytes: int
    ephemeral: bool = False

    @classmethod
    def of(cls, want: model.VolumeWish, size_bytes: int) -> "Record":
        """The record of a volume for *want*."""
        return cls(
            name=names.digest(want.name),
            spec=names.digest(want.identity),
            size_bytes=size_bytes,
            ephemeral=want.ephemeral,
        )

    def with_size(self, size_bytes: int) -> "Record":
        """The same volume, larger."""
        return dataclasses.replace(self, size_bytes=size_bytes)


def read(path: pathlib.Path) -> Record | None:
    """The record on *path*; None when there is none, so that it is not ours.

    Raises Precondition for one that cannot be understood.
    """
    text = marks.read(path, NAME)
    if not text:
        return None
    try:
        return Record(**json.loads(text))
    except (ValueError, TypeError) as e:
        raise errors.Precondition(f"the note on {path} cannot be understood: {text!r}") from e


def read_known(path: pathlib.Path) -> Record | None:
    """As `read`, for who looks at all: one that cannot be understood is none, with a warning."""
    try:
        return read(path)
    except errors.Precondition as e:
        log.warning("a note cannot be understood", error=str(e))
        return None


def write(path: pathlib.Path, record: Record) -> None:
    """Put *record* on *path*."""
    told = dataclasses.asdict(record)
    if not record.ephemeral:
        del told["ephemeral"]  # an older version refuses a note with what it does not know
    marks.write(path, NAME, json.dumps(told))


def require_same(path: pathlib.Path, want: model.VolumeWish) -> Record:
    """The record on *path*, which is there, if that is what *want* asks for. Raises Exists."""
    found = read(path)
    if found is None or found.name != names.digest(want.name):
        raise errors.Exists(f"{path} is there, and is not volume {want.volume_id}")
    if found.spec != names.digest(want.identity):
        raise errors.Exists(f"volume {want.volume_id} is there with other parameters")
    if found.size_bytes < want.required_bytes or 0 < want.limit_bytes < found.size_bytes:
        raise errors.Exists(f"volume {want.volume_id} is there with {found.size_bytes} bytes")
    return found
