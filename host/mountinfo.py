"""The mount table of this process's mount namespace, parsed from /proc/self/mountinfo.

Source: proc_pid_mountinfo(5). What to do about a mount is in `host.mounts`.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from core import errors

_TABLE = pathlib.Path("/proc/self/mountinfo")
_PLAIN = re.compile(r"[A-Za-z0-9/._~:@%+=,-]+")
_ESCAPE = re.compile(rb"\\([0-7]{3})")
_FIELDS_BEFORE_OPTIONAL = 6
_FIELDS_AFTER_SEPARATOR = 3
_DELETED = "//deleted"
_MASTERS = ("master", "propagate_from")
"""The second when this process cannot see the first: the nearest one that it can."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of the table.

    device: "major:minor" of the file system. root: path inside that file system that is mounted;
    for a bind of a file, the file. options are of this mount point, super_options of the file
    system. deleted: the root was removed while mounted. peer_group: number of the group of mounts
    in which what is mounted in one is mounted in all, 0 = none. masters: groups from which what is
    mounted comes here, and not the other way.
    """

    mount_id: int
    parent_id: int
    device: str
    root: str
    mount_point: str
    options: tuple[str, ...]
    fs_type: str
    source: str
    super_options: tuple[str, ...]
    deleted: bool = False
    peer_group: int = 0
    masters: tuple[int, ...] = ()


class MalformedMountinfo(errors.Internal):
    """A line does not have the documented shape."""

    def __init__(self, line: str) -> None:
        super().__init__(f"cannot understand this line of {_TABLE}: {line!r}")


def parse(text: str) -> list[Mount]:
    """Every mount of *text*, in its order: a later one covers an earlier one at the same path.

    *text* is decoded with surrogateescape, so that any file name survives.
    """
    return [_parse_line(line) for line in text.split("\n") if line]


class Table:
    """The table as it was at one moment, of which no more is parsed than is asked for.

    A node has hundreds of mounts, and who looks for one need not make sense of all.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __iter__(self) -> Iterator[Mount]:
        """All, in their order."""
        return iter(parse(self._text))

    def at(self, path: str) -> list[Mount]:
        """Mounts at exactly *path*, which is normal, the visible one last."""
        # Which odd characters a kernel escapes is its affair; these none does.
        there = self._with(path) if _PLAIN.fullmatch(path) else self
        return [mount for mount in there if mount.mount_point == path]

    def of(self, device_number: str) -> list[Mount]:
        """Mounts of the file system on device *device_number* ("major:minor")."""
        return [mount for mount in self._with(device_number) if mount.device == device_number]

    def _with(self, word: str) -> Iterator[Mount]:
        """Those whose lines have *word* between blanks, in whichever place."""
        text, needle = self._text, f" {word} "
        hit = text.find(needle)
        while hit >= 0:
            end = text.find("\n", hit)
            end = len(text) if end < 0 else end
            yield _parse_line(text[text.rfind("\n", 0, hit) + 1 : end])
            hit = text.find(needle, end)


def snapshot() -> Table:
    """The table as it is now."""
    return Table(_read())


def read() -> list[Mount]:
    """Every mount there is now."""
    return list(snapshot())


def mounts_at(path: str | os.PathLike[str], mounts: Iterable[Mount] | None = None) -> list[Mount]:
    """Mounts at exactly *path*, the visible one last."""
    at = os.path.normpath(os.fspath(path))
    there = snapshot() if mounts is None else mounts
    if isinstance(there, Table):
        return there.at(at)
    return [mount for mount in there if mount.mount_point == at]


def mounts_of(device_number: str, mounts: Iterable[Mount] | None = None) -> list[Mount]:
    """Mounts of the file system on device *device_number* ("major:minor")."""
    there = snapshot() if mounts is None else mounts
    if isinstance(there, Table):
        return there.of(device_number)
    return [mount for mount in there if mount.device == device_number]


