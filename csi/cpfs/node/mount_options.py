"""Options of a mount by the elastic client. Pure. Source: spec/csi-driver.md 4.2."""

import re
from collections.abc import Sequence

from core import errors
from csi.cpfs import volume_context

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}(=[A-Za-z0-9_.:/@+-]*)?")
OURS = frozenset({"net", "efc", "protocol", "fstype"})
"""They say what is mounted and how it is reached: the volume says that."""
DANGEROUS = frozenset(
    {
        *("bind", "rbind", "move", "remount", "loop", "sloppy", "bg", "uhelper", "helper"),
        *("suid", "dev", "context", "fscontext", "defcontext", "rootcontext"),
        *("ram_config_file", "access_key_id", "access_key_secret", "bindtag", "client_owner"),
        *("nas_ip", "backup_ip", "proxy", "proxy_port", "hp_config_dir"),
        *("no_kernel_permission", "overlaybd_mount", "upgrade"),
    }
)
"""They change what mount(8) does or which server it asks, whose volume it is or who may use it.

Source: mount.alinas and mount.cpfs-nfs of aliyun-alinas-utils, the options they take themselves.
"""
_LEASE = "g_lease_Enable"
_FILE_SYSTEM_OF_TARGET = re.compile(r"(?:cpfs|bmcpfs|dcpfs)-([A-Za-z0-9]{21})-.*")
_SECOND_GENERATION = "01"
_VPC = ("net=tcp",)
_VSC = ("_netdev", "net=vsc")
_CLIENT = ("efc", "protocol=efc", "fstype=cpfs")


def choose(
    mount_flags: Sequence[str], *, network_type: str, target: str, read_only: bool
) -> tuple[str, ...]:
    """All options, one each. target: domain that is mounted. Raises InvalidField."""
    words = [word for text in mount_flags for word in _words(text)]
    flags = [word for word in words if word not in ("ro", "rw")]
    names = [flag.partition("=")[0] for flag in flags]
    lease = () if _LEASE in names or has_leases(target) else (f"{_LEASE}=false",)
    return (
        *(["ro"] if read_only or "ro" in words else []),
        *flags,
        *(_VSC if network_type == volume_context.VSC else _VPC),
        *lease,
        *_CLIENT,
    )


def has_leases(target: str) -> bool:
    """Whether *target* belongs to a file system whose leases may stay on."""
    match = _FILE_SYSTEM_OF_TARGET.fullmatch(target)
    return match is not None and match[1][2:4] == _SECOND_GENERATION


def _words(text: str) -> list[str]:
    """The options between commas in one mount flag, those for init scripts left out."""
    words = [word for word in text.split(",") if word not in ("", "_netdev", "defaults")]
    for word in words:
        name = word.partition("=")[0]
        if not _WORD.fullmatch(word) or name in DANGEROUS or name.lower().startswith("x-"):
            raise errors.InvalidField(
                "mount_flags",
                "is not allowed",
                value=word,
                allowed="one option of the elastic client each, of letters, digits and _.:/@+-",
            )
        if name in OURS:
            raise errors.InvalidField(
                "mount_flags", "is set by the driver", value=word, allowed="other options"
            )
    return words
