"""CreateVolume: find the disk, or make it by one of several attempts.

Source: spec/csi-driver.md 2.7. State is in the cloud alone: client tokens and tags.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import structlog

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import call, errors
from csi.disk.controller import (
    adopt,
    capabilities,
    clone,
    cloud_codes,
    controller_requests,
    exactly_once,
    existing,
    names,
    plan,
    settings,
    settled,
    tags,
    topology,
    volume_context,
)

log = structlog.get_logger()

Disk = ecs_model.Disk
SourceKind = controller_requests.SourceKind
Ask = Callable[[], Awaitable[str]]

_NEXT_ATTEMPT: Mapping[str, plan.Why] = {
    "InvalidDataDiskCategory*": plan.Why.STOCK,
    "InvalidDiskCategory*": plan.Why.STOCK,
    "OperationDenied.NoStock": plan.Why.STOCK,
    "Zone.NotOnSale": plan.Why.STOCK,
    "InvalidDiskSize.NotSupported": plan.Why.SIZE,
    "InvalidDiskSize.TooSmall": plan.Why.SIZE,
    "InvalidDataDiskSize.ValueNotSupported": plan.Why.SIZE,
    "OperationDenied.PerformanceLevelNotMatch": plan.Why.SIZE,
    "InvalidPerformanceLevel.Malformed": plan.Why.PARAMETER,
    "InvalidProvisionedIops.LimitExceed": plan.Why.PARAMETER,
    "InvalidZoneId.NotFound": plan.Why.PARAMETER,
}
"""Codes of CreateDisk after which the next attempt may succeed."""
_RETRYABLE = frozenset({errors.Kind.UNAVAILABLE, errors.Kind.DEADLINE, errors.Kind.BUSY})
"""The CO calls again after these, so nothing is cleaned up."""


class DiskApi(exactly_once.DiskApi, Protocol):
    """What CreateVolume needs of `cloud.ecs_disk.Disks`."""


class SnapshotApi(Protocol):
    """What CreateVolume needs of `cloud.ecs_snapshot.Snapshots`."""

    async def read(self, snapshot_id: str) -> ecs_model.Snapshot | None: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a disk is made from. snapshot_id "" and disk None = nothing, an empty disk."""

    size_gib: int = 0
    snapshot_id: str = ""
    disk: Disk | None = None


