"""Where the volumes of one base directory are, and what is noted about each. Pure.

A volume is the directory `<base>/<name>`. Beside it, under `<base>/.csi-volumes/<name>/`, is one
empty directory whose name says how the volume was made: its record. The NAS API can make and look
for directories but not write files, and a record must be there without the PersistentVolume: it is
what DeleteVolume goes by, and a directory without one is never touched. In it is `cluster/<id>`,
where the id of the cluster that made the volume is known: a backup that is restored into a second
cluster brings the first one's volume ids along.
"""

import dataclasses
import datetime
import hashlib
import re
from typing import Self

from core import errors
from csi.nas import paths

RECORDS = ".csi-volumes"
OWNERS = "cluster"
_TRASH = ".trash"
_NEW = ".new"
_FORGOTTEN = ".forgotten"
_DIGEST_CHARS = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RECORD = re.compile(r"(archive|delete)-(\d{1,19})")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """How a volume was made. archive: rename it at DeleteVolume, False = delete its files."""

    archive: bool
    capacity_bytes: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Inverse of str(); None for a text that is no record."""
        match = _RECORD.fullmatch(text)
        if match is None:
            return None
        return cls(archive=match[1] == "archive", capacity_bytes=int(match[2]))

    def __str__(self) -> str:
        return f"{'archive' if self.archive else 'delete'}-{self.capacity_bytes}"


def require_name(field: str, name: str) -> str:
    """*name*, which is to be the name of a directory made through the NAS API."""
    if not _NAME.fullmatch(name):
        raise errors.InvalidField(
            field,
            "cannot be the name of a directory on NAS",
            value=name,
            allowed="letters, digits, '.', '_' and '-', beginning with a letter or digit",
        )
    return name


def volume(base: str, name: str) -> str:
    """Path of the volume."""
    return paths.join(base, name)


def records(base: str, name: str) -> str:
    """Path of the directory that holds the volume's record."""
    return paths.join(base, f"{RECORDS}/{name}")


def record(base: str, name: str, made: Record) -> str:
    """Path of the record *made*."""
    return f"{records(base, name)}/{made}"


def owners(base: str, name: str, made: Record) -> str:
    """Path of the directory in the record *made* that holds the volume's cluster."""
    return f"{record(base, name, made)}/{OWNERS}"


def owned_record(base: str, name: str, made: Record, owner: str) -> str:
    """Path that is the record *made*, with *owner* in it; owner: of `owner_of`, "" = not known."""
    return f"{owners(base, name, made)}/{owner}" if owner else record(base, name, made)


def owner_of(cluster_id: str) -> str:
    """Cluster *cluster_id* as the name of a directory; a digest for odd letters."""
    if not cluster_id or is_name(cluster_id):
        return cluster_id
    return hashlib.sha256(cluster_id.encode()).hexdigest()[:_DIGEST_CHARS]


def archived_name(name: str, at: datetime.datetime) -> str:
    """Name of the directory an archived volume becomes, beside the others."""
    return f"archived-{name}.{at:%Y%m%d%H%M%S}"


def trash_name(name: str) -> str:
    """Where a volume goes before its files are deleted, below the base."""
    return f"{RECORDS}/{_TRASH}-{name}"


def new_name(name: str) -> str:
    """Where a volume's directory is until it has its mode, below the base."""
    return f"{RECORDS}/{_NEW}-{name}"


def forgotten_name(name: str) -> str:
    """Where the volume's record goes before it is taken apart, below the base."""
    return f"{RECORDS}/{_FORGOTTEN}-{name}"


ID_MAX_BYTES = 128
"""Of a volume id. Source: CSI specification, "Size Limits"."""


def is_name(text: str) -> bool:
    """Whether `require_name` takes *text*."""
    return _NAME.fullmatch(text) is not None
