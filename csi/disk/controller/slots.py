"""How many disks may be attached to and detached from one instance at a time.

ECS refuses a second attach on an instance that is not set up for it, so we queue. Memory only:
after a restart the cloud's refusal does the same job. Source: spec/csi-driver.md 2.9.
"""

import asyncio
import collections
import contextlib
import dataclasses
import enum
from collections.abc import AsyncIterator

from core import call


class Side(enum.StrEnum):
    """What a slot is for. In this order waiting calls are let in."""

    DETACH = "detach"
    ATTACH = "attach"


@dataclasses.dataclass(slots=True)
class _Node:
    running: collections.Counter[Side] = dataclasses.field(default_factory=collections.Counter)
    waiting: dict[Side, collections.deque[asyncio.Future[None]]] = dataclasses.field(
        default_factory=lambda: {side: collections.deque() for side in Side}
    )

    @property
    def idle(self) -> bool:
        return not self.running.total() and not any(self.waiting.values())


class NodeSlots:
    """Slots of every instance. attach, detach: how many at once per instance; 0 = no limit.

    Both 1: one slot for both sides, detaches first, as a detach makes room for an attach.
    """

    def __init__(self, *, attach: int, detach: int) -> None:
        self._limits = {Side.ATTACH: attach, Side.DETACH: detach}
        self._serial = attach == 1 and detach == 1
        self._nodes: dict[str, _Node] = {}

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot, of all instances."""
        return sum(len(queue) for node in self._nodes.values() for queue in node.waiting.values())

    @contextlib.asynccontextmanager
    async def hold(self, instance_id: str, side: Side) -> AsyncIterator[None]:
        """Hold a slot of *instance_id* for the body; waits for it, first come first served."""
        node = self._nodes.setdefault(instance_id, _Node())
        try:
            await self._enter(node, instance_id, side)
            try:
                yield
            finally:
                self._leave(node, side)
        finally:
            if node.idle:
                self._nodes.pop(instance_id, None)

    async def _enter(self, node: _Node, instance_id: str, side: Side) -> None:
        if self._may_start(node, side):
            node.running[side] += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        node.waiting[side].append(turn)
        call.doing(f"still waiting for other disk(s) to finish attach/detach on {instance_id}")
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(node, side)  # our turn came in the same moment: pass it on
            else:
                node.waiting[side].remove(turn)
                self._wake(node)
            raise

    def _leave(self, node: _Node, side: Side) -> None:
        node.running[side] -= 1
        self._wake(node)

    def _wake(self, node: _Node) -> None:
        for side in Side:
            queue = node.waiting[side]
            while queue and self._has_room(node, side):
                turn = queue.popleft()
                if not turn.done():
                    node.running[side] += 1
                    turn.set_result(None)

    def _may_start(self, node: _Node, side: Side) -> bool:
        """Whether a newcomer may go at once: nobody of its side is before it."""
        return not node.waiting[side] and self._has_room(node, side)

    def _has_room(self, node: _Node, side: Side) -> bool:
        if self._serial:
            return not node.running.total()
        return not self._limits[side] or node.running[side] < self._limits[side]
