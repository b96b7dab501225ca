"""The answer of NodeGetVolumeStats, the same for every driver."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from csi._pb import csi_pb2

_Unit = csi_pb2.VolumeUsage.Unit


class Usage(Protocol):
    """What statfs tells of a file system, in bytes and in inodes."""

    @property
    def total_bytes(self) -> int: ...

    @property
    def used_bytes(self) -> int: ...

    @property
    def available_bytes(self) -> int: ...

    @property
    def total_inodes(self) -> int: ...

    @property
    def used_inodes(self) -> int: ...

    @property
    def free_inodes(self) -> int: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Health of a volume. message: for people; never empty."""

    abnormal: bool
    message: str


def response(
    condition: Condition, *, usage: Usage | None = None, total_bytes: int | None = None
) -> csi_pb2.NodeGetVolumeStatsResponse:
    """usage: of a file system. total_bytes: of a raw block device. Both None when unreadable."""
    told: Sequence[csi_pb2.VolumeUsage] = ()
    if usage is not None:
        told = _of_filesystem(usage)
    elif total_bytes is not None:
        told = [csi_pb2.VolumeUsage(unit=_Unit.BYTES, total=total_bytes)]
    return csi_pb2.NodeGetVolumeStatsResponse(
        usage=told,
        volume_condition=csi_pb2.VolumeCondition(
            abnormal=condition.abnormal, message=condition.message
        ),
    )


_INT64_MAX = (1 << 63) - 1
"""Clients of object storage tell sizes that no field holds."""


def _int64(value: int) -> int:
    return min(value, _INT64_MAX)


def _of_filesystem(usage: Usage) -> list[csi_pb2.VolumeUsage]:
    return [
        csi_pb2.VolumeUsage(
            unit=_Unit.BYTES,
            total=_int64(usage.total_bytes),
            used=_int64(usage.used_bytes),
            available=_int64(usage.available_bytes),
        ),
        csi_pb2.VolumeUsage(
            unit=_Unit.INODES,
            total=_int64(usage.total_inodes),
            used=_int64(usage.used_inodes),
            available=_int64(usage.free_inodes),
        ),
    ]
