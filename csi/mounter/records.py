"""What the mounter remembers of a volume, so that a restart forgets nothing. Blocking.

Each volume has a directory, named by the hash of its target, with its record, its client's log and
its credential files. A directory without a record is what a crash left half made.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator

from csi.mounter import credentials

_RECORD = "record.json"
_LOG = "client.log"
_CREDENTIALS = "credentials"
_VERSION = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A mount that somebody wants. No secret is in it: argv has only the names of files.

    argv: of the client, by which a living one is known again. credential: what kind it has.
    wanted: False = being unmounted.
    """

    volume_id: str
    source: str
    target: pathlib.Path
    fs_type: str
    options: tuple[str, ...]
    argv: tuple[str, ...]
    credential: credentials.Kind
    wanted: bool = True

    def same_mount(self, other: "Record") -> bool:
        """Whether *other* asks for the same, with the same kind of credential."""
        mine = (self.source, self.target, self.fs_type, self.options, self.credential)
        return mine == (
            *(other.source, other.target, other.fs_type, other.options, other.credential),
        )


class Place:
    """The directory of one volume."""

    def __init__(self, root: pathlib.Path, target: pathlib.Path) -> None:
        self.directory = root / hashlib.sha256(os.fsencode(target)).hexdigest()[:32]

    @property
    def log(self) -> pathlib.Path:
        """What the client says."""
        return self.directory / _LOG

    @property
    def credentials(self) -> pathlib.Path:
        """Directory of credential files."""
        return self.directory / _CREDENTIALS

    def make(self) -> None:
        """Make the directory, for root only."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.chmod(0o700)

    def save(self, record: Record) -> None:
        """Write the record, whole or not at all."""
        plain = dataclasses.asdict(record) | {"target": os.fspath(record.target)}
        fresh = self.directory / f".{_RECORD}"
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC
        with os.fdopen(os.open(fresh, flags, 0o600), "w") as file:
            file.write(json.dumps({"version": _VERSION, **plain}))  # much faster than json.dump
        fresh.replace(self.directory / _RECORD)

    def remove(self) -> None:
        """Remove the directory with all in it; missing is fine. The record goes first."""
        (self.directory / _RECORD).unlink(missing_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)


def load_all(root: pathlib.Path) -> Iterator[Record]:
    """Every record below *root*; what has none, or one that cannot be read, is removed."""
    for directory in sorted(path for path in root.glob("*") if path.is_dir()):
        record = _load(directory / _RECORD)
        if record is None:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            yield record


def _load(path: pathlib.Path) -> Record | None:
    try:
        plain = json.loads(path.read_text())
        if plain.pop("version") != _VERSION:
            return None
        return Record(
            **plain
            | {
                "target": pathlib.Path(plain["target"]),
                "options": tuple(plain["options"]),
                "argv": tuple(plain["argv"]),
                "credential": credentials.Kind(plain["credential"]),
            }
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
