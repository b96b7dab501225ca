"""The texts a volume carries for the node, parsed and checked.

Mount flags, mkfs options, IO limits: the same for every driver of block devices.

Pure. They come from StorageClass parameters and PersistentVolumes, so each is checked word by
word: none may turn into another option, another device or another file of the node.
"""

import dataclasses
import enum
import re
from collections.abc import Mapping, Sequence

from core import errors, units
from csi import mkfs_words, requests
from host import cgroup

POD_UID_KEY = "csi.storage.k8s.io/pod.uid"

PER_MOUNT_FLAGS = frozenset(
    {"ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "nosymfollow"}
    | {"noatime", "atime", "nodiratime", "diratime", "relatime", "norelatime"}
    | {"strictatime", "nostrictatime"}
)
"""Options of a mount point, as opposed to options of its file system. Source: mount(8)."""

_FLAG = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]*(=([^",]*|"[^"]*"))?')
"""A name, and perhaps a value: without commas, or in quotes as SELinux contexts need them."""
_NOT_OURS = frozenset(
    {"bind", "rbind", "move", "rmove", "remount", "loop", "offset", "sizelimit"}
    | {"shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable"}
    | {"helper", "uhelper", "user", "users", "owner", "group"}
)
"""Words that make mount(8) do something else than mount this device here."""
_POD_UID = re.compile(r"[A-Za-z0-9-]+")
_UINT32_MAX = 2**32 - 1
_UINT64_MAX = 2**64 - 1
_YES = frozenset({"yes", "true", "1"})


class FsType(enum.StrEnum):
    """File systems we make."""

    EXT4 = "ext4"
    EXT3 = "ext3"
    XFS = "xfs"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemOptions:
    """How a volume's file system is made and checked.

    fs_type: None = whatever is on the disk; an empty one gets the settings' default.
    mkfs_options: None = the defaults of `host.filesystem`; given ones replace those.
    """

    fs_type: FsType | None = None
    mkfs_options: tuple[str, ...] | None = None
    skip_check: bool = False


def parse_fs_type(capability: requests.VolumeCapability) -> FsType | None:
    """File system asked for, None = no wish."""
    if not capability.fs_type:
        return None
    try:
        return FsType(capability.fs_type.lower())
    except ValueError as e:
        raise errors.InvalidField(
            "volume_capability.fs_type",
            "is not supported",
            value=capability.fs_type,
            allowed=", ".join(FsType),
        ) from e


def parse_filesystem(
    capability: requests.VolumeCapability, volume_context: Mapping[str, str]
) -> FilesystemOptions:
    """File system options of a request."""
    return FilesystemOptions(
        fs_type=parse_fs_type(capability),
        mkfs_options=mkfs_words.parse(volume_context.get("mkfsOptions", "")),
        skip_check=volume_context.get("omitfsck", "").lower() in _YES,
    )


def parse_mount_flags(flags: Sequence[str]) -> tuple[str, ...]:
    """*flags*, each one mount option and nothing but that.

    `defaults` says nothing and `shared` is what every mount below kubelet's directory is anyway
    (the reference adds it itself), so both are dropped.
    """
    field = "volume_capability.mount_flags"
    told = []
    for flag in flags:
        name = flag.partition("=")[0].lower()
        if name in {"defaults", "shared"}:
            continue
        if _FLAG.fullmatch(flag) is None or any(c.isspace() for c in flag):
            raise errors.InvalidField(
                field, "is not one mount option", value=flag, allowed="name or name=value, no comma"
            )
        if name in _NOT_OURS or name.startswith("x-"):
            raise errors.InvalidField(
                field, "is not an option of this device's mount", value=flag, allowed="see mount(8)"
            )
        told.append(flag)
    return tuple(dict.fromkeys(told))


def parse_io_limits(volume_context: Mapping[str, str]) -> cgroup.IoLimits | None:
    """Limits of bytes and operations a second, None when none is asked for.

    Source: spec/csi-driver.md 2.4, readIOPS, writeIOPS, readBPS, writeBPS.
    """
    limits = cgroup.IoLimits(
        read_iops=_iops(volume_context, "readIOPS"),
        write_iops=_iops(volume_context, "writeIOPS"),
        read_bps=_bps(volume_context, "readBPS"),
        write_bps=_bps(volume_context, "writeBPS"),
    )
    return None if limits == cgroup.IoLimits() else limits


def parse_pod_uid(volume_context: Mapping[str, str]) -> str:
    """Uid of the pod a volume is published for. Needed only when there are limits to set."""
    uid = volume_context.get(POD_UID_KEY, "")
    if not _POD_UID.fullmatch(uid):
        raise errors.InvalidField(
            f"volume_context[{POD_UID_KEY}]",
            "is needed to set IO limits",
            value=uid,
            allowed="a pod uid; set podInfoOnMount in the CSIDriver object",
        )
    return uid


def _iops(volume_context: Mapping[str, str], key: str) -> int | None:
    text = volume_context.get(key, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _UINT32_MAX:
        raise errors.InvalidField(
            f"volume_context[{key}]", "is out of range", value=text, allowed=f"1 to {_UINT32_MAX}"
        )
    return int(text)


def _bps(volume_context: Mapping[str, str], key: str) -> int | None:
    text = volume_context.get(key, "").strip()
    if not text:
        return None
    value = units.parse_binary(f"volume_context[{key}]", text)
    if not 0 < value <= _UINT64_MAX:
        raise errors.InvalidField(
            f"volume_context[{key}]", "is out of range", value=text, allowed=f"1 to {_UINT64_MAX}"
        )
    return value