class Provisioner:
    """Makes volumes. region, own_zone: ask where we are; own_zone may answer ""."""

    def __init__(
        self,
        *,
        disks: DiskApi,
        snapshots: SnapshotApi,
        creator: exactly_once.Creator,
        cloner: clone.Cloner,
        region: Ask,
        own_zone: Ask,
        config: settings.DiskSettings,
    ) -> None:
        self._disks = disks
        self._snapshots = snapshots
        self._creator = creator
        self._cloner = cloner
        self._region = region
        self._own_zone = own_zone
        self._config = config

    async def create(self, want: controller_requests.VolumeRequest) -> Disk:
        """The disk of *want*, made now or before.

        Raises InvalidField, NotFound for a missing source, Exists when the name is taken by a
        different volume, OutOfRange, Exhausted when no zone allowed has the disk.
        """
        parameters = want.parameters
        capabilities.require(
            want.capabilities,
            multi_attach=parameters.multi_attach,
            restored=want.source is not None,
        )
        region_id = await self._region()
        if parameters.region_id not in ("", region_id):
            raise errors.InvalidField(
                "parameters[regionId]",
                "is not this driver's region",
                value=parameters.region_id,
                allowed=region_id,
            )
        if parameters.adopt_disk_id:
            return await adopt.adopt(self._disks, want, cluster_id=self._config.cluster_id)
        want = _with_lingjun(want)
        disk = await self._creator.find(want.name)
        if disk is None:
            disk = await self._make(want, region_id)
        conflict = existing.choose_conflict(disk, want) or tags.cluster_conflict(
            disk.tags, cluster_id=self._config.cluster_id
        )
        if conflict:
            raise errors.Exists(
                f"volume {want.name} exists as disk {disk.disk_id} and differs: {conflict}"
            )
        if tags.CLONE_OF in disk.tags:
            await self._finish_clone(disk, want.name)
        return disk

    async def _make(self, want: controller_requests.VolumeRequest, region_id: str) -> Disk:
        base = await self._read_base(want)
        planned = await self._plan(want, region_id, base)
        try:
            if base.disk is not None:
                snapshot_id = await self._cloner.snapshot_of(base.disk, want.name)
                base = dataclasses.replace(base, snapshot_id=snapshot_id)
            return await self._attempt(want, region_id, base, planned)
        except errors.Error as e:
            if base.disk is not None and e.kind not in _RETRYABLE:
                await self._cloner.clean_up(want.name)
            raise

    async def _read_base(self, want: controller_requests.VolumeRequest) -> Base:
        """What the volume is made from. Raises NotFound."""
        if want.source is None:
            return Base()
        source_id = want.source.source_id
        if want.source.kind is SourceKind.SNAPSHOT:
            snapshot = await self._snapshots.read(source_id)
            if snapshot is None:
                raise errors.NotFound(f"snapshot {source_id} not found")
            return Base(size_gib=snapshot.source_disk_size_gib, snapshot_id=source_id)
        disk = await settled.require(
            self._disks, source_id, purpose="it can be copied", role="source volume"
        )
        return Base(size_gib=disk.size_gib, disk=disk)

    async def _plan(
        self, want: controller_requests.VolumeRequest, region_id: str, base: Base
    ) -> plan.Plan:
        topology.require_region(want.requirement, region_id)
        zone_ids: tuple[str, ...] = ()
        if plan.needs_zone(want.parameters):
            zone_ids = topology.choose_zones(
                want.requirement,
                wanted=want.parameters.zone_ids,
                region_id=region_id,
            )
            zone_ids = zone_ids or (await self._require_own_zone(),)
        size = plan.SizeRange(
            required_gib=want.required_gib, limit_bytes=want.limit_bytes, source_gib=base.size_gib
        )
        planned = plan.plan_attempts(
            want.parameters,
            zone_ids=zone_ids,
            size=size,
            instance_id=want.requirement.instance_id,
        )
        if not planned.attempts:
            raise plan.no_attempt_left(planned.refusals)
        return planned

    async def _require_own_zone(self) -> str:
        """The zone we run in: where volumes go when nobody says anything else."""
        zone_id = await self._own_zone()
        if not zone_id:
            raise errors.InvalidField(
                "parameters[zoneId]", "is required: no topology was given, our own zone is unknown"
            )
        return zone_id

    async def _attempt(
        self,
        want: controller_requests.VolumeRequest,
        region_id: str,
        base: Base,
        planned: plan.Plan,
    ) -> Disk:
        refusals = list(planned.refusals)
        for attempt in planned.attempts:
            new = self._new_disk(want, region_id, base, attempt)
            volume_context.require_room(want.parameters, _likely(new))
            call.doing(f"making a disk, {attempt.label}")
            try:
                with cloud_codes.meaning(
                    f"snapshot {base.snapshot_id}", {"InvalidSnapshotId.NotFound": errors.NotFound}
                ):
                    return await self._creator.create(want.name, new)
            except cloud_errors.CloudError as e:
                why = cloud_codes.find(e.code, _NEXT_ATTEMPT)
                if why is None:
                    raise
                log.info("attempt refused", attempt=attempt.label, code=e.code)
                refusals.append(plan.Refusal(why=why, text=f"{attempt.label}: {e}"))
        raise plan.no_attempt_left(refusals)

    def _new_disk(
        self,
        want: controller_requests.VolumeRequest,
        region_id: str,
        base: Base,
        attempt: plan.Attempt,
    ) -> ecs_model.NewDisk:
        wanted, kind = want.parameters, attempt.category
        return ecs_model.NewDisk(
            region_id=region_id,
            zone_id=attempt.zone_id,
            category=kind.name,
            size_gib=attempt.size_gib,
            performance_level=attempt.performance_level,
            name=names.disk_name(want.name),
            snapshot_id=base.snapshot_id,
            encrypted=wanted.encrypted,
            kms_key_id=wanted.kms_key_id if wanted.encrypted else "",
            arns=wanted.arns,
            resource_group_id=wanted.resource_group_id,
            storage_cluster_id=wanted.storage_cluster_id,
            multi_attach=wanted.multi_attach,
            provisioned_iops=wanted.provisioned_iops if kind.provisions else None,
            bursting_enabled=wanted.bursting_enabled if kind.provisions else None,
            tags=tags.disk_tags(
                want.name,
                cluster_id=self._config.cluster_id,
                retention_days=wanted.delete_retention_days,
                wanted=wanted.tags,
                clone_of="" if base.disk is None else base.disk.disk_id,
            ),
        )

    async def _finish_clone(self, disk: Disk, name: str) -> None:
        """Delete the temporary snapshot once the disk does not need it any more."""
        if disk.state is ecs_model.DiskState.CREATING:
            await self._disks.wait(
                disk.disk_id,
                lambda d: d is None or d.state is not ecs_model.DiskState.CREATING,
                what=f"disk {disk.disk_id} to be filled from its source",
            )
        await self._cloner.clean_up(name)


def _with_lingjun(
    want: controller_requests.VolumeRequest,
) -> controller_requests.VolumeRequest:
    """*want* with the tags that Lingjun machines need."""
    lingjun = topology.plan_lingjun(
        want.requirement,
        want.parameters.tags,
        restrict_to_hpn_zone=want.parameters.restrict_to_hpn_zone,
    )
    if not lingjun.tags:
        return want
    told = {**want.parameters.tags, **lingjun.tags}
    return dataclasses.replace(want, parameters=dataclasses.replace(want.parameters, tags=told))


def _likely(new: ecs_model.NewDisk) -> Disk:
    """A disk as *new* would become, as far as volume_context shows it."""
    return Disk(
        disk_id="",
        region_id=new.region_id,
        zone_id=new.zone_id,
        category=new.category,
        performance_level=new.performance_level,
    )