def others_of(mount: Mount, mounts: Table | Sequence[Mount] | None = None) -> list[Mount]:
    """Mounts of the file system of *mount* that are not *mount* seen at another path.

    What is mounted in a mount is mounted in all of its peer group, and unmounted together. So where
    kubelet's directory can be seen at two paths, as on ACK's nodes, the table has everything below
    twice, and one user has both. Such a copy shows the same root, at the same place of the file
    system that it is mounted in, and its parent is a peer of the other's, or gets what that gets.
    That two mounts are peers themselves says nothing: each bind is a peer of what was bound.
    Source: mount_namespaces(7).
    """
    table = snapshot() if mounts is None else mounts
    rows = [row for row in mounts_of(mount.device, table) if row.mount_id != mount.mount_id]
    if all(row.root != mount.root for row in rows):
        return rows
    by_id = {row.mount_id: row for row in table}
    place, sources = _place(mount, by_id), _sources(mount, by_id)
    return [
        row
        for row in rows
        if row.root != mount.root
        or place is None
        or _place(row, by_id) != place
        or sources.isdisjoint(_sources(row, by_id))
    ]


def _place(mount: Mount, by_id: Mapping[int, Mount]) -> tuple[str, pathlib.PurePath] | None:
    """Device and path inside that file system at which *mount* is; None = its parent is hidden."""
    parent = by_id.get(mount.parent_id)
    if parent is None or not pathlib.PurePath(mount.mount_point).is_relative_to(parent.mount_point):
        return None
    inside = pathlib.PurePath(mount.mount_point).relative_to(parent.mount_point)
    return parent.device, pathlib.PurePath(parent.root) / inside


def _sources(mount: Mount, by_id: Mapping[int, Mount]) -> set[int]:
    """Groups in which a mount has to be made for it to be where *mount* is too."""
    parent = by_id.get(mount.parent_id)
    if parent is None:
        return set()
    found: set[int] = set()
    left = {parent.peer_group, *parent.masters} - {0}
    while left:
        found |= left
        fed = {group for row in by_id.values() if row.peer_group in left for group in row.masters}
        left = fed - found
    return found


def _read() -> str:
    """In one large call: the kernel may skip lines when the table changes between two."""
    fd = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(fd, 4 * 1024 * 1024):
            chunks.append(chunk)
    finally:
        os.close(fd)
    return b"".join(chunks).decode(errors="surrogateescape")


def _parse_line(line: str) -> Mount:
    words = line.split(" ")
    try:
        separator = words.index("-", _FIELDS_BEFORE_OPTIONAL)
        groups = [word.partition(":") for word in words[_FIELDS_BEFORE_OPTIONAL:separator]]
        fs_type, source, super_options = words[separator + 1 :][:_FIELDS_AFTER_SEPARATOR]
        root, deleted = _unescape(words[3]), False
        if root.endswith(_DELETED):
            root, deleted = root.removesuffix(_DELETED), True
        return Mount(
            mount_id=int(words[0]),
            parent_id=int(words[1]),
            device=words[2],
            root=root,
            mount_point=_unescape(words[4]),
            options=tuple(words[5].split(",")),
            fs_type=_unescape(fs_type),
            source=_unescape(source),
            super_options=tuple(_unescape(super_options).split(",")),
            deleted=deleted,
            peer_group=next((int(n) for kind, _, n in groups if kind == "shared"), 0),
            masters=tuple(int(n) for kind, _, n in groups if kind in _MASTERS),
        )
    except (ValueError, IndexError) as e:
        raise MalformedMountinfo(line) from e


def _unescape(word: str) -> str:
    """Undo the kernel's octal escapes of blank, tab, newline and backslash."""
    if "\\" not in word:
        return word
    raw = word.encode(errors="surrogateescape")
    return _ESCAPE.sub(lambda m: bytes([int(m[1], 8) & 0xFF]), raw).decode(errors="surrogateescape")
