"""VolumeSnapshotClass parameters. Pure. Source: spec/csi-driver.md 6.2, "snapshots ro"."""

import dataclasses
import re
from collections.abc import Mapping

from core import errors, units
from csi import class_parameters, values

READ_ONLY = "csi.aliyun.com/readonly"
ROOM = "csi.aliyun.com/snapshot-initial-size"
GROW_PERCENT = "csi.aliyun.com/snapshot-expansion-threshold"
GROW_BYTES = "csi.aliyun.com/snapshot-expansion-size"
KNOWN = frozenset({READ_ONLY, ROOM, GROW_PERCENT, GROW_BYTES})
_SIZE_MAX = 64 * units.TIB
_PERCENT = re.compile(r"\d+%?")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotParameters:
    """How a snapshot is made. read_only: volumes of it are the snapshot itself.

    room_bytes: a thick one's room for changes. grow_percent, grow_bytes: it gets more when it is
    so full; 0 = it never grows.
    """

    read_only: bool = False
    room_bytes: int = 4 * units.GIB
    grow_percent: int = 50
    grow_bytes: int = units.GIB


def parse(parameters: Mapping[str, str]) -> SnapshotParameters:
    """Parse *parameters*. Raises InvalidField."""
    own = class_parameters.wishes(parameters)
    for key in own:
        if key not in KNOWN:
            raise errors.InvalidField(
                f"parameters[{key}]", "is not known", allowed=", ".join(sorted(KNOWN))
            )
    default = SnapshotParameters()
    return SnapshotParameters(
        read_only=values.boolean(f"parameters[{READ_ONLY}]", own.get(READ_ONLY, "")),
        room_bytes=_size(own, ROOM, default.room_bytes, minimum=units.MIB),
        grow_percent=_percent(own, default.grow_percent),
        grow_bytes=_size(own, GROW_BYTES, default.grow_bytes, minimum=units.MIB),
    )


def _size(own: Mapping[str, str], key: str, default: int, *, minimum: int) -> int:
    if not own.get(key):
        return default
    size_bytes = units.parse_binary(f"parameters[{key}]", own[key])
    if not minimum <= size_bytes <= _SIZE_MAX:
        raise errors.InvalidField(
            f"parameters[{key}]", "is out of range", value=own[key], allowed="1Mi to 64Ti"
        )
    return size_bytes


def _percent(own: Mapping[str, str], default: int) -> int:
    text = own.get(GROW_PERCENT, "").strip()
    if not text:
        return default
    if not _PERCENT.fullmatch(text):
        raise errors.InvalidField(
            f"parameters[{GROW_PERCENT}]", "is no percentage", value=text, allowed="0% to 99%"
        )
    return values.integer(
        f"parameters[{GROW_PERCENT}]", text.removesuffix("%"), minimum=0, maximum=99
    )
