"""What a node is told about a volume: the keys of volume_context, parsed. Pure.

Keys are taken in any letter case, as the reference does. Source: spec/csi-driver.md 3.7; the table
of all keys is docs/reference/nas.md.
"""

import dataclasses
import re
from collections.abc import Mapping

from core import errors
from csi import values
from csi.nas import clients, faults, paths, server

_MODE = re.compile(r"0?[0-7]{3,4}")
_READ_AHEAD = re.compile(r"bdi/read_ahead_kb=(\d{1,9})")
_FILE_SYSTEM_TYPES = ("standard", "extreme", "cpfs")
_IMAGE_MAX_BYTES = 16 << 40
"""What ext4 can hold with 4 KiB blocks. Source: ext4(5)."""
POD_UID = "csi.storage.k8s.io/pod.uid"
_AGENT = "agent identity is not supported; the server's permission group decides who may mount"

TAKEN = (
    *("server", "accesspoint", "path", "vers", "mode", "modeType", "options"),
    *("sysConfig", "sysConfigs", "mountProtocol", "useClient", "fileSystemType"),
    *("mountType", "loopLock", "loopImageSize"),
)
"""Keys with an effect on a node."""
TOLD = (
    *("volumeAs", "fileSystemId", "volumeCapacity", "deleteVolume", "accesspointId"),
    *("accesspointEnableRam", "allowVolumeExpansion", "containerNetworkFileSystem"),
)
"""Keys that only tell how the volume was made."""
REFUSED: Mapping[str, str] = {
    "authType": _AGENT,
    "sandboxId": _AGENT,
    "sandboxCredProviderName": _AGENT,
    "credentialProviderName": _AGENT,
}
"""Keys that would change what is mounted, and why they are refused."""
_NAMES = {name.lower(): name for name in (*TAKEN, *TOLD, *REFUSED)}
_SKIPMOUNT = "skipmount"
_NOWHERE = server.Place(host="", base="/")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """An ext4 image in the directory, mounted through a loop device.

    image_bytes: size of a new image, 0 = there must be one. lock: one node at a time.
    """

    image_bytes: int
    lock: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NasVolume:
    """A directory of a server.

    file_system_type: "" = not known. by_protocol: `useClient` says nothing. mode: None = as it is.
    read_ahead_kb: None = the kernel's. loop: None = the directory itself is the volume.
    """

    place: server.Place
    client: clients.Client
    by_protocol: bool
    accesspoint: bool
    file_system_type: str
    version: str
    options: str
    mode: int | None
    recursive: bool
    read_ahead_kb: int | None
    loop: Loop | None


def parse(context: Mapping[str, str]) -> NasVolume:
    """The volume; other programs' keys are left alone. Raises Invalid naming every key at fault."""
    found = faults.Faults()
    told = _told(context, found)
    for key, why in REFUSED.items():
        if told.get(key):
            found.add(errors.InvalidField(_field(key), why, value=told[key]))
    accesspoint = bool(told.get("accesspoint"))
    place = found.catch(_NOWHERE, lambda: _place(told))
    kind = found.catch("", lambda: _file_system_type(told, place.host))
    use_client = found.catch(
        clients.UseClient.NONE,
        lambda: values.member(_field("useClient"), told.get("useClient", ""), clients.UseClient),
    )
    protocol = found.catch(
        clients.Protocol.NONE,
        lambda: values.member(
            _field("mountProtocol"), told.get("mountProtocol", ""), clients.Protocol
        ),
    )
    client = found.catch(
        clients.Client.NFS,
        lambda: clients.choose_client(
            use_client=use_client,
            protocol=protocol,
            file_system_type=kind,
            accesspoint=accesspoint,
        ),
    )
    mode = found.catch(None, lambda: _mode(told, place))
    recursive = found.catch(False, lambda: _recursive(told))
    read_ahead_kb = found.catch(None, lambda: _read_ahead(told))
    loop = found.catch(None, lambda: _loop(told, client))
    found.finish()
    return NasVolume(
        place=place,
        client=client,
        by_protocol=use_client is clients.UseClient.NONE,
        accesspoint=accesspoint,
        file_system_type=kind,
        version=told.get("vers", ""),
        options=told.get("options", ""),
        mode=mode,
        recursive=recursive,
        read_ahead_kb=read_ahead_kb,
        loop=loop,
    )


