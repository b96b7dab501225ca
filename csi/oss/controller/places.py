"""Where a volume that DeleteVolume must find again is: told by its id. Pure.

Other volumes are called by their names, as the reference's are, and deleting them deletes nothing.
`oss#POLICY#REGION#BUCKET#PATH`: POLICY d (delete), a (archive); no PATH: a bucket of its own.
"""

import dataclasses
import enum
import hashlib
import re

from core import errors
from csi import requests

_PREFIX = "oss#"
_SEPARATOR = "#"
_DIGEST_CHARS = 16
_BUCKET_DIGEST_CHARS = 24
_DIRECTORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class DeletePolicy(enum.StrEnum):
    """What DeleteVolume does with the data."""

    RETAIN = "retain"
    DELETE = "delete"
    ARCHIVE = "archive"


_LETTERS = {DeletePolicy.DELETE: "d", DeletePolicy.ARCHIVE: "a"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory in a bucket; path "" = the whole bucket, else without slashes at its ends."""

    policy: DeletePolicy
    region_id: str
    bucket: str
    path: str

    @property
    def marker(self) -> str:
        """Key of the object that says whose directory it is."""
        return f"{self.path}/"

    @property
    def volume_id(self) -> str:
        """The id. Raises InvalidField when it is longer than ids may be."""
        words = (_LETTERS[self.policy], self.region_id, self.bucket, self.path)
        made = _PREFIX + _SEPARATOR.join(words)
        if len(made.encode()) > requests.STRING_MAX_BYTES:
            raise errors.InvalidField(
                "path",
                "makes the volume's id too long",
                value=self.path,
                allowed=f"bucket and path together at most {requests.STRING_MAX_BYTES - 30} bytes",
            )
        return made


def written(name: str) -> str:
    """Volume *name* as marks and directories have it: as it is, or a digest for odd letters."""
    return name if _DIRECTORY.fullmatch(name) else f"volume-{_digest(name, _DIGEST_CHARS)}"


def below(base: Place, name: str) -> Place:
    """The directory of volume *name* in that of its class.

    It has the volume's name, which a digest ends where it is too long for an id that tells the
    place.
    """
    name = written(name)
    if base.policy is not DeletePolicy.RETAIN:
        words = (_LETTERS[base.policy], base.region_id, base.bucket, base.path, "")
        room = requests.STRING_MAX_BYTES - len((_PREFIX + _SEPARATOR.join(words)).encode())
        if len(name) > room:
            digest = _digest(name, _DIGEST_CHARS)
            name = f"{name[: max(0, room - len(digest) - 1)]}-{digest}"
    return dataclasses.replace(base, path=f"{base.path}/{name}".strip("/"))


def bucket_name(prefix: str, name: str) -> str:
    """The bucket of volume *name*, with *prefix* of its class."""
    return f"{prefix}-{_digest(written(name), _BUCKET_DIGEST_CHARS)}"


def is_of(place: Place, name: str) -> bool:
    """Whether *place* is what a volume called *name*, as marks have it, was given."""
    if name != written(name):
        return False
    if not place.path:
        prefix = place.bucket.rpartition("-")[0]
        return place.bucket == bucket_name(prefix, name)
    parent = place.path.rpartition("/")[0]
    return below(dataclasses.replace(place, path=parent), name) == place


def parse(volume_id: str) -> Place | None:
    """The place of a volume whose data DeleteVolume removes; None for every other volume."""
    words = volume_id.removeprefix(_PREFIX).split(_SEPARATOR, 3)
    policies = {letter: policy for policy, letter in _LETTERS.items()}
    if not volume_id.startswith(_PREFIX) or len(words) != 4 or words[0] not in policies:
        return None
    return Place(policy=policies[words[0]], region_id=words[1], bucket=words[2], path=words[3])


def _digest(text: str, chars: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:chars]
