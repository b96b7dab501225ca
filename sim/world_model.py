"""The world's sections and their fields, as types. Not here: reading, merging, checking them.

The sections about the network are in world_network.py.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from sim import policy as policy_module
from sim import world_network


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """An availability zone of the region."""

    zone_id: str
    local_name: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """What DescribeInstanceTypes tells.

    disk_quantity: most disks on one instance, the system disk included.
    disk_categories: categories it can attach; empty = all. nvme: required | supported |
    unsupported, as in `NvmeSupport`; multi-attach disks need required or supported.
    eri_quantity: interfaces with NetworkInterfaceTrafficMode HighPerformance (RDMA).
    """

    instance_type_id: str
    family: str
    cpu_cores: int
    memory_gib: float
    disk_quantity: int
    disk_categories: tuple[str, ...] = ()
    nvme: Literal["required", "supported", "unsupported"] = "unsupported"
    eni_quantity: int = 2
    eni_total_quantity: int = 0
    eni_private_ip_quantity: int = 6
    eni_ipv6_quantity: int = 6
    eni_trunk_supported: bool = False
    eri_quantity: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A machine that exists from the start.

    ram_role: role the metadata service hands credentials out for, "" = none.
    http_tokens: "required" refuses metadata requests without a token.
    local_disks_gib: sizes of disks of its own, which no call of the cloud knows.
    by_id_dir: where its disks' links appear with `--hardware disks`; "" = the server's default.
    """

    instance_id: str
    name: str
    zone_id: str
    instance_type_id: str
    vswitch_id: str
    security_group_ids: tuple[str, ...]
    private_ip: str
    mac: str
    eni_id: str
    status: Literal["Running", "Stopped"] = "Running"
    ram_role: str = ""
    http_tokens: Literal["optional", "required"] = "optional"
    image_id: str = "aliyun_3_x64_20G_alibase_20251030.vhd"
    system_disk_id: str = ""
    system_disk_category: str = "cloud_essd"
    system_disk_size_gib: int = 40
    by_id_dir: str = ""
    local_disks_gib: tuple[int, ...] = ()
    vsc_enabled: bool = False
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def serial_number(self) -> str:
        """Serial number of the machine, derived from its id; stable."""
        return f"sim0{self.instance_id.removeprefix('i-')}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DiskStock:
    """One kind of disk on sale in one place.

    zone_id: "" for regional disks. performance_level: "" for categories without levels.
    status: WithStock, ClosedWithStock (running out, still sold), WithoutStock (sold out).
    """

    zone_id: str
    category: str
    performance_level: str = ""
    min_gib: int
    max_gib: int
    status: Literal["WithStock", "ClosedWithStock", "WithoutStock"] = "WithStock"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LingjunNode:
    """A machine of Lingjun. It is only known to the API of its storage channels."""

    node_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """A NAS or CPFS file system that exists from the start.

    capacity_gib: 0 = grows by itself. vpc_id, vswitch_id: of its mount target; "" = it has none.
    domain: of that mount target, "" = made up. recycle_days: 0 = recycle bin off. vsc_target:
    mount target for storage channels, of bmcpfs only.
    """

    file_system_id: str
    type: Literal["standard", "extreme", "cpfs", "cpfsse", "bmcpfs"]
    storage_type: str
    zone_id: str
    protocol: str = "NFS"
    capacity_gib: int = 0
    vpc_id: str = ""
    vswitch_id: str = ""
    domain: str = ""
    recycle_days: int = 0
    vsc_target: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Upper bounds of the account."""

    disks: int = 5000
    snapshots_per_disk: int = 256
    tags_per_resource: int = 20
    multi_attach_instances: int = 16
    snapshot_group_disks: int = 16
    enis: int = 50000
    security_group_enis: int = 2000
    vpc_private_ips: int = 60000
    nas_file_systems: int = 20
    nas_mount_targets: int = 2
    nas_dir_quotas: int = 500
    nas_access_points: int = 1000
    cpfs_filesets: int = 500
    oss_buckets: int = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Simulated seconds each change takes, before `--time-scale`."""

    create_disk: float = 0.05
    attach_disk: float = 0.3
    detach_disk: float = 0.3
    delete_disk: float = 0.05
    resize_disk: float = 0.0
    snapshot_cut: float = 0.1
    snapshot_complete: float = 0.5
    delete_snapshot: float = 0.05
    modify_task: float = 0.5
    create_eni: float = 0.1
    attach_eni: float = 1.0
    detach_eni: float = 1.0
    delete_eni: float = 0.1
    assign_private_ip: float = 0.0
    metadata_lag: float = 0.0
    create_file_system: float = 0.2
    upgrade_file_system: float = 0.2
    delete_file_system: float = 0.1
    create_mount_target: float = 0.5
    delete_mount_target: float = 0.2
    create_access_point: float = 0.2
    delete_access_point: float = 0.1
    set_dir_quota: float = 0.1
    create_fileset: float = 0.2
    delete_fileset: float = 0.2
    create_protocol_service: float = 0.5
    create_vsc: float = 0.1
    attach_vsc: float = 0.2
    detach_vsc: float = 0.2
    release_instance: float = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Calls per minute and region that one action accepts, as a token bucket of that depth.

    default_per_minute: for actions that per_minute does not name; 0 = no limit.
    style: "400" answers 400 Throttling.User; "429" answers 429 with `x-acs-retry-after` (ms).
    """

    default_per_minute: int = 6000
    per_minute: Mapping[str, int] = dataclasses.field(default_factory=dict)
    style: Literal["400", "429"] = "400"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A RAM user."""

    user_name: str
    user_id: str
    policies: tuple[policy_module.Policy, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A permanent key; user_name "" makes it the account's own key, which may do everything."""

    access_key_id: str
    access_key_secret: str
    user_name: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OidcTrust:
    """Tokens of *provider_name* that may assume a role.

    audiences, subjects: allowed `aud` and `sub` claims with `*` wildcards; empty = any that the
    provider allows.
    """

    provider_name: str
    audiences: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A RAM role.

    max_session_s: longest DurationSeconds, 3600..43200. trusted_services: e.g.
    "ecs.aliyuncs.com", needed by instances. trusted_arns: who may call AssumeRole, with wildcards;
    `acs:ram::<account>:root` stands for every principal of the account.
    """

    role_name: str
    role_id: str
    max_session_s: int = 3600
    trusted_services: tuple[str, ...] = ()
    trusted_arns: tuple[str, ...] = ()
    trusted_oidc: tuple[OidcTrust, ...] = ()
    policies: tuple[policy_module.Policy, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OidcProvider:
    """An identity provider, such as a cluster's service account issuer."""

    provider_name: str
    issuer: str
    client_ids: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OssBucket:
    """A bucket that is there from the beginning. region_id: "" = the world's."""

    name: str
    region_id: str = ""
    acl: Literal["private", "public-read", "public-read-write"] = "private"
    storage_class: Literal["Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive"] = (
        "Standard"
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything declared. Find methods return None for what does not exist."""

    region_id: str
    local_name: str
    account_id: str
    zones: tuple[Zone, ...]
    vpcs: tuple[world_network.Vpc, ...]
    vswitches: tuple[world_network.VSwitch, ...]
    security_groups: tuple[world_network.SecurityGroup, ...]
    instance_types: tuple[InstanceType, ...]
    instances: tuple[Instance, ...]
    disk_stock: tuple[DiskStock, ...]
    quotas: Quotas
    latencies: Latencies
    throttle: Throttle
    users: tuple[User, ...]
    access_keys: tuple[AccessKey, ...]
    roles: tuple[Role, ...]
    oidc_providers: tuple[OidcProvider, ...]
    file_systems: tuple[FileSystem, ...]
    lingjun_nodes: tuple[LingjunNode, ...]
    oss_buckets: tuple[OssBucket, ...]

    def zone(self, zone_id: str) -> Zone | None:
        """Zone by id."""
        return next((row for row in self.zones if row.zone_id == zone_id), None)

    def vpc(self, vpc_id: str) -> world_network.Vpc | None:
        """VPC by id."""
        return next((row for row in self.vpcs if row.vpc_id == vpc_id), None)

    def vswitch(self, vswitch_id: str) -> world_network.VSwitch | None:
        """VSwitch by id."""
        return next((row for row in self.vswitches if row.vswitch_id == vswitch_id), None)

    def instance_type(self, instance_type_id: str) -> InstanceType | None:
        """Instance type by id."""
        rows = self.instance_types
        return next((row for row in rows if row.instance_type_id == instance_type_id), None)

    def instance(self, instance_id: str) -> Instance | None:
        """Instance by id."""
        return next((row for row in self.instances if row.instance_id == instance_id), None)

    def stock(self, *, zone_id: str = "", category: str = "") -> list[DiskStock]:
        """Stock rows of a zone, a category, or both; "" matches all."""
        return [
            row
            for row in self.disk_stock
            if zone_id in ("", row.zone_id) and category in ("", row.category)
        ]
