import asyncio
import contextlib
import dataclasses
import time

import pytest
import structlog

from cloud import errors as cloud_errors
from core import call, clock, errors, metrics
from ipamd import counters
from ipamd.datapath import model as datapath_model
from ipamd.model import AddressState, EniState
from ipamd.pool import eni_maker, limits, pool, pool_state, waiting
from ipamd.recovery import startup
from tests.fakes import fake_enis, virtual_clock
from tests.unit.ipamd import test_pool_state
from tests.unit.ipamd.test_pool_state import key

TARGETS = limits.Targets(max_enis=2, addresses_per_eni=10, min_free=0, max_free=5)


class Told:
    def __init__(self):
        self.messages = []

    def node(self, reason, message, *, warning=True):
        self.messages.append(message)

    def pod(self, pod, reason, message, *, warning=True):
        self.messages.append(message)


@contextlib.asynccontextmanager
async def running(targets=TARGETS, *, cool_down_s=30.0, sync_period_s=600.0):
    maker, told = fake_enis.FakeMaker(), Told()

    stored = []

    async def changed():
        stored.append(startup.records_of(served.state))

    served = pool.Pool(
        pool_state.PoolState(cool_down_s=cool_down_s),
        clock.SystemClock(),
        told,
        pack=True,
        sync_period_s=sync_period_s,
        changed=changed,
        counted=counters.Counters(metrics.Metrics()),
    )
    served.configure(targets, maker, maker)
    served.stored = stored
    task = asyncio.create_task(served.run())
    try:
        yield served, maker, told
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def a_failure(code, status=403):
    return cloud_errors.make(action="A", code=code, status=status, message="m")


async def test_a_node_whose_pods_have_addresses_is_primed_while_the_cloud_refuses():
    wanted = limits.Targets(max_enis=2, addresses_per_eni=10, min_free=3, max_free=5)
    async with running(wanted) as (served, maker, _):
        maker.hold = asyncio.Event()  # no call ends
        for of_pod in (1, 2):
            served.state.add_eni(test_pool_state.eni(of_pod, count=1))
            served.state.allocate(key(of_pod), 0.0)

        async with asyncio.timeout(5):
            await served.wait_primed()


async def test_a_node_whose_interface_has_no_link_is_primed_once_the_link_comes():
    wanted = limits.Targets(max_enis=1, addresses_per_eni=10, min_free=3, max_free=5)
    async with running(wanted) as (served, _, _):
        served.state.add_eni(lost := test_pool_state.eni(1, count=4))
        lost.link, link = None, lost.link
        served._turn()
        assert not served._primed.is_set()

        lost.link = link
        served.wake()
        async with asyncio.timeout(5):
            await served.wait_primed()


def after_a_boot(targets, time, *enis):
    """A pool that was not turned yet, with these interfaces, none of which has its link."""
    maker = fake_enis.FakeMaker()

    async def changed():
        pass

    served = pool.Pool(
        pool_state.PoolState(cool_down_s=0.0),
        time,
        Told(),
        pack=True,
        sync_period_s=600.0,
        changed=changed,
        counted=counters.Counters(metrics.Metrics()),
    )
    served.configure(targets, maker, maker)
    for each in enis:
        each.link = None
        served.state.add_eni(each)
    return served, maker


async def test_no_interface_is_made_while_the_links_of_those_there_are_may_still_come():
    wanted = limits.Targets(max_enis=2, addresses_per_eni=10, min_free=3, max_free=5)
    time = virtual_clock.VirtualClock()
    served, maker = after_a_boot(wanted, time, late := test_pool_state.eni(7, count=4))
    add = asyncio.create_task(served.allocate(key(1)))
    await virtual_clock.settle()

    served._turn()
    await virtual_clock.settle()
    assert maker.calls == []
    assert not add.done()

    late.link = datapath_model.EniLink(mac=late.mac, ifname="eth1", index=7, table=1007)
    await time.advance(20.0)
    served._turn()
    assert (await add)[0] is late
    await virtual_clock.settle()
    assert maker.calls == []


async def test_what_the_interfaces_without_links_cannot_bring_is_made_at_once():
    wanted = limits.Targets(max_enis=2, addresses_per_eni=5, min_free=6, max_free=8)
    time = virtual_clock.VirtualClock()
    served, maker = after_a_boot(wanted, time, test_pool_state.eni(7, count=4))

    served._turn()
    await virtual_clock.settle()

    assert maker.calls == [("create", 1)]


async def test_links_that_do_not_come_are_not_waited_for_longer_than_half_a_minute():
    wanted = limits.Targets(max_enis=2, addresses_per_eni=10, min_free=3, max_free=5)
    time = virtual_clock.VirtualClock()
    served, maker = after_a_boot(wanted, time, test_pool_state.eni(7, count=4))
    served._turn()
    await virtual_clock.settle()
    assert served._due_s() == 30.0

    await time.advance(30.0)
    served._turn()
    await virtual_clock.settle()

    assert maker.calls == [("create", 3)]


