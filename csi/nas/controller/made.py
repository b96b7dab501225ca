"""What is asked of every kind of volume, and what comes of it."""

import dataclasses
from collections.abc import Mapping

from core import errors
from csi import requests


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRequest:
    """CreateVolume without its parameters. Bytes: 0 = not given. zone_ids: best ones first."""

    name: str
    required_bytes: int
    limit_bytes: int
    capabilities: tuple[requests.VolumeCapability, ...]
    zone_ids: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExpandRequest:
    """ControllerExpandVolume. Bytes: 0 = not given."""

    volume_id: str
    required_bytes: int
    limit_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """A volume. context: for the node. zone_id: of its file system, "" = none or not known."""

    volume_id: str
    capacity_bytes: int
    context: Mapping[str, str]
    zone_id: str = ""


def require_within(want: ExpandRequest, size_bytes: int) -> None:
    """Raise OutOfRange when a volume of *size_bytes* is larger than was asked for at most."""
    if want.limit_bytes and size_bytes > want.limit_bytes:
        raise errors.OutOfRange(
            f"volume {want.volume_id} has {size_bytes} bytes and is never made smaller; above "
            f"capacity_range.limit_bytes {want.limit_bytes}"
        )
