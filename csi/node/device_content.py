"""What to do with what is on a device. Pure; data is never given up."""

import dataclasses
import pathlib

from core import errors
from csi import node_options
from host import filesystem

_FALSE_TABLE = "atari"
"""Random bytes, as on a new encrypted disk, often look like an Atari partition table to blkid.
Source: spec/csi-driver.md 2.13 and the reference's issues 604 and 795."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The device a file system is on or goes to: the disk, or its only partition.

    partition: its number, None = the whole disk.
    """

    path: pathlib.Path
    number: str
    partition: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What to do with a source: mount it as *fs_type*, after making that file system or not.

    over: what is there and was found to be worthless, for `filesystem.make`; None = nothing.
    """

    fs_type: str
    make: bool
    over: filesystem.Probe | None = None


def choose_content(
    source: Source,
    probe: filesystem.Probe,
    wanted: node_options.FsType | None,
    *,
    default: node_options.FsType,
    read_only: bool,
    unfinished: bool,
) -> Content:
    """What to do with *source*, on which *probe* was found.

    default: for an empty device, when *wanted* is None.
    unfinished: the file system is one that mkfs did not live to finish; it was never mounted.
    A disk with data is never formatted: anything else than what was asked for is an error.
    """
    empty = probe.fs_type is None and probe.partition_table in {None, _FALSE_TABLE}
    if empty or unfinished:
        if read_only:
            raise errors.Precondition(
                f"device {source.path} holds no file system and is wanted read-only; "
                "publish it for writing once, or restore it from a snapshot"
            )
        return Content(
            fs_type=(wanted or default).value, make=True, over=None if probe.empty else probe
        )
    found = probe.fs_type or f"{probe.partition_table} partition table"
    if found in _mountable_as(wanted):
        return Content(fs_type=wanted.value if wanted else found, make=False)
    raise errors.Precondition(
        f"device {source.path} holds {found}, but {wanted or 'a file system'} was asked for "
        f"(supported: {', '.join(node_options.FsType)}); the data is intact, nothing was changed. "
        f"Ask for the file system that is there, or empty it: `blkdiscard --zeroout {source.path}`"
    )


def _mountable_as(wanted: node_options.FsType | None) -> frozenset[str]:
    """Types on disk that satisfy *wanted*.

    An ext3 can be mounted as ext4 without loss, and the reference does; the opposite fails.
    """
    match wanted:
        case None:
            return frozenset(node_options.FsType)
        case node_options.FsType.EXT4:
            return frozenset({"ext4", "ext3"})
        case _:
            return frozenset({wanted})
