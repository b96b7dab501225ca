"""The controller half of the disk driver, put together."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Protocol

from cloud import metadata as cloud_metadata
from core import clock, keyed_lock, metrics
from csi import driver
from csi.disk.controller import (
    attach,
    capacity,
    clone,
    create,
    delete,
    detach,
    exactly_once,
    expand,
    group_service,
    group_snapshot,
    listing,
    modify,
    service,
    settings,
    slots,
    snapshot,
    snapshot_make,
    validate,
)


class DiskApi(
    exactly_once.DiskApi,
    attach.DiskApi,
    delete.DiskApi,
    expand.DiskApi,
    modify.DiskApi,
    listing.DiskApi,
    Protocol,
):
    """All the controller needs of `cloud.ecs_disk.Disks`."""


class SnapshotApi(snapshot.SnapshotApi, group_snapshot.SnapshotApi, Protocol):
    """All the controller needs of `cloud.ecs_snapshot.Snapshots`."""


class InstanceApi(detach.InstanceApi, capacity.InstanceApi, Protocol):
    """All the controller needs of `cloud.ecs_instance.Instances`."""


class Cloud(Protocol):
    """What the controller needs of `cloud.client.Alibaba`."""

    @property
    def disks(self) -> DiskApi: ...

    @property
    def snapshots(self) -> SnapshotApi: ...

    @property
    def instances(self) -> InstanceApi: ...

    async def region_id(self) -> str: ...


class Metadata(Protocol):
    """What the controller needs of `cloud.metadata.Metadata`."""

    async def find(self, key: cloud_metadata.Key) -> str: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Controllers:
    """The two gRPC services. group: None when group snapshots are switched off."""

    controller: service.ControllerServicer
    group: group_service.GroupControllerServicer | None


def build(
    context: driver.DriverContext,
) -> tuple[service.ControllerServicer, group_service.GroupControllerServicer | None]:
    """Both services of this process. Faults in the settings are left in *context.reader*."""
    config = settings.read_disk(context.reader, context.feature_gates)
    made = make_controller(
        context.cloud(), context.metadata, config, context.clock, context.metrics
    )
    return made.controller, made.group


def make_controller(
    cloud: Cloud,
    metadata: Metadata,
    config: settings.DiskSettings,
    time: clock.Clock,
    registry: metrics.Metrics,
) -> Controllers:
    """Both services over one cloud client. Calls nothing."""
    locks = keyed_lock.KeyedLock()
    node_slots = slots.NodeSlots(attach=config.attach_slots, detach=config.detach_slots)
    registry.gauge(
        "csi_disk_slot_waiters",
        "attach and detach calls waiting for another disk of the same instance",
        lambda: node_slots.waiting,
    )
    services = _services(cloud, metadata, config, time, node_slots)
    group_servicer = None
    if config.group_snapshots:
        group_servicer = group_service.GroupControllerServicer(
            group_snapshot.GroupSnapshotter(
                disks=cloud.disks, snapshots=cloud.snapshots, time=time, config=config
            ),
            locks,
        )
    return Controllers(
        controller=service.ControllerServicer(services, config, locks), group=group_servicer
    )


def _services(
    cloud: Cloud,
    metadata: Metadata,
    config: settings.DiskSettings,
    time: clock.Clock,
    node_slots: slots.NodeSlots,
) -> service.Services:
    disks, snapshots, instances = cloud.disks, cloud.snapshots, cloud.instances
    maker = snapshot_make.SnapshotMaker(snapshots, time)
    cloner = clone.Cloner(snapshots, maker, cluster_id=config.cluster_id)
    detacher = detach.Detacher(
        disks=disks, instances=instances, node_slots=node_slots, time=time, config=config
    )
    return service.Services(
        provisioner=create.Provisioner(
            disks=disks,
            snapshots=snapshots,
            creator=exactly_once.Creator(disks, time),
            cloner=cloner,
            region=cloud.region_id,
            own_zone=_own_zone(metadata),
            config=config,
        ),
        deleter=delete.Deleter(
            disks=disks, detacher=detacher, maker=maker, cloner=cloner, time=time, config=config
        ),
        attacher=attach.Attacher(
            disks=disks, detacher=detacher, node_slots=node_slots, time=time, config=config
        ),
        detacher=detacher,
        expander=expand.Expander(disks, time),
        modifier=modify.Modifier(disks, time),
        snapshotter=snapshot.Snapshotter(
            disks=disks, snapshots=snapshots, maker=maker, config=config
        ),
        lister=listing.Lister(disks, config),
        capacity=capacity.CapacityReader(instances, cloud.region_id),
        validator=validate.Validator(disks),
    )


def _own_zone(metadata: Metadata) -> Callable[[], Awaitable[str]]:
    """Asks for this process's zone; "" when nobody knows it."""

    async def ask() -> str:
        return await metadata.find(cloud_metadata.Key.ZONE_ID)

    return ask
