"""StorageClass parameters of node-local volumes, and what of them goes to the node. Pure.

Source: spec/csi-driver.md 6.1 and 6.2. Values are case-sensitive, as in the reference.
"""

import dataclasses
import enum
import json
import re
from collections.abc import Mapping
from typing import TypeVar

from core import errors, units
from csi import class_parameters, mkfs_words, node_options, values

SELECTED_STORAGE = "volume.kubernetes.io/selected-storage"
E = TypeVar("E", bound=enum.StrEnum)
_KIB = 1024
_GROUP_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_+.-]{0,126}")


class VolumeType(enum.StrEnum):
    """What a volume is made of."""

    LVM = "LVM"
    LOOP_DEVICE = "LoopDevice"
    QUOTA_PATH = "QuotaPath"
    MOUNT_POINT = "MountPoint"
    DEVICE = "Device"


class LvmType(enum.StrEnum):
    """How a logical volume lies on the disks."""

    LINEAR = "linear"
    STRIPING = "striping"
    MIRROR = "mirror"
    THIN = "thin"


class MediaType(enum.StrEnum):
    """Kind of disk. Source: spec/csi-driver.md 6.2."""

    HDD = "hdd"
    SSD = "ssd"


class Strategy(enum.StrEnum):
    """Which of several groups gets a volume: the fullest that has room, or the emptiest."""

    BINPACK = "binpack"
    SPREAD = "spread"


class Wipe(enum.StrEnum):
    """What is done with the content of a deleted volume."""

    NONE = "none"
    DISCARD = "discard"
    ZERO = "zero"


