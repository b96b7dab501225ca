"""What NAS and CPFS tell us, as plain values. Sizes are in the units their names say."""

import dataclasses
import enum
from collections.abc import Mapping


class FileSystemType(enum.StrEnum):
    """`FileSystemType` of the API. BMCPFS is CPFS for Lingjun."""

    STANDARD = "standard"
    EXTREME = "extreme"
    CPFS = "cpfs"
    CPFSSE = "cpfsse"
    BMCPFS = "bmcpfs"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MountTarget:
    """A way into a file system.

    status: Active, Inactive, Pending, Deleting or another word. network_type: "vpc" in lower case;
    "" is a VSC mount target of CPFS for Lingjun.
    """

    domain: str
    status: str
    network_type: str = ""
    vpc_id: str = ""
    vswitch_id: str = ""
    access_group: str = ""

    @property
    def active(self) -> bool:
        """Whether it can be mounted."""
        return self.status.lower() == "active"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """A file system. status: Running, Pending, …; capacity_gib: 0 = elastic."""

    file_system_id: str
    type: FileSystemType
    status: str
    protocol: str
    storage_type: str
    zone_id: str
    vpc_id: str = ""
    capacity_gib: int = 0
    encrypted: bool = False
    description: str = ""
    mount_targets: tuple[MountTarget, ...] = ()
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewFileSystem:
    """A wish for CreateFileSystem. capacity_gib: 0 = leave out; snapshot_id: "" = empty."""

    type: FileSystemType
    storage_type: str
    protocol: str
    zone_id: str
    encrypt_type: int = 0
    kms_key_id: str = ""
    capacity_gib: int = 0
    vpc_id: str = ""
    vswitch_id: str = ""
    description: str = ""
    resource_group_id: str = ""
    snapshot_id: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewMountTarget:
    """A wish for CreateMountTarget."""

    vpc_id: str
    vswitch_id: str
    access_group: str
    security_group_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccessPoint:
    """An access point. status: Active, Pending, Deleting or another word.

    created: when it was made, in the API's words, whose order is that of time; "" = not told.
    """

    access_point_id: str
    file_system_id: str
    name: str
    domain: str
    root_path: str
    status: str
    created: str = ""
    ram_enabled: bool = False
    access_group: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewAccessPoint:
    """A wish for CreateAccessPoint. Numbers: None = leave it to the cloud."""

    file_system_id: str
    name: str
    access_group: str
    vpc_id: str
    vswitch_id: str
    root_directory: str
    ram_enabled: bool = False
    owner_user_id: int | None = None
    owner_group_id: int | None = None
    permission: str = ""
    posix_user_id: int | None = None
    posix_group_id: int | None = None
    posix_secondary_group_ids: tuple[int, ...] = ()
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DirQuota:
    """The quota of a directory for all users. None = not limited."""

    path: str
    status: str
    size_gib: int | None
    file_count: int | None
    used_bytes: int = 0
    used_files: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fileset:
    """A fileset of CPFS. status: CREATING, CREATED, …; limits: 0 = not limited.

    path: with a slash at both ends.
    """

    fileset_id: str
    path: str
    status: str
    description: str = ""
    size_bytes: int = 0
    file_count: int = 0
    used_bytes: int = 0
    used_files: int = 0
    deletion_protection: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VscAttachment:
    """A virtual storage channel on a file system.

    status: Attaching, Attached, Detaching, Detached, Failed.
    """

    file_system_id: str
    vsc_id: str
    status: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vsc:
    """A virtual storage channel of an instance. status: In_use or Normal when it is usable."""

    vsc_id: str
    instance_id: str
    type: str
    status: str
