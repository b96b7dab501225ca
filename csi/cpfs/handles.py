"""Volume ids: a CPFS file system, or one fileset of it. Pure. Source: spec/csi-driver.md 4.2."""

import dataclasses
import re
from typing import Self

from core import errors

_SEPARATOR = "+"
_FILE_SYSTEM = re.compile(r"(bm|d)?cpfs(-[a-z0-9]+)+")
_FILESET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_ALLOWED = "bmcpfs-… or bmcpfs-…+fset-…"


@dataclasses.dataclass(frozen=True, slots=True)
class Handle:
    """fileset_id: "" = the whole file system, which is nobody's volume to delete."""

    file_system_id: str
    fileset_id: str = ""

    @classmethod
    def parse(cls, volume_id: str) -> Self | None:
        """Inverse of str(), None for what cannot be an id of ours."""
        file_system_id, plus, fileset_id = volume_id.partition(_SEPARATOR)
        if not _FILE_SYSTEM.fullmatch(file_system_id):
            return None
        if plus and not _FILESET.fullmatch(fileset_id):
            return None
        return cls(file_system_id, fileset_id)

    @classmethod
    def require(cls, volume_id: str) -> Self:
        """Like `parse`. Raises InvalidField."""
        handle = cls.parse(volume_id)
        if handle is None:
            raise errors.InvalidField(
                "volume_id", "is no volume of CPFS", value=volume_id, allowed=_ALLOWED
            )
        return handle

    def __str__(self) -> str:
        return f"{self.file_system_id}{_SEPARATOR}{self.fileset_id}".rstrip(_SEPARATOR)
