import asyncio
import contextlib

import hypothesis
import pytest
from hypothesis import strategies

from core import call
from csi.disk.controller import slots

Side = slots.Side
NODE = "i-1"


class Holder:
    """A call that holds a slot until told to leave."""

    def __init__(self, node_slots: slots.NodeSlots, side: Side, node: str = NODE) -> None:
        self.side = side
        self.holds = False
        self._leave = asyncio.Event()
        self._task = asyncio.create_task(self._run(node_slots, node))

    async def _run(self, node_slots: slots.NodeSlots, node: str) -> None:
        async with node_slots.hold(node, self.side):
            self.holds = True
            await self._leave.wait()
        self.holds = False

    async def leave(self) -> None:
        self._leave.set()
        await settle()

    async def cancel(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self.holds = False
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def holders(node_slots: slots.NodeSlots, *sides: Side) -> list[Holder]:
    made = []
    for side in sides:
        made.append(Holder(node_slots, side))
        await settle()
    return made


async def test_one_disk_at_a_time_and_a_queued_detach_goes_before_attaches() -> None:
    node_slots = slots.NodeSlots(attach=1, detach=1)
    first, second, detach = await holders(node_slots, Side.ATTACH, Side.ATTACH, Side.DETACH)
    assert [first.holds, second.holds, detach.holds] == [True, False, False]

    await first.leave()
    assert [second.holds, detach.holds] == [False, True]

    await detach.leave()
    assert second.holds
    await second.leave()


async def test_nodes_do_not_wait_for_each_other() -> None:
    node_slots = slots.NodeSlots(attach=1, detach=1)
    first = Holder(node_slots, Side.ATTACH, "i-1")
    other = Holder(node_slots, Side.ATTACH, "i-2")
    await settle()

    assert first.holds
    assert other.holds
    await first.leave()
    await other.leave()


async def test_sides_have_limits_of_their_own_when_not_both_one() -> None:
    node_slots = slots.NodeSlots(attach=2, detach=0)
    made = await holders(node_slots, *[Side.ATTACH] * 3, *[Side.DETACH] * 3)

    assert [holder.holds for holder in made] == [True, True, False, True, True, True]
    for holder in made:
        await holder.leave()


async def test_a_cancelled_waiter_takes_no_slot_and_frees_none() -> None:
    node_slots = slots.NodeSlots(attach=1, detach=1)
    first, second, third = await holders(node_slots, *[Side.ATTACH] * 3)

    await second.cancel()
    assert not third.holds
    await first.leave()

    assert third.holds
    await third.leave()
    assert node_slots.waiting == 0
    assert not node_slots._nodes


async def test_a_waiter_cancelled_in_the_moment_of_its_turn_passes_it_on() -> None:
    node_slots = slots.NodeSlots(attach=1, detach=1)
    first, second, third = await holders(node_slots, *[Side.ATTACH] * 3)

    first._leave.set()
    # The turn is given while the waiter has not run yet.
    while not second._task.cancelled() and first.holds:
        await asyncio.sleep(0)
    await second.cancel()

    assert third.holds
    await third.leave()


async def test_a_waiting_call_says_what_it_waits_for() -> None:
    node_slots = slots.NodeSlots(attach=1, detach=1)
    (first,) = await holders(node_slots, Side.ATTACH)
    running = call.Call(call_id="c", method="m")

    async def wait() -> None:
        call.enter(running)
        async with node_slots.hold(NODE, Side.ATTACH):
            pass

    waiter = asyncio.create_task(wait())
    await settle()

    assert running.doing.startswith("still waiting for other disk(s) to finish attach/detach")
    await first.leave()
    await waiter


STEPS = strategies.lists(
    strategies.tuples(
        strategies.sampled_from(["attach", "detach", "leave", "cancel"]),
        strategies.integers(min_value=0, max_value=20),
    ),
    max_size=40,
)


@hypothesis.given(limits=strategies.sampled_from([(1, 1), (2, 1), (0, 1), (3, 2)]), steps=STEPS)
@hypothesis.settings(max_examples=60, deadline=None)
def test_limits_hold_and_nobody_starves_whatever_happens(
    limits: tuple[int, int], steps: list[tuple[str, int]]
) -> None:
    asyncio.run(_walk(limits, steps))


async def _walk(limits: tuple[int, int], steps: list[tuple[str, int]]) -> None:
    attach, detach = limits
    node_slots = slots.NodeSlots(attach=attach, detach=detach)
    alive: list[Holder] = []
    for action, number in steps:
        if action in ("attach", "detach"):
            alive += await holders(node_slots, Side(action))
        elif alive:
            chosen = alive[number % len(alive)]
            if action == "leave" and chosen.holds:
                await chosen.leave()
                alive.remove(chosen)
            elif action == "cancel":
                await chosen.cancel()
                alive.remove(chosen)
        _check(alive, attach, detach)
    while alive:
        ready = [holder for holder in alive if holder.holds]
        if not ready:
            pytest.fail("somebody waits although nobody holds a slot")
        await ready[0].leave()
        alive.remove(ready[0])
    assert not node_slots._nodes


def _check(alive: list[Holder], attach: int, detach: int) -> None:
    attaching = sum(h.holds for h in alive if h.side is Side.ATTACH)
    detaching = sum(h.holds for h in alive if h.side is Side.DETACH)
    if (attach, detach) == (1, 1):
        assert attaching + detaching <= 1
        return
    assert not attach or attaching <= attach
    assert not detach or detaching <= detach