async def test_a_link_that_goes_later_is_not_waited_for():
    wanted = limits.Targets(max_enis=2, addresses_per_eni=10, min_free=3, max_free=5)
    time = virtual_clock.VirtualClock()
    served, maker = after_a_boot(wanted, time, late := test_pool_state.eni(7, count=4))
    late.link = datapath_model.EniLink(mac=late.mac, ifname="eth1", index=7, table=1007)
    await time.advance(31.0)
    served._turn()
    late.link = None

    served._turn()
    await virtual_clock.settle()

    assert maker.calls == [("create", 3)]


async def test_an_interface_without_a_link_keeps_no_node_that_has_an_address_from_being_primed():
    wanted = limits.Targets(max_enis=2, addresses_per_eni=10, min_free=3, max_free=5)
    async with running(wanted) as (served, maker, _):
        maker.hold = asyncio.Event()  # no call ends
        lost, good = test_pool_state.eni(1, count=4), test_pool_state.eni(2, count=1)
        lost.link = None
        served.state.add_eni(lost)
        served.state.add_eni(good)

        async with asyncio.timeout(5):
            await served.wait_primed()


async def test_the_log_tells_which_addresses_came():
    wanted = limits.Targets(max_enis=2, addresses_per_eni=10, min_free=3, max_free=5)
    with structlog.testing.capture_logs() as logs:
        async with running(wanted) as (served, _, _):
            async with asyncio.timeout(10):
                await served.wait_primed()
            known = {str(ip) for eni in served.state.enis.values() for ip in eni.addresses}

    came = {
        ip
        for each in logs
        if each["event"] in ("interface added", "addresses added")
        for ip in each["addresses"].split()
    }
    assert known
    assert came == known


async def test_a_new_node_without_an_address_is_not_primed():
    wanted = limits.Targets(max_enis=2, addresses_per_eni=10, min_free=3, max_free=5)
    async with running(wanted) as (served, maker, told):
        maker.failures = [a_failure("Forbidden.RAM") for _ in range(9)]
        primed = asyncio.create_task(served.wait_primed())
        while len(told.messages) < 2:  # at the second refusal the first was looked at
            served.wake()
            await asyncio.sleep(0.01)

        assert not primed.done()
        primed.cancel()


async def test_a_burst_shares_its_cloud_calls():
    async with running() as (served, maker, _):
        found = await asyncio.gather(*(served.allocate(key(n)) for n in range(15)))

    assert len({address.ipv4 for _, address in found}) == 15
    assert maker.calls == [("create", 10), ("create", 5)]


async def test_what_is_given_back_is_not_stored_any_more_when_the_cloud_is_asked():
    async with running(sync_period_s=0.01) as (served, maker, _):
        served.targets = limits.Targets(max_enis=1, addresses_per_eni=9, min_free=0, max_free=1)
        served.state.add_eni(test_pool_state.eni(1, count=3))
        maker.hold = asyncio.Event()
        served.wake()
        while ("unassign", 2) not in maker.calls:
            await asyncio.sleep(0.01)

        assert [str(each) for each in served.stored[-1][0].addresses] == ["10.0.1.1"]
        maker.hold.set()


async def test_addresses_that_cannot_be_given_back_keep_no_pod_waiting():
    async with running(sync_period_s=0.01) as (served, maker, told):
        served.targets = limits.Targets(max_enis=2, addresses_per_eni=3, min_free=0, max_free=1)
        served.state.add_eni(test_pool_state.eni(1, count=3))
        maker.failures = [a_failure("Forbidden.RAM")]
        served.wake()
        while not told.messages:
            await asyncio.sleep(0.01)

        assert "cannot be given back" in told.messages[0]
        assert served.growth_blocked == ""
        async with asyncio.timeout(5):
            for number in range(3):
                await served.allocate(key(number))


async def test_who_gave_up_is_no_demand_any_more():
    async with running() as (served, maker, _):
        maker.hold = asyncio.Event()
        asking = [asyncio.create_task(served.allocate(key(n))) for n in range(4)]
        while not maker.calls:
            await asyncio.sleep(0.01)
        for each in asking[1:]:
            each.cancel()
        await asyncio.wait(asking[1:])
        served._turn()

        assert served.waiting == 1
        maker.hold.set()
        await asking[0]


async def test_what_breaks_is_not_asked_for_again_at_once():
    wanted = limits.Targets(max_enis=2, addresses_per_eni=10, min_free=3, max_free=5)
    async with running(wanted) as (served, maker, told):
        maker.failures = [ValueError("an address that is none")]
        while not told.messages:
            await asyncio.sleep(0.01)
        for _ in range(3):
            served._turn()

        assert maker.calls == [("create", 3)]
        assert "ValueError" in served.growth_blocked


async def test_an_interface_that_the_cloud_calls_full_keeps_no_pod_from_another_one():
    async with running() as (served, maker, _):
        served.state.add_eni(test_pool_state.eni(7, count=1))
        maker._hosts["eni-7"] = 1
        why = a_failure("InvalidOperation.Ipv4CountExceeded")
        maker.failures = [eni_maker.InterfaceFull("eni-7", why)]
        await served.allocate(key(1))

        async with asyncio.timeout(5):
            found, _ = await served.allocate(key(2))

        assert found.eni_id == "eni-1"
        assert maker.calls == [("assign", 1), ("create", 1)]


