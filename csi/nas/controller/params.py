"""StorageClass parameters of CreateVolume as plain values; `parse_params` reads them.

Source: spec/csi-driver.md 3.1 to 3.5.
"""

import dataclasses
import enum
from collections.abc import Mapping

from cloud import nas_model
from csi.nas import server


class VolumeAs(enum.StrEnum):
    """What a volume is. Source: parameter volumeAs."""

    SUBPATH = "subpath"
    SHAREPATH = "sharepath"
    FILESYSTEM = "filesystem"
    ACCESSPOINT = "accesspoint"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every kind of volume has. context: for the node, as it was given."""

    volume_as: VolumeAs
    context: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SubpathParameters(Common):
    """A directory of a file system.

    places: servers to choose from. file_system_id: "" = told by the server's name. archive: rename
    the directory at DeleteVolume, False = delete its files. quota: hold the volume to its size.
    """

    places: tuple[server.Place, ...]
    file_system_id: str
    archive: bool
    quota: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SharepathParameters(Common):
    """A directory that is there already, shared by all volumes of the class."""

    places: tuple[server.Place, ...]
    file_system_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemParameters(Common):
    """A file system of its own. encrypt_type, access_group: as the API takes them.

    zone_id: "" = chosen by topology. delete: whether DeleteVolume deletes it.
    """

    type: nas_model.FileSystemType
    storage_type: str
    zone_id: str
    vpc_id: str
    vswitch_ids: tuple[str, ...]
    access_group: str
    encrypt_type: int
    kms_key_id: str
    description: str
    snapshot_id: str
    resource_group_id: str
    delete: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccesspointParameters(Common):
    """An access point of a file system that is there already."""

    file_system_id: str
    vpc_id: str
    vswitch_id: str
    path: str
    access_group: str
    ram_enabled: bool
    owner_user_id: int
    owner_group_id: int
    permission: str
    posix_user_id: int | None
    posix_group_id: int | None
    posix_secondary_group_ids: tuple[int, ...]
    quota: bool


Parameters = SubpathParameters | SharepathParameters | FilesystemParameters | AccesspointParameters