REFUSED: Mapping[str, str] = {
    "PMEM": "persistent memory is not supported; make a volume group on it and use LVM",
}
IGNORED = frozenset({"pvType", "allowVolumeExpansion"})
"""Groups are made by LVM_CREATE_GROUPS, never from whatever disk is free."""
FOR_THE_NODE = frozenset({"mkfsOptions", "readIOPS", "writeIOPS", "readBPS", "writeBPS"})
KNOWN = (
    frozenset({"volumeType", "vgName", "fsType", "lvmType", "nodeAffinity", "thinPool"})
    | {"mediaType", "strategy", "wipePolicy", "iops", "bps", "rootPath", "encrypted"}
    | FOR_THE_NODE
    | IGNORED
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """How a volume is to be made. group, pool: "" = whichever fits.

    encrypted: in a LUKS container. root: of QuotaPath, "" = the first one.
    path: the mount point or the disk that a scheduler chose, "" = none.
    bound: tell the node as the volume's topology. context: for the node.
    """

    volume_type: VolumeType
    group: str = ""
    lvm_type: LvmType = LvmType.LINEAR
    pool: str = ""
    media_type: MediaType | None = None
    strategy: Strategy = Strategy.BINPACK
    wipe: Wipe = Wipe.NONE
    fs_type: str = ""
    root: str = ""
    path: str = ""
    bound: bool = True
    encrypted: bool = False
    context: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def identity(self) -> str:
        """All that two requests for one volume must have in common."""
        place = (self.volume_type, self.group, self.lvm_type, self.pool, self.root)
        return "/".join(map(str, (*place, self.wipe, self.encrypted)))

    @property
    def volume_context(self) -> dict[str, str]:
        """What the volume carries for its node. Source: spec/csi-driver.md appendix D."""
        told = {"volumeType": str(self.volume_type)}
        if self.volume_type is VolumeType.LVM:
            told["lvmType"] = str(self.lvm_type)
        if self.encrypted:
            told["encrypted"] = "true"
        if not self.bound:
            told["nodeAffinity"] = "false"
        return {**told, **({"fsType": self.fs_type} if self.fs_type else {}), **self.context}


def parse(parameters: Mapping[str, str]) -> Parameters:
    """Parse *parameters*. Raises InvalidField naming the parameter and what is allowed."""
    own = class_parameters.wishes(parameters)
    _require_known(own)
    lvm_type = _choice(own, "lvmType", LvmType.LINEAR)
    if own.get("thinPool") and lvm_type is not LvmType.THIN:
        raise errors.InvalidField(
            "parameters[thinPool]", "needs lvmType: thin", value=own["thinPool"]
        )
    media = own.get("mediaType")
    return Parameters(
        volume_type=_volume_type(own.get("volumeType", "")),
        group=_group(own.get("vgName", ""), parameters.get(SELECTED_STORAGE, "")),
        lvm_type=lvm_type,
        pool=_name("thinPool", own.get("thinPool", "")),
        media_type=_choice(own, "mediaType", MediaType.HDD) if media else None,
        strategy=_choice(own, "strategy", Strategy.BINPACK),
        wipe=_choice(own, "wipePolicy", Wipe.NONE),
        fs_type=_fs_type(own.get("fsType", "")),
        root=own.get("rootPath", "").rstrip("/"),
        path=_chosen_path(own.get("volumeType", ""), parameters.get(SELECTED_STORAGE, "")),
        bound=values.boolean("parameters[nodeAffinity]", own.get("nodeAffinity", "true")),
        encrypted=_encrypted(own),
        context=_context(own),
    )


def _choice(own: Mapping[str, str], key: str, default: E) -> E:
    """The value of *key*, of the same kind as *default*."""
    kind = type(default)
    text = own.get(key) or default.value
    if text not in set(kind):
        raise errors.InvalidField(
            f"parameters[{key}]", "is not known", value=text, allowed=", ".join(kind)
        )
    return kind(text)


def _require_known(own: Mapping[str, str]) -> None:
    for key in own:
        if key not in KNOWN:
            raise errors.InvalidField(
                f"parameters[{key}]", "is not known", allowed=", ".join(sorted(KNOWN))
            )


def _volume_type(text: str) -> VolumeType:
    if text in REFUSED:
        raise errors.InvalidField("parameters[volumeType]", REFUSED[text], value=text)
    if text not in set(VolumeType):
        raise errors.InvalidField(
            "parameters[volumeType]", "is not known", value=text, allowed=", ".join(VolumeType)
        )
    return VolumeType(text)


def _name(key: str, text: str) -> str:
    if text and not _GROUP_NAME.fullmatch(text):
        raise errors.InvalidField(f"parameters[{key}]", "is not a name in LVM", value=text)
    return text


def _selected(text: str, key: str) -> str:
    """What ACK's scheduler chose: JSON with *key*, "" = nothing."""
    if not text.startswith("{"):
        return ""
    try:
        told = json.loads(text)
    except ValueError as e:
        raise errors.InvalidField(f"parameters[{SELECTED_STORAGE}]", "is not JSON") from e
    return str(told.get(key, ""))


def _group(named: str, selected_storage: str) -> str:
    """The class's group or the scheduler's. Source: spec/csi-driver.md 6.1."""
    selected = _selected(selected_storage, "VolumeGroup")
    if named and selected and named != selected:
        raise errors.InvalidField(
            "parameters[vgName]", f"contradicts {SELECTED_STORAGE}", value=named, allowed=selected
        )
    return _name("vgName", named or selected)


def _chosen_path(volume_type: str, selected_storage: str) -> str:
    """What ACK's scheduler chose: JSON, or the path itself."""
    if volume_type not in (VolumeType.MOUNT_POINT, VolumeType.DEVICE):
        return ""
    if selected_storage.startswith("/"):
        return selected_storage
    return _selected(selected_storage, volume_type)


def _fs_type(text: str) -> str:
    if text and text not in set(node_options.FsType):
        raise errors.InvalidField(
            "parameters[fsType]", "is not known", value=text, allowed=", ".join(node_options.FsType)
        )
    return text


def _encrypted(own: Mapping[str, str]) -> bool:
    """Only what is a new block device can be."""
    told = values.boolean("parameters[encrypted]", own.get("encrypted", ""))
    if told and own.get("volumeType") != VolumeType.LVM:
        raise errors.InvalidField("parameters[encrypted]", "needs volumeType: LVM", value="true")
    return told


def _context(own: Mapping[str, str]) -> dict[str, str]:
    """Checked as the node will do it, so that a wrong one is refused before a volume is made."""
    told = {key: text for key, text in own.items() if key in FOR_THE_NODE and text}
    if own.get("iops"):
        told |= {"readIOPS": own["iops"], "writeIOPS": own["iops"]}
    if own.get("bps"):
        kib = values.integer("parameters[bps]", own["bps"], minimum=1, maximum=units.TIB // _KIB)
        told |= {"readBPS": f"{kib}K", "writeBPS": f"{kib}K"}
    node_options.parse_io_limits(told)
    mkfs_words.parse(told.get("mkfsOptions", ""))
    return told
