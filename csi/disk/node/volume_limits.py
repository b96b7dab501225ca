"""How many volumes fit on this node, when no setting says so.

`CloudLimits` asks ECS. A process that runs only the node service must stay small and so never
imports an SDK: `ProbeLimits` lets a short-lived child process (`csi.disk.node.limits_probe`) ask.
"""

import json
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from cloud import ecs_model
from core import clock, errors, executor
from csi.disk.node import node_settings
from csi.node import disk_mark
from host import block, own_program

log = structlog.get_logger()

_COUNTED_CATEGORIES = ("cloud", "elastic_ephemeral_disk")
"""Prefixes of the categories that use up a slot. Source: spec/csi-driver.md 2.14."""
_OURS_TAGS = frozenset({"k8s.aliyun.com", "csi.alibabacloud.com/volume-name"})
"""A disk with one of these tags was made for Kubernetes. Source: spec/csi-driver.md appendix B."""
_PROBE_TIMEOUT_S = 20.0
_PROBE = "csi.disk.node.limits_probe"
_KEEP_S = 300.0
_KEEP_FAILURE_S = 60.0


class NodeLimits(Protocol):
    """Knows how many volumes fit on this node."""

    async def max_volumes(self, instance_id: str) -> int | None:
        """Volumes that fit on *instance_id*, which is this node; None = cannot be told."""
        ...

    def close(self) -> None:
        """Ask no more; threads end."""
        ...


class InstanceApi(Protocol):
    """The part of `cloud.ecs_instance.Instances` needed here."""

    async def read(self, instance_id: str) -> ecs_model.Instance | None:
        """The instance, None when there is none."""
        ...

    async def type(self, instance_type_id: str) -> ecs_model.InstanceType | None:
        """The instance type, None when there is none."""
        ...


class DiskApi(Protocol):
    """The part of `cloud.ecs_disk.Disks` needed here."""

    async def find(self, *, instance_id: str = "") -> list[ecs_model.Disk]:
        """Disks attached to *instance_id*."""
        ...


class EcsApi(Protocol):
    """The part of `cloud.client.Alibaba` needed here."""

    @property
    def instances(self) -> InstanceApi:
        """Instances and instance types."""
        ...

    @property
    def disks(self) -> DiskApi:
        """Disks."""
        ...


class CloudLimits:
    """Asks ECS.

    ecs: makes the client on first use. is_marked: whether this node knows an attached disk as a
    volume of ours.
    """

    def __init__(
        self, ecs: Callable[[], EcsApi], *, is_marked: Callable[[ecs_model.Disk], bool]
    ) -> None:
        self._ecs = ecs
        self._is_marked = is_marked

    def close(self) -> None:
        """The client is the process's, and is closed with it."""

    async def max_volumes(self, instance_id: str) -> int | None:
        """The slots of the instance's type, less the disks there that are no volumes."""
        ecs = self._ecs()
        instance = await ecs.instances.read(instance_id)
        if instance is None:
            log.warning("this node's instance is not known to ECS", instance_id=instance_id)
            return None
        kind = await ecs.instances.type(instance.instance_type)
        if kind is None or kind.disk_quantity is None:
            log.warning("ECS tells no disk quantity", instance_type=instance.instance_type)
            return None
        attached = await ecs.disks.find(instance_id=instance_id)
        return count_free(kind.disk_quantity, attached, self._is_marked)


def marked_on_node(settings: node_settings.NodeSettings) -> Callable[[ecs_model.Disk], bool]:
    """A test whether an attached disk was staged on this node, by the mark on its device."""

    def is_marked(disk: ecs_model.Disk) -> bool:
        if not disk.serial_number:
            return False
        path = block.find_device(
            disk.serial_number, by_id_dir=settings.by_id_dir, sysfs=settings.sysfs
        )
        return path is not None and disk_mark.managed_disk_id(path) == disk.disk_id

    return is_marked


def count_free(
    disk_quantity: int,
    attached: Iterable[ecs_model.Disk],
    is_marked: Callable[[ecs_model.Disk], bool],
) -> int:
    """Slots left for volumes of an instance with *disk_quantity* slots.

    The system disk and disks that others attached take slots away; our own volumes do not, as the
    CO counts those itself. Never negative. Source: spec/csi-driver.md 2.14.
    """
    foreign = [
        disk.disk_id
        for disk in attached
        if disk.category.startswith(_COUNTED_CATEGORIES)
        and disk.state is not ecs_model.DiskState.DETACHING
        and not is_marked(disk)
        and not _OURS_TAGS.intersection(disk.tags)
    ]
    return max(0, disk_quantity - len(foreign))


class ProbeLimits:
    """Asks ECS through a child process, which ends and gives its memory back.

    An answer is kept 5 minutes, a failure 1 minute: the CO may ask often.
    """

    def __init__(self, workers: executor.BoundedExecutor, time: clock.Clock) -> None:
        self._workers = workers
        self._clock = time
        self._known: int | None = None
        self._until_s = 0.0

    def close(self) -> None:
        """End the thread that waits for the child."""
        self._workers.close()

    async def max_volumes(self, instance_id: str) -> int | None:
        """What the child found for *instance_id*."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._until_s:
            self._known = await self._ask(instance_id)
            self._until_s = now_s + (_KEEP_FAILURE_S if self._known is None else _KEEP_S)
        return self._known

    async def _ask(self, instance_id: str) -> int | None:
        try:
            told = await self._workers.run(
                own_program.ask, _PROBE, instance_id, timeout_s=_PROBE_TIMEOUT_S
            )
            return parse_answer(told)
        except errors.Error as e:
            log.warning("number of volumes not known: asking ECS failed", error=str(e))
            return None


def parse_answer(text: str) -> int | None:
    """`max_volumes` of the JSON object in the last line of *text*.

    Raises Internal when it is something else.
    """
    lines = text.strip().splitlines()
    try:
        value = json.loads(lines[-1])["max_volumes"]
    except (IndexError, KeyError, TypeError, ValueError) as e:
        raise errors.Internal(f"the limits probe printed no answer but {text[-200:]!r}") from e
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise errors.Internal(f"the limits probe printed {value!r} for max_volumes")
