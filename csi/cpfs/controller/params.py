"""StorageClass parameters of CreateVolume, parsed. Pure. Source: spec/csi-driver.md 4.2."""

import dataclasses
from collections.abc import Mapping

from core import errors, units
from csi import class_parameters, values
from csi.cpfs import handles, volume_context

_FILE_SYSTEM = "bmcpfsId"
_GENERAL_EDITION = "cpfs-"
"""Its filesets have no quotas. Source: NAS API, CreateFileset, Quota."""
_FILE_COUNT = "fileCountLimit"
_FILE_COUNT_DEFAULT = 1_000_000
"""The reference's. Source: spec/csi-driver.md 4.2."""
_FILE_COUNTS = (10_000, 10_000_000_000)
_MIN_GIB = 10
"""Limits of a fileset's quota. Source: NAS API, SetFilesetQuota."""
_MOST_BYTES = 2**63 - 1
"""What an answer of ours can tell; how much a file system has room for, the cloud knows."""
_TO_NODE = (
    volume_context.VPC_TARGET,
    volume_context.VSC_TARGET,
    volume_context.AUTO_SWITCH,
)
KNOWN = frozenset({_FILE_SYSTEM, volume_context.PATH, _FILE_COUNT, *_TO_NODE})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CpfsParameters:
    """Where filesets are made. base: path above them, "" = the root. context: for publishing."""

    file_system_id: str
    base: str
    file_count: int
    context: Mapping[str, str]

    def path(self, name: str) -> str:
        """Path of the fileset of volume *name*, with a slash at both ends as the API has it."""
        return f"{self.base}/{name}/"


def parse(parameters: Mapping[str, str]) -> CpfsParameters:
    """The class's parameters. Raises InvalidField, for an unknown one too."""
    told = class_parameters.wishes(parameters)
    unknown = sorted(told.keys() - KNOWN)
    if unknown:
        raise errors.InvalidField(
            f"parameters[{unknown[0]}]", "is not known", allowed=", ".join(sorted(KNOWN))
        )
    file_system_id = told.get(_FILE_SYSTEM, "")
    handle = handles.Handle.parse(file_system_id)
    if handle is None or handle.fileset_id or file_system_id.startswith(_GENERAL_EDITION):
        raise errors.InvalidField(
            f"parameters[{_FILE_SYSTEM}]",
            "is required and names a file system of CPFS for Lingjun",
            value=file_system_id,
            allowed="bmcpfs-…",
        )
    base = volume_context.path(f"parameters[{volume_context.PATH}]", told.get("path", "/"))
    for key in (volume_context.VPC_TARGET, volume_context.VSC_TARGET):
        volume_context.host(f"parameters[{key}]", told.get(key, ""))
    values.boolean(
        f"parameters[{volume_context.AUTO_SWITCH}]",
        told.get(volume_context.AUTO_SWITCH, ""),
    )
    least, most = _FILE_COUNTS
    return CpfsParameters(
        file_system_id=file_system_id,
        base=base,
        file_count=values.integer(
            f"parameters[{_FILE_COUNT}]",
            told.get(_FILE_COUNT, str(_FILE_COUNT_DEFAULT)),
            minimum=least,
            maximum=most,
        ),
        context={key: told[key] for key in _TO_NODE if key in told},
    )


def choose_size_bytes(required_bytes: int, limit_bytes: int) -> int:
    """Quota of a fileset: whole GiB, ten at least. Raises OutOfRange. Pure."""
    size_bytes = units.gib_to_bytes(max(_MIN_GIB, units.ceil_gib(required_bytes)))
    if size_bytes > _MOST_BYTES:
        raise errors.OutOfRange(
            f"capacity_range.required_bytes {required_bytes} is more than any quota can be"
        )
    if limit_bytes and size_bytes > limit_bytes:
        raise errors.OutOfRange(
            f"a fileset's quota is whole GiB, {_MIN_GIB} at least: {size_bytes} bytes are above "
            f"capacity_range.limit_bytes {limit_bytes}"
        )
    return size_bytes
