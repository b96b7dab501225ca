"""File systems and what belongs to them, as rows. Not here: rules, names of the API."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

FILE_SYSTEM, MOUNT_TARGET, ACCESS_GROUP = "nas_file_system", "nas_mount_target", "nas_access_group"
ACCESS_POINT, DIRECTORY, DIR_QUOTA = "nas_access_point", "nas_directory", "nas_dir_quota"
FILESET, SERVICE, EXPORT = "cpfs_fileset", "cpfs_protocol_service", "cpfs_protocol_mount_target"
VSC, VSC_ATTACHMENT = "vsc", "vsc_attachment"

STANDARD, EXTREME, CPFS, CPFSSE, BMCPFS = "standard", "extreme", "cpfs", "cpfsse", "bmcpfs"
DEFAULT_ACCESS_GROUP = "DEFAULT_VPC_GROUP_NAME"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """Something with a row in the store. due_s: end of a status that passes, simulated seconds."""

    due_s: float | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Inverse of row(); what JSON made a list is a tuple again."""
        fields = {name: row[name] for name in row if name in cls.__dataclass_fields__}
        for name, value in fields.items():
            if isinstance(value, list):
                fields[name] = tuple(value)
        return cls(**fields)

    def row(self) -> dict[str, Any]:
        """JSON object for the store."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem(_Row):
    """status: Pending, Running, Extending, Deleting. capacity_gib: 0 = grows by itself.

    wanted_gib: what it is being extended to. recycle_days: 0 = the recycle bin is off.
    """

    file_system_id: str
    type: str
    status: str
    storage_type: str
    protocol: str
    zone_id: str
    creation_time: str
    capacity_gib: int = 0
    wanted_gib: int = 0
    bandwidth: int = 0
    vpc_id: str = ""
    vswitch_id: str = ""
    encrypt_type: int = 0
    kms_key_id: str = ""
    charge_type: str = "PayAsYouGo"
    description: str = ""
    resource_group_id: str = ""
    recycle_days: int = 0
    recycle_time: str = ""
    vsc_target: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MountTarget(_Row):
    """status: Pending, Active, Inactive, Deleting. network_type: "Vpc", or "" for a VSC target."""

    domain: str
    file_system_id: str
    status: str
    vpc_id: str
    vswitch_id: str
    access_group: str
    network_type: str = "Vpc"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccessGroup(_Row):
    """A permission group with its rules: mappings with id, source, rw, user, priority."""

    name: str
    type: str
    file_system_type: str
    description: str
    creation_time: str
    rules: tuple[Mapping[str, Any], ...] = ()

    @property
    def key(self) -> str:
        """Key of its row: a name may be used once for each type of file system."""
        return f"{self.file_system_type}/{self.name}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccessPoint(_Row):
    """status: Pending, Active, Deleting. Numbers of the POSIX user: None = not set."""

    access_point_id: str
    file_system_id: str
    name: str
    status: str
    domain: str
    root_path: str
    access_group: str
    vpc_id: str
    vswitch_id: str
    creation_time: str
    modify_time: str
    ram_enabled: bool = False
    owner_user_id: int = 0
    owner_group_id: int = 0
    permission: str = "0777"
    posix_user_id: int | None = None
    posix_group_id: int | None = None
    posix_secondary_group_ids: tuple[int, ...] = ()
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DirQuota(_Row):
    """A quota of a directory for one user, group or all. status: Initializing, Normal.

    user_type: Uid, Gid, AllUsers. size_gib, file_count: 0 = not limited.
    """

    file_system_id: str
    path: str
    user_type: str
    user_id: str
    quota_type: str
    status: str
    size_gib: int = 0
    file_count: int = 0

    @property
    def key(self) -> str:
        """Key of its row."""
        return f"{self.file_system_id}:{self.path}:{self.user_type}:{self.user_id}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fileset(_Row):
    """status: CREATING, CREATED, RELEASING. size_bytes, file_count: 0 = not limited."""

    fileset_id: str
    file_system_id: str
    path: str
    status: str
    creation_time: str
    update_time: str
    description: str = ""
    size_bytes: int = 0
    file_count: int = 0
    deletion_protection: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolService(_Row):
    """NFS access to CPFS. status: CREATING, RUNNING, DELETING."""

    service_id: str
    file_system_id: str
    status: str
    spec: str
    protocol: str
    throughput: int
    vpc_id: str
    vswitch_id: str
    description: str
    creation_time: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolMountTarget(_Row):
    """An export of a protocol service. status: CREATING, ACTIVE, DELETING."""

    export_id: str
    service_id: str
    file_system_id: str
    status: str
    domain: str
    path: str
    fileset_id: str
    access_group: str
    vpc_id: str
    vswitch_id: str
    description: str
    creation_time: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vsc(_Row):
    """A virtual storage channel of an instance or a Lingjun node.

    status: Creating, In_use, Deleting; of a node: Preparing, Normal.
    """

    vsc_id: str
    instance_id: str
    type: str
    status: str
    name: str = ""
    description: str = ""
    resource_group_id: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VscAttachment(_Row):
    """A channel on a file system. status: Attaching, Attached, Detaching."""

    file_system_id: str
    vsc_id: str
    status: str

    @property
    def key(self) -> str:
        """Key of its row."""
        return f"{self.file_system_id}/{self.vsc_id}"
