"""What the simulated NAS asks of the machine: directory trees, quotas, and exports of them.

Implementation: sim/hardware/files/; none when not wanted. Not here: any cloud rule. The caller says
what the whole must look like; the implementation finds what has to change.
"""

import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An active mount target: the tree of a file system, or a directory of it, under a name.

    path: what a client sees as "/". prefix: a first directory clients must name ("/share" of
    extreme NAS), "" = none. named: False while it is only made ready: no name leads there yet.
    """

    domain: str
    file_system_id: str
    path: str = "/"
    prefix: str = ""
    named: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The limit of a directory. 0 = not limited."""

    file_system_id: str
    path: str
    size_bytes: int = 0
    file_count: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Everything as it must be now. Trees that are not in file_system_ids go with all in them."""

    file_system_ids: tuple[str, ...]
    exports: tuple[Export, ...]
    quotas: tuple[Quota, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a directory holds, all below it included."""

    size_bytes: int
    file_count: int


class Files(Protocol):
    """Trees of this state directory. Every method raises `api.HardwareError`.

    path: absolute inside the file system, without "..".
    """

    def sync(self, wanted: Wanted) -> None:
        """Make the machine so. What is right already is not touched.

        Trees, quotas and names at once; exports in the background, where failures are tried again.
        """

    def serves(self, domain: str) -> bool:
        """Whether the export of that name answers. True where this machine has no exports."""

    def make_directory(
        self, file_system_id: str, path: str, *, user_id: int, group_id: int, mode: int
    ) -> None:
        """A directory with its parents; one that is there stays as it is."""

    def remove_directory(self, file_system_id: str, path: str) -> None:
        """Remove a directory with all in it; one that is not there is fine."""

    def is_directory(self, file_system_id: str, path: str) -> bool | None:
        """True for a directory, False for something else, None for nothing."""

    def usage(self, file_system_id: str, path: str) -> Usage:
        """What is below *path* now; nothing for a missing one."""

    def release(self) -> None:
        """Remove every export and mount of this state directory; the trees stay."""