def value(context: Mapping[str, str], name: str) -> str:
    """What *context* tells of key *name*, as it was written; "" = nothing."""
    return next((text for key, text in context.items() if key.lower() == name.lower()), "")


def _field(key: str) -> str:
    return f"volume_context[{key}]"


def _told(context: Mapping[str, str], found: faults.Faults) -> dict[str, str]:
    """The keys we know, as the tables write them."""
    told: dict[str, str] = {}
    for key, text in context.items():
        name = _NAMES.get(key.lower())
        if name is None:
            continue
        if told.setdefault(name, text) != text:
            found.add(
                errors.InvalidField(_field(key), f"contradicts {name} {told[name]!r}", value=text)
            )
    return told


def _place(told: Mapping[str, str]) -> server.Place:
    """Where the volume is. An access point's name is a server's name too."""
    key = "accesspoint" if told.get("accesspoint") else "server"
    if not told.get(key):
        raise errors.InvalidField(_field(key), "is required")
    found = faults.Faults()
    host = found.catch("", lambda: server.parse_host(_field(key), told[key]))
    base = found.catch("/", lambda: paths.parse(_field("path"), told.get("path", "") or "/"))
    found.finish()
    return server.Place(host=host, base=base)


def _file_system_type(told: Mapping[str, str], host: str) -> str:
    """What the context says, or else what the server's domain says."""
    text = told.get("fileSystemType", "").lower()
    if text and text not in _FILE_SYSTEM_TYPES:
        raise errors.InvalidField(
            _field("fileSystemType"),
            "is not known",
            value=told["fileSystemType"],
            allowed=", ".join(_FILE_SYSTEM_TYPES),
        )
    if text:
        return text
    match server.kind_of(host):
        case server.Type.STANDARD:
            return "standard"
        case server.Type.EXTREME:
            return "extreme"
        case server.Type.CPFS | server.Type.BMCPFS:
            return "cpfs"
        case _:
            return ""


def _mode(told: Mapping[str, str], place: server.Place) -> int | None:
    text = told.get("mode", "")
    if not text:
        return None
    if not _MODE.fullmatch(text):
        raise errors.InvalidField(
            _field("mode"), "is not a file mode", value=text, allowed="octal, such as 0755"
        )
    if place.base == "/" and place is not _NOWHERE:
        raise errors.InvalidField(
            _field("mode"),
            "is not set on a server's root directory",
            value=text,
            allowed="a path below /",
        )
    return int(text, 8)


def _recursive(told: Mapping[str, str]) -> bool:
    kind = told.get("modeType", "") or "non-recursive"
    if kind not in ("non-recursive", "recursive"):
        raise errors.InvalidField(
            _field("modeType"), "is not known", value=kind, allowed="non-recursive, recursive"
        )
    return kind == "recursive"


def _read_ahead(told: Mapping[str, str]) -> int | None:
    """Of sysConfig, or of sysConfigs, which older controllers wrote; sysConfig wins."""
    key = "sysConfig" if told.get("sysConfig") else "sysConfigs"
    text = told.get(key, "").strip()
    if not text:
        return None
    match = _READ_AHEAD.fullmatch(text)
    if match is None:
        raise errors.InvalidField(
            _field(key), "is not allowed", value=text, allowed="bdi/read_ahead_kb=<number>"
        )
    return int(match[1])


def _loop(told: Mapping[str, str], client: clients.Client) -> Loop | None:
    kind = told.get("mountType", "")
    if kind == _SKIPMOUNT:
        raise errors.InvalidField(
            _field("mountType"),
            "is refused: pods would write to the node's own disk and not know",
            value=kind,
            allowed="losetup, or no mountType",
        )
    if kind not in ("", "losetup"):
        raise errors.InvalidField(
            _field("mountType"), "is not known", value=kind, allowed="losetup"
        )
    if not kind:
        return None
    if client is not clients.Client.NFS:
        raise errors.InvalidField(
            _field("mountType"),
            f"cannot be with the client {client}",
            value=kind,
            allowed="mountProtocol nfs",
        )
    size = told.get("loopImageSize", "").strip() or "0"
    return Loop(
        image_bytes=values.integer(
            _field("loopImageSize"), size, minimum=0, maximum=_IMAGE_MAX_BYTES
        ),
        lock=values.boolean(_field("loopLock"), told.get("loopLock", "").strip() or "true"),
    )
