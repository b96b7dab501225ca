"""The `server` of a volume: names of NFS servers and what they tell. Pure.

Source: spec/csi-driver.md 3.2.
"""

import dataclasses
import ipaddress
import pathlib
import re

from cloud import nas_model
from core import errors
from csi.nas import paths

Type = nas_model.FileSystemType

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_NAME_MAX = 253
_NAS = ".nas.aliyuncs.com"
_EXTREME = ".extreme.nas.aliyuncs.com"
_CPFS = ".cpfs.aliyuncs.com"
_LINGJUN = "bmcpfs-"
EXTREME_ROOT = "/share"
"""First directory of paths on extreme and CPFS servers. Source: spec/csi-driver.md 3.4, 3.7."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory of a server. host: a name, an IPv4 address, or an IPv6 one without brackets."""

    host: str
    base: str

    @property
    def export(self) -> str:
        """As mount(8) wants it."""
        return f"{bracketed(self.host)}:{self.base}"

    def __str__(self) -> str:
        return self.export


def parse_host(field: str, text: str) -> str:
    """A host name, an IPv4 address, or an IPv6 address in brackets or without."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    # A scope id, `fe80::1%x`, may be any text to `ipaddress`.
    if ":" in inner and "%" not in inner:
        try:
            return str(ipaddress.IPv6Address(inner))
        except ValueError:
            pass
    elif _NAME.fullmatch(text) and len(text) <= _NAME_MAX:
        return text
    raise errors.InvalidField(
        field,
        "is not a server",
        value=text,
        allowed="one host name, IPv4 address or [IPv6 address]",
    )


def parse_place(field: str, text: str) -> Place:
    """`host[:/base]`; an IPv6 address with a base stands in brackets."""
    host, colon, base = text.partition(":/")
    return Place(
        host=parse_host(field, host), base=paths.parse(field, f"/{base}") if colon else "/"
    )


def parse_list(field: str, text: str) -> tuple[Place, ...]:
    """Places between commas, at least one."""
    words = [word.strip() for word in text.split(",")]
    return tuple(parse_place(field, word) for word in words)


def kind_of(host: str) -> Type:
    """Type of file system by the domain; UNKNOWN for a server of one's own."""
    low = host.lower().rstrip(".")
    if low.endswith(_EXTREME):
        return Type.EXTREME
    if low.endswith(_CPFS):
        return Type.BMCPFS if low.startswith(_LINGJUN) else Type.CPFS
    if low.endswith(_NAS):
        return Type.STANDARD
    return Type.UNKNOWN


def file_system_id(host: str) -> str:
    """Id of the file system behind a mount target's domain, "" for a server of one's own."""
    kind = kind_of(host)
    if kind is Type.UNKNOWN:
        return ""
    first = host.partition(".")[0]
    if kind is Type.STANDARD:
        return first.partition("-")[0]
    # extreme-0123-abc12: the id has a prefix of its own.
    prefix, _, rest = first.partition("-")
    return f"{prefix}-{rest.partition('-')[0]}"


def root_of(place: Place) -> Place:
    """The highest directory of *place*'s server that can be mounted."""
    inside_share = f"{place.base}/".startswith(f"{EXTREME_ROOT}/")
    if kind_of(place.host) in (Type.EXTREME, Type.CPFS) and inside_share:
        return Place(host=place.host, base=EXTREME_ROOT)
    return Place(host=place.host, base="/")


def below(place: Place, root: Place) -> pathlib.PurePosixPath:
    """Path of *place* below *root*, which is above it on the same server."""
    return pathlib.PurePosixPath(place.base).relative_to(root.base)


def bracketed(host: str) -> str:
    """*host* with an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
