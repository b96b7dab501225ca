"""Parsing what every driver's requests share, at the edge: protobuf in, checked plain values out.

Every function raises `core.errors.InvalidField`, which names the field, the value and what is
allowed. Limits: CSI specification, "Size Limits" and "Required vs. Optional Fields".
What is specific to one driver's parameters is in that driver's `params`.
"""

import dataclasses
import enum
import re
from collections.abc import Iterable, Mapping, Sequence

from core import errors
from csi._pb import csi_pb2

STRING_MAX_BYTES = 128
NODE_ID_MAX_BYTES = 256
MAP_MAX_BYTES = 4096
MOUNT_FLAGS_MAX_BYTES = 4096
PATH_MAX_BYTES = 4095
"""PATH_MAX of Linux without its terminator."""

_NAME_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Code points the CSI specification bars from names."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class AccessMode(enum.StrEnum):
    """Access modes by their protobuf names."""

    SINGLE_NODE_WRITER = "SINGLE_NODE_WRITER"
    SINGLE_NODE_READER_ONLY = "SINGLE_NODE_READER_ONLY"
    MULTI_NODE_READER_ONLY = "MULTI_NODE_READER_ONLY"
    MULTI_NODE_SINGLE_WRITER = "MULTI_NODE_SINGLE_WRITER"
    MULTI_NODE_MULTI_WRITER = "MULTI_NODE_MULTI_WRITER"
    SINGLE_NODE_SINGLE_WRITER = "SINGLE_NODE_SINGLE_WRITER"
    SINGLE_NODE_MULTI_WRITER = "SINGLE_NODE_MULTI_WRITER"

    @property
    def multi_node(self) -> bool:
        """Whether the volume may be published on several nodes at once."""
        return self.startswith("MULTI_NODE")

    @property
    def reader_only(self) -> bool:
        """Whether nobody may write."""
        return self.endswith("READER_ONLY")


class AccessType(enum.StrEnum):
    """What a workload gets: a device or a mounted file system."""

    BLOCK = "block"
    MOUNT = "mount"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VolumeCapability:
    """One capability. `fs_type`, `mount_flags`, `mount_group` are empty for block access."""

    access: AccessType
    mode: AccessMode
    fs_type: str = ""
    mount_flags: tuple[str, ...] = ()
    mount_group: str = ""


def require(field: str, value: str, *, max_bytes: int = STRING_MAX_BYTES) -> str:
    """*value*, which must be there, at most *max_bytes* of UTF-8, without control characters."""
    if not value:
        raise errors.InvalidField(field, "is required")
    return optional(field, value, max_bytes=max_bytes)


def optional(field: str, value: str, *, max_bytes: int = STRING_MAX_BYTES) -> str:
    """*value*, which may be empty, at most *max_bytes* of UTF-8, without control characters."""
    if len(value.encode()) > max_bytes:
        raise errors.InvalidField(
            field, "is too long", value=value, allowed=f"at most {max_bytes} bytes"
        )
    if _CONTROL.search(value):
        raise errors.InvalidField(
            field, "has control characters", value=value, allowed="printable characters"
        )
    return value


def node_id(value: str) -> str:
    """A node id, required, at most 256 bytes."""
    return require("node_id", value, max_bytes=NODE_ID_MAX_BYTES)


def name(value: str, field: str = "name") -> str:
    """A name made by the orchestrator: required, at most 128 bytes, allowed code points."""
    if not value:
        raise errors.InvalidField(field, "is required")
    if len(value.encode()) > STRING_MAX_BYTES:
        raise errors.InvalidField(
            field, "is too long", value=value, allowed=f"at most {STRING_MAX_BYTES} bytes"
        )
    if _NAME_FORBIDDEN.search(value):
        raise errors.InvalidField(
            field, "has control characters", value=value, allowed="printable characters"
        )
    return value


def string_map(field: str, value: Mapping[str, str]) -> dict[str, str]:
    """A plain copy of *value*, at most 4 KiB of keys and values together, no control characters."""
    total = sum(len(k.encode()) + len(v.encode()) for k, v in value.items())
    if total > MAP_MAX_BYTES:
        raise errors.InvalidField(
            field, f"has {total} bytes", allowed=f"at most {MAP_MAX_BYTES} bytes in all"
        )
    for key, text in value.items():
        if not key:
            raise errors.InvalidField(field, "has an empty key")
        if _CONTROL.search(key):
            raise errors.InvalidField(field, "has a key with control characters", value=key)
        if _NAME_FORBIDDEN.search(text):
            raise errors.InvalidField(f"{field}[{key}]", "has control characters", value=text)
    return dict(value)


