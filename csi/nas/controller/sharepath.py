"""volumeAs=sharepath: a directory that all volumes of a class share; nothing is made or deleted.

So nothing in the cloud tells of such a volume, and its id does. Source: spec/csi-driver.md 3.3.
"""

import dataclasses
import hashlib

from core import errors
from csi.nas import layout, server
from csi.nas.controller import made, params, subpath

_PREFIX = "share#"
_DIGEST_CHARS = 16


@dataclasses.dataclass(frozen=True, slots=True)
class Shared:
    """A volume of the existing driver: its id tells nothing, but its PersistentVolume does."""


class Sharepaths:
    """Tells volumes where their directory is, and remembers what it told."""

    def __init__(self) -> None:
        self._made: dict[str, made.Made] = {}

    def create(self, want: made.VolumeRequest, parameters: params.SharepathParameters) -> made.Made:
        """The volume. Raises Exists when this process told another one of that name."""
        volume = describe(want, parameters)
        there = self._made.setdefault(volume.volume_id, volume)
        if there != volume:
            raise errors.Exists(
                f"volume {want.name} exists with another size or another class; a shared directory "
                "has no size, so delete the volume or ask for the same again"
            )
        return volume

    def forget(self, volume_id: str) -> None:
        """The volume is deleted; its directory stays."""
        self._made.pop(volume_id, None)


def describe(want: made.VolumeRequest, parameters: params.SharepathParameters) -> made.Made:
    """The volume, which only says where its directory is. Pure."""
    place = subpath.choose_place(parameters.places, want.name)
    told = {"server": place.host, "path": place.base}
    file_system_id = parameters.file_system_id or server.file_system_id(place.host)
    if file_system_id:
        told |= {"fileSystemId": file_system_id, "fileSystemType": server.kind_of(place.host).value}
    capacity_bytes = want.required_bytes or want.limit_bytes
    return made.Made(volume_id(want.name), capacity_bytes, {**parameters.context, **told})


def size_bytes(want: made.ExpandRequest) -> int:
    """Size that is told after growing: a shared directory has none, so any will do. Pure."""
    return want.required_bytes or want.limit_bytes


def volume_id(name: str) -> str:
    """Id of the volume; a name that is too long for it is shortened with a digest. Pure."""
    told = f"{_PREFIX}{name}"
    if len(told.encode()) <= layout.ID_MAX_BYTES:
        return told
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARS]
    room = layout.ID_MAX_BYTES - len(_PREFIX) - len(digest) - 1
    kept = name.encode()[:room].decode(errors="ignore")
    return f"{_PREFIX}{kept}-{digest}"


def name_of(volume_id: str) -> str:
    """The name in the id of such a volume; another id as it is. Pure."""
    return volume_id.removeprefix(_PREFIX) if is_id(volume_id) else volume_id


def is_id(text: str) -> bool:
    """Whether *text* is the id of such a volume. Pure."""
    return text.startswith(_PREFIX) and len(text) > len(_PREFIX)
