"""What a fileset says of itself, in its description: whose volume it is. Pure.

`CSI:<cluster>:<volume>`. A backup that is restored into a second cluster brings the first one's
volume ids along, so the fileset names its cluster where that is known.
"""

import dataclasses
import re
from typing import Self

_MAX = 128
_CLUSTER_MAX = 64
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_-]")
"""No blanks, no dots; ':' is between the parts. Source: NAS API, CreateFileset, Description."""
_MARK = re.compile(r"CSI:([A-Za-z0-9_-]*):([A-Za-z0-9_-]+)")
_FORMER = re.compile(r"CSI(?: volume |:volume:)(.+)")
"""As former versions of ours wrote it: they told no cluster."""


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """cluster: "" = not known. volume: the name that it was made for, as far as it may be told."""

    cluster: str
    volume: str

    @classmethod
    def of(cls, name: str, *, cluster_id: str) -> Self:
        """The mark of volume *name*. Long names are cut, what may not be in them is replaced."""
        cluster = owner_of(cluster_id)
        rest = _MAX - len(str(cls(cluster, "")))
        return cls(cluster, _NOT_ALLOWED.sub("_", name)[:rest])

    @classmethod
    def parse(cls, description: str) -> Self | None:
        """Inverse of str(), of former versions too; None for a description that is not ours."""
        former = _FORMER.fullmatch(description)
        if former is not None:
            return cls("", _NOT_ALLOWED.sub("_", former[1]))
        match = _MARK.fullmatch(description)
        return None if match is None else cls(match[1], match[2])

    def is_of(self, name: str) -> bool:
        """Whether it was made for volume *name*, as far as a name that was cut tells."""
        wanted = _NOT_ALLOWED.sub("_", name)
        return wanted == self.volume or (len(str(self)) == _MAX and wanted.startswith(self.volume))

    def is_foreign_to(self, cluster_id: str) -> bool:
        """Whether another cluster than *cluster_id* made it; never, when one is not known."""
        return bool(cluster_id and self.cluster and self.cluster != owner_of(cluster_id))

    def __str__(self) -> str:
        return f"CSI:{self.cluster}:{self.volume}"


def owner_of(cluster_id: str) -> str:
    """The cluster's id as a mark tells it."""
    return _NOT_ALLOWED.sub("_", cluster_id)[:_CLUSTER_MAX]