async def test_a_warm_address_costs_no_call():
    async with running(
        limits.Targets(max_enis=1, addresses_per_eni=10, min_free=3, max_free=9)
    ) as (
        served,
        maker,
        _,
    ):
        await served.wait_primed()
        maker.hold = asyncio.Event()
        calls = list(maker.calls)

        async with asyncio.timeout(0.5):
            await served.allocate(key(1))

        assert calls == [("create", 3)]


async def test_an_add_on_a_full_node_fails_at_once_and_says_why():
    async with running(limits.Targets(max_enis=1, addresses_per_eni=1, min_free=0, max_free=0)) as (
        served,
        _,
        _,
    ):
        await served.allocate(key(1))

        with pytest.raises(waiting.NoAddress, match="all 1 of 1 addresses of this node are in use"):
            await served.allocate(key(2))


async def test_an_add_waits_for_an_address_that_cools():
    tiny = limits.Targets(max_enis=1, addresses_per_eni=1, min_free=0, max_free=0)
    async with running(tiny, cool_down_s=0.2) as (served, _, _):
        _, first = await served.allocate(key(1))
        served.release(key(1))

        _, second = await served.allocate(key(2))

    assert second.ipv4 == first.ipv4


async def test_a_quota_fails_who_waits_with_the_cloud_s_words():
    async with running() as (served, maker, told):
        maker.failures = [a_failure("EniPerInstanceLimitExceeded")]

        with pytest.raises(waiting.NoAddress, match="EniPerInstanceLimitExceeded"):
            await served.allocate(key(1))

        assert "EniPerInstanceLimitExceeded" in told.messages[0]


async def test_a_passing_failure_is_waited_out():
    async with running() as (served, maker, _):
        maker.failures = [a_failure("ServiceUnavailable", 503)]

        async with asyncio.timeout(5):
            _, address = await served.allocate(key(1))

    assert address.state is AddressState.LEASED
    assert [name for name, _ in maker.calls] == ["create", "create"]


async def test_a_dry_vswitch_makes_the_pool_try_another_at_once():
    async with running(
        limits.Targets(max_enis=2, addresses_per_eni=10, min_free=0, max_free=0)
    ) as (
        served,
        maker,
        _,
    ):
        await served.allocate(key(1))
        maker.failures = [eni_maker.VSwitchDry("vsw-1", a_failure("InvalidVSwitchId.IpNotEnough"))]
        maker.dry_ids = frozenset({"vsw-1"})

        async with asyncio.timeout(0.9):
            eni, _ = await served.allocate(key(2))

    assert eni.eni_id == "eni-2"


async def test_who_gave_up_waiting_leaves_no_lease_behind():
    async with running() as (served, maker, _):
        maker.hold = asyncio.Event()
        waiting = asyncio.create_task(served.allocate(key(1)))
        await asyncio.sleep(0.1)

        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        maker.hold.set()
        await served.allocate(key(2))

        assert served.state.find(key(1)) is None


async def test_too_many_free_addresses_are_given_back():
    async with running(sync_period_s=0.1) as (served, maker, _):
        await asyncio.gather(*(served.allocate(key(n)) for n in range(9)))
        for n in range(9):
            served.release(key(n))
        for _, address in served.state.addresses():
            address.since_s -= 1000
        async with asyncio.timeout(5):
            while served.state.count(AddressState.WARM) != 5:
                await asyncio.sleep(0.02)

    assert ("unassign", 4) in maker.calls


async def test_the_deadline_of_an_add_is_told_with_what_was_missing():
    async with running() as (served, maker, _):
        maker.hold = asyncio.Event()
        call.enter(call.Call(call_id="1", method="Add", deadline_s=time.monotonic() + 0.3))

        with pytest.raises(errors.DeadlineExceeded, match="the pool is growing"):
            await served.allocate(key(1))
        maker.hold.set()


async def test_an_interface_whose_deletion_failed_is_not_lost():
    async with running(sync_period_s=0.1) as (served, maker, _):
        await asyncio.gather(*(served.allocate(key(n)) for n in range(9)))
        for n in range(9):
            served.release(key(n))
        for eni, address in served.state.addresses():
            eni.created_at = -1000.0
            address.since_s -= 1000
        served.targets = dataclasses.replace(TARGETS, max_free=0)
        maker.failures = [a_failure("ServiceUnavailable", 503)]
        async with asyncio.timeout(5):
            while ("remove", 1) not in maker.calls or any(
                eni.busy for eni in served.state.enis.values()
            ):
                await asyncio.sleep(0.02)

    assert [eni.state for eni in served.state.enis.values()] == [EniState.DRAINING]


async def test_an_address_given_in_the_moment_of_the_timeout_is_taken_back():
    async with running() as (served, _, _):
        future = asyncio.get_running_loop().create_future()
        await served.allocate(key(1))
        future.set_result(None)

        served._waiting._take_back(key(1), future)

        assert served.state.find(key(1)) is None