def check_secrets(secrets: Mapping[str, str]) -> None:
    """Check the size of *secrets* without ever naming a key or a value."""
    if sum(len(k.encode()) + len(v.encode()) for k, v in secrets.items()) > MAP_MAX_BYTES:
        raise errors.InvalidField("secrets", "is too large", allowed=f"{MAP_MAX_BYTES} bytes")


def capability(
    value: csi_pb2.VolumeCapability, field: str = "volume_capability"
) -> VolumeCapability:
    """One required capability with an access type and a known access mode."""
    access = value.WhichOneof("access_type")
    if access is None and not value.HasField("access_mode"):
        raise errors.InvalidField(field, "is required")
    if access is None:
        raise errors.InvalidField(f"{field}.access_type", "is required", allowed="block or mount")
    mode = _access_mode(value.access_mode.mode, f"{field}.access_mode")
    if access == "block":
        return VolumeCapability(access=AccessType.BLOCK, mode=mode)
    flags = tuple(value.mount.mount_flags)
    if sum(len(flag.encode()) for flag in flags) > MOUNT_FLAGS_MAX_BYTES:
        raise errors.InvalidField(f"{field}.mount_flags", "is too large", allowed="4 KiB in all")
    return VolumeCapability(
        access=AccessType.MOUNT,
        mode=mode,
        fs_type=optional(f"{field}.fs_type", value.mount.fs_type),
        mount_flags=tuple(require(f"{field}.mount_flags", flag) for flag in flags),
        mount_group=optional(f"{field}.volume_mount_group", value.mount.volume_mount_group),
    )


def capabilities(values: Sequence[csi_pb2.VolumeCapability]) -> tuple[VolumeCapability, ...]:
    """At least one capability."""
    if not values:
        raise errors.InvalidField("volume_capabilities", "is required")
    return tuple(capability(v, f"volume_capabilities[{i}]") for i, v in enumerate(values))


def require_mount(values: Iterable[VolumeCapability], of: str) -> None:
    """Raise InvalidField for a capability that asks for a block device; of: what has none."""
    if any(value.access is AccessType.BLOCK for value in values):
        raise errors.InvalidField(
            "volume_capability.access_type",
            f"is not supported by {of}",
            value=AccessType.BLOCK.value,
            allowed=AccessType.MOUNT.value,
        )


def require_empty_volume(message: csi_pb2.CreateVolumeRequest) -> None:
    """Raise InvalidField for a volume with content, or one that may be modified later."""
    if message.HasField("volume_content_source"):
        raise errors.InvalidField(
            "volume_content_source", "is not supported", allowed="an empty volume"
        )
    if message.mutable_parameters:
        raise errors.InvalidField("mutable_parameters", "is not supported", allowed="nothing")


def capacity_range(value: csi_pb2.CapacityRange) -> tuple[int, int]:
    """(required_bytes, limit_bytes), 0 = not given. Neither may be negative nor contradict."""
    required_bytes, limit_bytes = value.required_bytes, value.limit_bytes
    if required_bytes < 0 or limit_bytes < 0:
        raise errors.InvalidField(
            "capacity_range", "is negative", value=f"{required_bytes}..{limit_bytes}"
        )
    if limit_bytes and required_bytes > limit_bytes:
        raise errors.InvalidField(
            "capacity_range",
            "has required_bytes above limit_bytes",
            value=f"{required_bytes} > {limit_bytes}",
        )
    return required_bytes, limit_bytes


def required_capacity_range(
    message: csi_pb2.ControllerExpandVolumeRequest,
) -> tuple[int, int]:
    """Like `capacity_range`, but it must be there and ask for something."""
    if not message.HasField("capacity_range"):
        raise errors.InvalidField("capacity_range", "is required")
    required_bytes, limit_bytes = capacity_range(message.capacity_range)
    if not required_bytes and not limit_bytes:
        raise errors.InvalidField("capacity_range", "asks for nothing", allowed="required_bytes")
    return required_bytes, limit_bytes


def path(field: str, value: str) -> str:
    """A required path string; where it may lie is checked by `host.paths`."""
    return require(field, value, max_bytes=PATH_MAX_BYTES)


def max_entries(value: int) -> int:
    """A page size, 0 = no limit."""
    if value < 0:
        raise errors.InvalidField("max_entries", "is negative", value=value, allowed="0 or more")
    return value


def ids(field: str, values: Iterable[str]) -> tuple[str, ...]:
    """Required ids, at least one, in the caller's order, without repeats."""
    told = tuple(dict.fromkeys(require(field, v) for v in values))
    if not told:
        raise errors.InvalidField(field, "is required")
    return told


def _access_mode(number: int, field: str) -> AccessMode:
    try:
        label = csi_pb2.VolumeCapability.AccessMode.Mode.Name(number)
        return AccessMode(label)
    except ValueError as e:
        raise errors.InvalidField(
            field, "is not an access mode", value=number, allowed=", ".join(AccessMode)
        ) from e
