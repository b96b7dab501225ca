"""Interfaces that an ipamd made and that are attached nowhere: whose they are, who deletes them.

One is left behind by an ipamd that is killed between making and attaching it, or between detaching
and deleting it. Its own node's next ipamd deletes it. When the instance is released before that,
nobody comes: attached interfaces go with their instance, this one does not. So every node looks for
those of instances that are gone, and deletes them where a tag says that they are of its cluster.

What has not all of our marks is never touched, nor what may still be on its way to an instance:
nothing is deleted at the first look, which is minutes before the second. Terway leaves them to a
controller, and the AWS VPC CNI to every node. Source: spec/terway.md 5.10, 9.4, 12.1.
"""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import structlog

from cloud import ecs_model, eni_model
from core import clock, errors
from ipamd.pool import eni_maker

log = structlog.get_logger()

CLUSTER_TAG = "ack.aliyun.com"
"""Among `eni_tags`, it says whose an interface is. Source: spec/terway.md, "ENI tags"."""
SURE = 2
"""Looks in a row after which an interface is believed to be left behind."""
_OLD_S = 3600.0
"""Younger ones of other instances are not looked at: ECS may not show a new instance yet."""
_INSTANCES_A_LOOK = 20


class EniApi(Protocol):
    """What we ask ECS about interfaces."""

    async def delete(self, eni_id: str) -> None: ...
    async def find(
        self,
        *,
        tags: Mapping[str, str] | None = None,
        status: eni_model.EniStatus | None = None,
    ) -> list[eni_model.Eni]: ...


class InstanceApi(Protocol):
    """What we ask ECS about instances."""

    async def read(self, instance_id: str) -> ecs_model.Instance | None: ...


class Leftovers:
    """instance_id: ours. cluster: value of `CLUSTER_TAG`, "" = not known.

    is_wanted: whether one of ours is still needed: it is being made, or pods have its addresses,
    and whoever detached it may bring it back. orphans: ids of those of instances that are gone, as
    of the last look, that nobody deletes because their cluster is not ours or not told.
    """

    def __init__(
        self,
        enis: EniApi,
        instances: InstanceApi,
        time: clock.Clock,
        *,
        instance_id: str,
        cluster: str,
        is_wanted: Callable[[str], bool],
    ) -> None:
        self._enis = enis
        self._instances = instances
        self._clock = time
        self._instance_id = instance_id
        self._cluster = cluster
        self._is_wanted = is_wanted
        self._seen: dict[str, int] = {}
        self.orphans: tuple[str, ...] = ()

    async def sweep(self) -> int:
        """Delete what was left behind; how many. Raises what ECS answers to the first question."""
        found = await self._enis.find(
            tags=eni_maker.CREATOR_TAGS, status=eni_model.EniStatus.AVAILABLE
        )
        free = [eni for eni in found if owner_of(eni)]
        own = [
            eni
            for eni in free
            if owner_of(eni) == self._instance_id and not self._is_wanted(eni.eni_id)
        ]
        orphans = await self._orphans([eni for eni in free if owner_of(eni) != self._instance_id])
        left = {eni.eni_id: self._seen.get(eni.eni_id, 0) + 1 for eni in (*own, *orphans)}
        self._seen = left
        sure = [eni for eni in (*own, *orphans) if left[eni.eni_id] >= SURE]
        ours = [eni for eni in sure if may_delete(eni, self._instance_id, self._cluster)]
        self._tell([eni for eni in sure if eni not in ours])
        return sum([await self._delete(eni) for eni in ours])

    async def _orphans(self, enis: Sequence[eni_model.Eni]) -> list[eni_model.Eni]:
        """Those that are old, and whose instance ECS does not have."""
        now = self._clock.now()
        old = [eni for eni in enis if is_old(eni, now)]
        may = {owner_of(eni) for eni in old if may_delete(eni, self._instance_id, self._cluster)}
        # Those we may delete first: the others stay, and would take all the places for ever.
        owners = sorted({owner_of(eni) for eni in old}, key=lambda owner: (owner not in may, owner))
        gone = {owner for owner in owners[:_INSTANCES_A_LOOK] if await self._is_gone(owner)}
        return [eni for eni in old if owner_of(eni) in gone]

    async def _is_gone(self, instance_id: str) -> bool:
        try:
            return await self._instances.read(instance_id) is None
        except errors.Error as e:
            log.info("instance cannot be looked up", instance_id=instance_id, error=str(e))
            return False

    async def _delete(self, eni: eni_model.Eni) -> bool:
        log.warning(
            "deleting an interface that was left behind",
            eni_id=eni.eni_id,
            of_instance=owner_of(eni),
        )
        try:
            await self._enis.delete(eni.eni_id)
        except errors.Error as e:
            log.warning("interface cannot be deleted", eni_id=eni.eni_id, error=str(e))
            return False
        return True

    def _tell(self, enis: Iterable[eni_model.Eni]) -> None:
        """In the log once for each; metric and `terway-cli doctor` tell as long as they are."""
        before, told = self.orphans, {eni.eni_id: owner_of(eni) for eni in enis}
        self.orphans = tuple(sorted(told))
        for eni_id in self.orphans:
            if eni_id not in before:
                log.warning(
                    "interface of an instance that is gone holds addresses",
                    eni_id=eni_id,
                    of_instance=told[eni_id],
                    advice="see docs/guides/operate-ipamd.md",
                )


def owner_of(eni: eni_model.Eni) -> str:
    """The instance that an ipamd made *eni* for; "" unless it has all marks, and is free. Pure.

    An interface of Terway's lacks the instance, and is left to it.
    """
    marked = all(eni.tags.get(key) == value for key, value in eni_maker.CREATOR_TAGS.items())
    is_free = eni.status is eni_model.EniStatus.AVAILABLE and not eni.instance_id
    if not marked or not is_free or eni.type is not eni_model.EniType.SECONDARY:
        return ""
    return eni.tags.get(eni_maker.INSTANCE_TAG, "")


def is_old(eni: eni_model.Eni, now: datetime.datetime) -> bool:
    """Whether *eni* is long past its attachment. Pure; one without a time of creation is not."""
    if eni.creation_time is None:
        return False
    return (now - eni.creation_time).total_seconds() >= _OLD_S


def may_delete(eni: eni_model.Eni, instance_id: str, cluster: str) -> bool:
    """Whether a node may delete *eni*, which is free and left behind. Pure.

    Its own; another's only of the same cluster: ECS shows no instance that RAM hides, so one of
    another cluster may be alive.
    """
    is_same = bool(cluster) and eni.tags.get(CLUSTER_TAG) == cluster
    return owner_of(eni) == instance_id or is_same
