"""What ECS has, as plain values. The OpenAPI's own spelling stays in `cloud.ecs_*`."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class DiskState(enum.StrEnum):
    """Field Status of DescribeDisks."""

    AVAILABLE = "Available"
    IN_USE = "In_use"
    ATTACHING = "Attaching"
    DETACHING = "Detaching"
    CREATING = "Creating"
    REINITING = "ReIniting"
    UNKNOWN = "Unknown"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A cloud disk. Texts are "" where ECS says nothing.

    instance_id: the one instance of a single-attach disk. attached_instance_ids: of any disk.
    disk_type: "system" or "data".
    """

    disk_id: str
    region_id: str = ""
    zone_id: str = ""
    state: DiskState = DiskState.AVAILABLE
    category: str = ""
    performance_level: str = ""
    size_gib: int = 0
    serial_number: str = ""
    instance_id: str = ""
    attached_instance_ids: tuple[str, ...] = ()
    multi_attach: bool = False
    encrypted: bool = False
    kms_key_id: str = ""
    resource_group_id: str = ""
    storage_cluster_id: str = ""
    provisioned_iops: int | None = None
    bursting_enabled: bool = False
    disk_type: str = "data"
    name: str = ""
    source_snapshot_id: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    creation_time: datetime.datetime | None = None
    detached_time: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arn:
    """A role that CreateDisk may assume, for keys of another account."""

    role_type: str
    role_arn: str
    assume_role_for: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewDisk:
    """Input of CreateDisk. zone_id "" = regional disk; None and "" are not sent."""

    region_id: str
    zone_id: str
    category: str
    size_gib: int
    performance_level: str = ""
    name: str = ""
    snapshot_id: str = ""
    encrypted: bool = False
    kms_key_id: str = ""
    arns: tuple[Arn, ...] = ()
    resource_group_id: str = ""
    storage_cluster_id: str = ""
    multi_attach: bool = False
    provisioned_iops: int | None = None
    bursting_enabled: bool | None = None
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A disk snapshot. creation_time is None until the content is fixed ("cut")."""

    snapshot_id: str
    source_disk_id: str = ""
    source_disk_size_gib: int = 0
    creation_time: datetime.datetime | None = None
    available: bool = False
    name: str = ""
    description: str = ""
    status: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotGroup:
    """Snapshots taken together. Members carry snapshot_id, source_disk_id and available only."""

    group_id: str
    name: str = ""
    status: str = ""
    creation_time: datetime.datetime | None = None
    snapshots: tuple[Snapshot, ...] = ()
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An ECS instance. status: Running, Stopped, …."""

    instance_id: str
    zone_id: str = ""
    region_id: str = ""
    instance_type: str = ""
    status: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """disk_quantity counts the system disk; None = ECS does not say.

    eni_quantity counts the primary interface. eni_ipv4_quantity: addresses of one interface, its
    primary one included.
    """

    instance_type_id: str
    disk_quantity: int | None = None
    eni_quantity: int = 0
    eni_ipv4_quantity: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AvailableDisk:
    """A disk category that can be bought, or is sold out, in a zone ("" = region-wide)."""

    zone_id: str
    category: str
    performance_level: str = ""
    min_gib: int | None = None
    max_gib: int | None = None
    sold_out: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpecTask:
    """A ModifyDiskSpec task. status: Processing, Finished or Failed."""

    task_id: str
    status: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list; next_token "" = the last."""

    items: tuple[T, ...]
    next_token: str
