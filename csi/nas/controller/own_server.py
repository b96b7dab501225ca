"""Volumes on NFS servers of one's own: their ids say where they are, as no cloud could. Pure."""

import hashlib

from core import errors
from csi.nas import layout, server

_PREFIX = "nfs#"
_DIGEST_CHARS = 16


def volume_id(place: server.Place, name: str) -> str:
    """Id of the volume *name* under *place*."""
    return f"{_PREFIX}{place.host}#{place.base}#{name}"


def is_id(text: str) -> bool:
    """Whether *text* is such an id, perhaps a broken one."""
    return text.startswith(_PREFIX)


def short_name(place: server.Place, name: str) -> str:
    """*name*, shortened with a digest when the volume id would be too long with it.

    Raises InvalidField when server and path leave no room.
    """
    room = layout.ID_MAX_BYTES - len(volume_id(place, "").encode())
    if len(name) <= room:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARS]
    kept = room - len(digest) - 1
    if kept < 1:
        raise errors.InvalidField(
            "parameters[server]",
            "makes volume ids that are too long",
            value=place.export,
            allowed=f"server and path of at most {layout.ID_MAX_BYTES - 32} characters together",
        )
    return f"{name[:kept]}-{digest}"


def parse(text: str) -> tuple[server.Place, str] | None:
    """(place, name) of a volume id, None for an id of another kind.

    Raises InvalidField for a broken one.
    """
    if not is_id(text):
        return None
    host, _, rest = text.removeprefix(_PREFIX).partition("#")
    base, _, name = rest.rpartition("#")
    place = server.parse_place("volume_id", f"{server.bracketed(host)}:{base}")
    return place, layout.require_name("volume_id", name)
