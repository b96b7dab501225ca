"""The declared part of the cloud: what exists before anybody calls it, and how it behaves.

A world is a YAML file (docs/reference/simulator.md lists the fields; `python -m sim world` prints
the default one). Not here: anything that calls change, which is rows in the store.
"""

import dataclasses
import ipaddress
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import yaml

from sim import policy as policy_module
from sim import world_file

DEFAULT_FILE = pathlib.Path(__file__).with_name("default_world.yaml")

# Sections whose entries are merged with the default world's one by one; others replace it whole.
_MERGED = ("latencies", "quotas", "throttle")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class WorldError(Exception):
    """All faults found in a world file, one a line."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """An availability zone of the region."""

    zone_id: str
    local_name: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vpc:
    """A virtual private cloud."""

    vpc_id: str
    cidr_block: str
    name: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VSwitch:
    """A subnet of a VPC in one zone.

    available_limit: most addresses in use, so that it can run dry; -1 = as many as the block has.
    """

    vswitch_id: str
    vpc_id: str
    zone_id: str
    cidr_block: str
    name: str = ""
    available_limit: int = -1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """A security group of a VPC."""

    security_group_id: str
    vpc_id: str
    name: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """What DescribeInstanceTypes tells.

    disk_quantity: most disks on one instance, the system disk included.
    disk_categories: categories it can attach; empty = all. nvme: required | supported |
    unsupported, as in `NvmeSupport`; multi-attach disks need required or supported.
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A machine that exists from the start.

    ram_role: role the metadata service hands credentials out for, "" = none.
    http_tokens: "required" refuses metadata requests without a token.
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
class World:
    """Everything declared. Find methods return None for what does not exist."""

    region_id: str
    local_name: str
    account_id: str
    zones: tuple[Zone, ...]
    vpcs: tuple[Vpc, ...]
    vswitches: tuple[VSwitch, ...]
    security_groups: tuple[SecurityGroup, ...]
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

    def zone(self, zone_id: str) -> Zone | None:
        """Zone by id."""
        return next((row for row in self.zones if row.zone_id == zone_id), None)

    def vpc(self, vpc_id: str) -> Vpc | None:
        """VPC by id."""
        return next((row for row in self.vpcs if row.vpc_id == vpc_id), None)

    def vswitch(self, vswitch_id: str) -> VSwitch | None:
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


def load(path: pathlib.Path | None = None) -> World:
    """The default world, with the sections of the YAML file at *path* in their place.

    Raises WorldError with every fault, each naming the field.
    """
    merged = _read(DEFAULT_FILE)
    for key, value in (_read(path) if path else {}).items():
        if key in _MERGED and isinstance(value, Mapping):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return parse(merged)


def parse(plain: Mapping[str, Any]) -> World:
    """A world from plain data; raises WorldError with every fault."""
    loader = world_file.Loader()
    world = loader.load(World, plain, "")
    if not isinstance(world, World):
        raise WorldError(loader.faults)
    check(world)
    return world


def check(world: World) -> None:
    """Raise WorldError when the sections do not fit together."""
    faults = [*_references(world), *_values(world)]
    if faults:
        raise WorldError(faults)


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise WorldError([f"world file {path} cannot be read: {e.strerror}"]) from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise WorldError([f"world file {path} is not YAML: {e}"]) from e
    if plain is None:
        return {}
    if not isinstance(plain, dict):
        raise WorldError([f"world file {path} must be a mapping of sections"])
    return plain


