"""Volumes and snapshots of this node, as both halves see them."""

import dataclasses
import enum
import pathlib
from collections.abc import Mapping

from csi.lvm import params


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Health of a volume, for people."""

    abnormal: bool
    message: str


WELL = Condition(abnormal=False, message="the volume is well")


class SourceKind(enum.StrEnum):
    """What a volume can be made from."""

    SNAPSHOT = "snapshot"
    VOLUME = "volume"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a volume is made from."""

    kind: SourceKind
    source_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VolumeWish:
    """CreateVolume. required_bytes, limit_bytes: 0 = not given. source: None = empty.

    ephemeral: it goes with its pod. unclaimed: nobody may use it yet, see `logical.unclaimed`.
    """

    name: str
    volume_id: str
    required_bytes: int
    limit_bytes: int
    parameters: params.Parameters
    source: Source | None = None
    ephemeral: bool = False
    unclaimed: bool = False

    @property
    def identity(self) -> str:
        """All that two requests for one volume must have in common, but for the size."""
        return f"{self.parameters.identity}/{self.source or ''}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume that is there. context: what its node must know beyond the id."""

    volume_id: str
    capacity_bytes: int
    condition: Condition = WELL
    context: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotWish:
    """CreateSnapshot."""

    name: str
    snapshot_id: str
    volume_id: str
    room_bytes: int
    read_only: bool
    grow_percent: int
    grow_bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot that is there. time_s: when it was made, seconds since 1970."""

    snapshot_id: str
    volume_id: str
    size_bytes: int
    time_s: int
    is_ready: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Room for new volumes: in all, and for the largest one. Bytes; exact for the largest."""

    available_bytes: int
    maximum_bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A volume that is a block device here.

    is_fresh: nobody ever used it, so that its content is worthless. read_only: nobody may write.
    is_ours: this driver made it. instance: what `host.block.instance` tells of the device, where
    that may be taken away and its path be another's; "" = it stays while the volume is locked.
    """

    device: pathlib.Path
    is_fresh: bool = False
    read_only: bool = False
    is_ours: bool = True
    instance: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpenedDirectory:
    """A volume that is a directory here."""

    path: pathlib.Path
