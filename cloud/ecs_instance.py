"""Instances of ECS, and what can be bought for them."""

import datetime
from typing import Any

from cloud import ecs_model, ecs_wire, openapi
from core import clock

_INSTANCE_TYPE_KEEP_S = 3600.0
_EVENT_CYCLE_STATUSES = (
    "Scheduled",
    "Avoided",
    "Executing",
    "Executed",
    "Canceled",
    "Failed",
    "Inquiring",
)


class Instances:
    """Reads about instances."""

    def __init__(self, api: openapi.OpenApi, time: clock.Clock) -> None:
        self._api = api
        self._clock = time
        self._types: dict[str, tuple[float, ecs_model.InstanceType]] = {}

    async def read(self, instance_id: str) -> ecs_model.Instance | None:
        """The instance, None when ECS has none."""
        body = await self._api.call(
            openapi.ECS, "DescribeInstances", {"InstanceIds": ecs_wire.id_list([instance_id])}
        )
        for raw in body.instances.instance or []:
            return ecs_model.Instance(
                instance_id=ecs_wire.text(raw.instance_id),
                zone_id=ecs_wire.text(raw.zone_id),
                region_id=ecs_wire.text(raw.region_id),
                instance_type=ecs_wire.text(raw.instance_type),
                status=ecs_wire.text(raw.status),
            )
        return None

    async def type(self, instance_type_id: str) -> ecs_model.InstanceType | None:
        """The instance type, None when ECS has none; remembered for an hour."""
        kept = self._types.get(instance_type_id)
        if kept is not None and self._clock.monotonic_s() < kept[0]:
            return kept[1]
        body = await self._api.call(
            openapi.ECS,
            "DescribeInstanceTypes",
            {"InstanceTypes": [instance_type_id], "MaxResults": 100},
        )
        for raw in body.instance_types.instance_type or []:
            if raw.instance_type_id == instance_type_id:
                found = ecs_model.InstanceType(
                    instance_type_id=instance_type_id,
                    disk_quantity=None if raw.disk_quantity is None else int(raw.disk_quantity),
                    eni_quantity=int(raw.eni_quantity or 0),
                    eni_ipv4_quantity=int(raw.eni_private_ip_address_quantity or 0),
                )
                self._types[instance_type_id] = (
                    self._clock.monotonic_s() + _INSTANCE_TYPE_KEEP_S,
                    found,
                )
                return found
        return None

    async def available_disks(
        self, *, zone_id: str = "", instance_type: str = "", region_scope: bool = False
    ) -> list[ecs_model.AvailableDisk]:
        """Data-disk categories on offer. Source: ECS DescribeAvailableResource.

        region_scope: categories that belong to no zone, instead of those of zones.
        """
        body = await self._api.call(
            openapi.ECS,
            "DescribeAvailableResource",
            {
                "DestinationResource": "DataDisk",
                "ResourceType": "disk",
                "ZoneId": zone_id or None,
                "InstanceType": instance_type or None,
                "Scope": "region" if region_scope else None,
            },
        )
        zones = getattr(body.available_zones, "available_zone", None) or []
        return [disk for zone in zones for disk in _available_in(zone)]

    async def history_event_reasons(self, instance_id: str, since: datetime.datetime) -> list[str]:
        """Reasons of what happened to the instance after *since* (UTC)."""
        body = await self._api.call(
            openapi.ECS,
            "DescribeInstanceHistoryEvents",
            {
                "ResourceId": [instance_id],
                "ResourceType": "instance",
                "EventPublishTime": {"Start": since.strftime("%Y-%m-%dT%H:%M:%SZ")},
                "InstanceEventCycleStatus": list(_EVENT_CYCLE_STATUSES),
                "PageSize": 100,
            },
        )
        events = body.instance_system_event_set.instance_system_event_type or []
        return [ecs_wire.text(event.reason) for event in events]


def _available_in(zone: Any) -> list[ecs_model.AvailableDisk]:
    resources = getattr(zone.available_resources, "available_resource", None) or []
    return [
        ecs_model.AvailableDisk(
            zone_id=ecs_wire.text(zone.zone_id),
            category=ecs_wire.text(offer.value),
            min_gib=None if offer.min is None else int(offer.min),
            max_gib=None if offer.max is None else int(offer.max),
            sold_out=ecs_wire.text(offer.status) == "SoldOut",
        )
        for resource in resources
        if resource.type == "DataDisk"
        for offer in getattr(resource.supported_resources, "supported_resource", None) or []
    ]
