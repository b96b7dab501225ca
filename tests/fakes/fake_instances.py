"""`cloud.ecs_instance.Instances` in memory, for unit tests of those who use it."""

import datetime
from collections.abc import Iterable

from cloud import ecs_model
from tests.fakes import fake_refusals


class FakeInstances:
    """Instances, their types, what is on offer, and what happened to them."""

    def __init__(
        self,
        instances: Iterable[ecs_model.Instance] = (),
        types: Iterable[ecs_model.InstanceType] = (),
        offers: Iterable[ecs_model.AvailableDisk] = (),
    ) -> None:
        self.instances = {i.instance_id: i for i in instances}
        self.types = {t.instance_type_id: t for t in types}
        self.offers = list(offers)
        self.events: dict[str, list[tuple[datetime.datetime, str]]] = {}
        self.record = fake_refusals.Record()

    async def read(self, instance_id: str) -> ecs_model.Instance | None:
        self.record.note("read", instance_id=instance_id)
        return self.instances.get(instance_id)

    async def type(self, instance_type_id: str) -> ecs_model.InstanceType | None:
        self.record.note("type", instance_type_id=instance_type_id)
        return self.types.get(instance_type_id)

    async def available_disks(
        self, *, zone_id: str = "", instance_type: str = "", region_scope: bool = False
    ) -> list[ecs_model.AvailableDisk]:
        self.record.note("available_disks", zone_id=zone_id, instance_type=instance_type)
        return [
            offer
            for offer in self.offers
            if (not offer.zone_id if region_scope else offer.zone_id)
            and zone_id in ("", offer.zone_id)
        ]

    async def history_event_reasons(self, instance_id: str, since: datetime.datetime) -> list[str]:
        self.record.note("history_event_reasons", instance_id=instance_id, since=since)
        return [reason for at, reason in self.events.get(instance_id, []) if at >= since]
