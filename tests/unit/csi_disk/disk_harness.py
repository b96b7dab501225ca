"""The controller services over the fakes, and short ways to make their inputs. Not a test."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from cloud import ecs_model
from core import metrics
from csi import requests
from csi._pb import csi_pb2
from csi.disk.controller import (
    attach,
    clone,
    controller_requests,
    create,
    delete,
    detach,
    exactly_once,
    group_snapshot,
    params,
    settings,
    slots,
    snapshot,
    snapshot_make,
    topology,
    wiring,
)
from tests.fakes import fake_disks, fake_instances, fake_snapshots

GIB = 1024**3
REGION = "cn-hangzhou"
ZONE = "cn-hangzhou-k"
OTHER_ZONE = "cn-hangzhou-j"
NODE = "i-node1"
OTHER_NODE = "i-node2"

State = ecs_model.DiskState
Mode = requests.AccessMode


class FakeClock:
    """Sleeping passes the time at once."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []
        self._now_s = 0.0

    def now(self) -> datetime.datetime:
        start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        return start + datetime.timedelta(seconds=self._now_s)

    def monotonic_s(self) -> float:
        return self._now_s

    async def sleep(self, delay_s: float) -> None:
        self.slept_s.append(delay_s)
        self._now_s += delay_s


class FakeCloud:
    """The parts of `cloud.client.Alibaba` that the controller uses."""

    def __init__(self) -> None:
        self.disks = fake_disks.FakeDisks()
        self.snapshots = fake_snapshots.FakeSnapshots(self.disks)
        self.instances = fake_instances.FakeInstances()

    async def region_id(self) -> str:
        return REGION


class NoMetadata:
    """Knows nothing."""

    async def find(self, key: object) -> str:
        return ""


@dataclasses.dataclass(kw_only=True)
class Parts:
    """The services over one fake cloud. A second `Parts` on the same cloud is a new process."""

    cloud: FakeCloud = dataclasses.field(default_factory=FakeCloud)
    config: settings.DiskSettings = dataclasses.field(default_factory=settings.DiskSettings)
    own_zone: str = ""
    patience_s: float = 5.0
    time: FakeClock = dataclasses.field(default_factory=FakeClock)

    @property
    def disks(self) -> fake_disks.FakeDisks:
        return self.cloud.disks

    @property
    def snapshots(self) -> fake_snapshots.FakeSnapshots:
        return self.cloud.snapshots

    def __post_init__(self) -> None:
        maker = snapshot_make.SnapshotMaker(self.snapshots, self.time)
        cloner = clone.Cloner(self.snapshots, maker, cluster_id=self.config.cluster_id)
        node_slots = slots.NodeSlots(attach=1, detach=1)

        async def own_zone() -> str:
            return self.own_zone

        self.provisioner = create.Provisioner(
            disks=self.disks,
            snapshots=self.snapshots,
            creator=exactly_once.Creator(self.disks, self.time),
            cloner=cloner,
            region=self.cloud.region_id,
            own_zone=own_zone,
            config=self.config,
        )
        self.detacher = detach.Detacher(
            disks=self.disks,
            instances=self.cloud.instances,
            node_slots=node_slots,
            time=self.time,
            config=self.config,
            patience_s=self.patience_s,
        )
        self.attacher = attach.Attacher(
            disks=self.disks,
            detacher=self.detacher,
            node_slots=node_slots,
            time=self.time,
            config=self.config,
            patience_s=self.patience_s,
        )
        self.deleter = delete.Deleter(
            disks=self.disks,
            detacher=self.detacher,
            maker=maker,
            cloner=cloner,
            time=self.time,
            config=self.config,
        )
        self.snapshotter = snapshot.Snapshotter(
            disks=self.disks, snapshots=self.snapshots, maker=maker, config=self.config
        )
        self.grouper = group_snapshot.GroupSnapshotter(
            disks=self.disks, snapshots=self.snapshots, time=self.time, config=self.config
        )

    def servicers(self) -> wiring.Controllers:
        """The gRPC services."""
        return wiring.make_controller(
            self.cloud, NoMetadata(), self.config, self.time, metrics.Metrics()
        )

    def put_disk(self, **fields: Any) -> ecs_model.Disk:
        """A disk in the cloud, made by nobody."""
        disk = disk_of(**fields)
        self.disks.disks[disk.disk_id] = disk
        return disk


def disk_of(**fields: Any) -> ecs_model.Disk:
    """An ordinary disk with other *fields*."""
    told: dict[str, Any] = {
        "disk_id": "d-one",
        "region_id": REGION,
        "zone_id": ZONE,
        "category": "cloud_essd",
        "performance_level": "PL1",
        "size_gib": 20,
        "serial_number": "one",
        **fields,
    }
    return ecs_model.Disk(**told)


def used_by(*instance_ids: str, **fields: Any) -> ecs_model.Disk:
    """A disk in use."""
    single = instance_ids[0] if len(instance_ids) == 1 else ""
    return disk_of(
        state=fields.pop("state", State.IN_USE),
        instance_id=single,
        attached_instance_ids=instance_ids,
        **fields,
    )


def capability(
    mode: requests.AccessMode = Mode.SINGLE_NODE_WRITER,
    access: requests.AccessType = requests.AccessType.MOUNT,
    **fields: Any,
) -> requests.VolumeCapability:
    """A parsed capability."""
    return requests.VolumeCapability(access=access, mode=mode, **fields)


def wish(
    name: str = "pvc-1",
    parameters: Mapping[str, str] | None = None,
    *,
    gib: int = 20,
    **fields: Any,
) -> controller_requests.VolumeRequest:
    """A parsed CreateVolume."""
    given = {"type": "cloud_essd", "zoneId": ZONE} if parameters is None else parameters
    told: dict[str, Any] = {
        "name": name,
        "required_bytes": gib * GIB,
        "limit_bytes": 0,
        "capabilities": (capability(),),
        "parameters": params.parse(given),
        "requirement": topology.Requirement(),
        **fields,
    }
    return controller_requests.VolumeRequest(**told)


def from_volume(disk_id: str) -> controller_requests.Source:
    """A volume as source."""
    return controller_requests.Source(kind=controller_requests.SourceKind.VOLUME, source_id=disk_id)


def from_snapshot(snapshot_id: str) -> controller_requests.Source:
    """A snapshot as source."""
    return controller_requests.Source(
        kind=controller_requests.SourceKind.SNAPSHOT, source_id=snapshot_id
    )


def publish_to(instance_id: str = NODE, **fields: Any) -> controller_requests.PublishRequest:
    """A parsed ControllerPublishVolume of d-one."""
    told: dict[str, Any] = {
        "volume_id": "d-one",
        "instance_id": instance_id,
        "capability": capability(),
        "readonly": False,
        **fields,
    }
    return controller_requests.PublishRequest(**told)


def pb_capability(mode: str = "SINGLE_NODE_WRITER", *, block: bool = False) -> Any:
    """A capability message."""
    modes = csi_pb2.VolumeCapability.AccessMode
    message = csi_pb2.VolumeCapability(access_mode=modes(mode=modes.Mode.Value(mode)))
    (message.block if block else message.mount).SetInParent()
    return message