def _references(world: World) -> Iterable[str]:
    """Every id that one section uses and its own section lacks, and every id used twice."""
    ids = {
        "zones": [row.zone_id for row in world.zones],
        "vpcs": [row.vpc_id for row in world.vpcs],
        "vswitches": [row.vswitch_id for row in world.vswitches],
        "security_groups": [row.security_group_id for row in world.security_groups],
        "instance_types": [row.instance_type_id for row in world.instance_types],
        "instances": [row.instance_id for row in world.instances],
        "users": [row.user_name for row in world.users],
        "access_keys": [row.access_key_id for row in world.access_keys],
        "roles": [row.role_name for row in world.roles],
        "oidc_providers": [row.provider_name for row in world.oidc_providers],
    }
    for section, known in ids.items():
        yield from (f"{section}: {row} is there twice" for row in _twice(known))
    uses = [
        *(("vswitches", row.vswitch_id, "vpcs", row.vpc_id) for row in world.vswitches),
        *(("vswitches", row.vswitch_id, "zones", row.zone_id) for row in world.vswitches),
        *(
            ("security_groups", row.security_group_id, "vpcs", row.vpc_id)
            for row in world.security_groups
        ),
        *(("disk_stock", row.category, "zones", row.zone_id) for row in world.disk_stock),
        *(("access_keys", row.access_key_id, "users", row.user_name) for row in world.access_keys),
        *(
            ("roles", row.role_name, "oidc_providers", trust.provider_name)
            for row in world.roles
            for trust in row.trusted_oidc
        ),
        *(use for row in world.instances for use in _instance_uses(row)),
    ]
    for section, owner, target, used in uses:
        if used and used not in ids[target]:
            yield f"{section}: {owner} names {used}, which is not in {target}"


def _instance_uses(row: Instance) -> Iterable[tuple[str, str, str, str]]:
    yield ("instances", row.instance_id, "zones", row.zone_id)
    yield ("instances", row.instance_id, "vswitches", row.vswitch_id)
    yield ("instances", row.instance_id, "instance_types", row.instance_type_id)
    yield ("instances", row.instance_id, "roles", row.ram_role)
    for group_id in row.security_group_ids:
        yield ("instances", row.instance_id, "security_groups", group_id)


def _values(world: World) -> Iterable[str]:
    """Faults inside single fields that types alone do not catch."""
    if not re.fullmatch(r"[0-9]{16}", world.account_id):
        yield f"account_id must be 16 digits, is {world.account_id!r}"
    if not world.zones:
        yield "zones must not be empty"
    for vpc in world.vpcs:
        yield from _network_fault(f"vpcs: {vpc.vpc_id}", vpc.cidr_block)
    for vswitch in world.vswitches:
        yield from _network_fault(f"vswitches: {vswitch.vswitch_id}", vswitch.cidr_block)
    for instance in world.instances:
        yield from _instance_faults(world, instance)
    for stock in world.disk_stock:
        if stock.min_gib < 1 or stock.max_gib < stock.min_gib:
            yield f"disk_stock: {stock.category} needs 1 <= min_gib <= max_gib"
    for role in world.roles:
        if not 3600 <= role.max_session_s <= 43200:
            yield f"roles: {role.role_name} needs max_session_s from 3600 to 43200"
    yield from (
        f"instances: private_ip {row} is there twice"
        for row in _twice([row.private_ip for row in world.instances])
    )


def _instance_faults(world: World, row: Instance) -> Iterable[str]:
    where = f"instances: {row.instance_id}"
    if not _MAC.fullmatch(row.mac):
        yield f"{where} needs a lower-case mac like 00:16:3e:00:00:01, has {row.mac!r}"
    vswitch = world.vswitch(row.vswitch_id)
    if vswitch is None:
        return
    if vswitch.zone_id != row.zone_id:
        yield f"{where} is in {row.zone_id} but its vswitch is in {vswitch.zone_id}"
    try:
        if ipaddress.ip_address(row.private_ip) not in ipaddress.ip_network(vswitch.cidr_block):
            yield f"{where} has private_ip {row.private_ip} outside {vswitch.cidr_block}"
    except ValueError as e:
        yield f"{where}: {e}"


def _network_fault(where: str, cidr_block: str) -> Iterable[str]:
    try:
        ipaddress.IPv4Network(cidr_block)
    except ValueError as e:
        yield f"{where}: {e}"


def _twice(rows: list[str]) -> list[str]:
    return sorted({row for row in rows if rows.count(row) > 1})
