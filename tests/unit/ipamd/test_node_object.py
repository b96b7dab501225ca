"""What is shown on the Node object, and what is read from it."""

import asyncio

import pytest

from cloud import metadata
from core import clock, errors, metrics
from ipamd import counters, events
from ipamd.kube import node_object
from ipamd.pool import limits, pool, pool_state
from kube import api, node_seen
from tests.fakes import fake_enis, fake_kubernetes, virtual_clock
from tests.unit.ipamd.test_pool import Told
from tests.unit.ipamd.test_pool_state import eni, key

NODE = (api.Kind.NODE, "node-1")


async def nothing():
    return


class Rig:
    """A pool of one interface with two addresses, and a Node that shows it."""

    def __init__(self):
        self.time = virtual_clock.VirtualClock()
        self.server = fake_kubernetes.FakeKubernetes(objects={NODE: {}})
        self.told = Told()
        self.pool = pool.Pool(
            pool_state.PoolState(cool_down_s=30.0),
            self.time,
            self.told,
            pack=True,
            sync_period_s=600.0,
            changed=nothing,
            counted=counters.Counters(metrics.Metrics()),
        )
        maker = fake_enis.FakeMaker()
        targets = limits.Targets(max_enis=1, addresses_per_eni=2, min_free=0, max_free=2)
        self.pool.configure(targets, maker, maker)
        self.pool.state.add_eni(eni(1, count=2))
        self.seen = node_seen.NodeSeen()
        self.status = self.another()

    def another(self):
        return node_object.NodeStatus(
            self.server, "node-1", self.pool, self.told, self.time, seen=self.seen
        )

    @property
    def conditions(self):
        return [
            (each["status"], each["reason"], each["lastTransitionTime"])
            for _, patch, of_status in self.server.patches
            if of_status
            for each in patch["status"]["conditions"]
        ]

    def fill(self):
        for number in (1, 2):
            self.pool.state.allocate(key(number), self.now_s())

    def now_s(self):
        return self.time.now().timestamp()


async def test_the_condition_follows_the_pool_and_each_change_is_told_once():
    rig = Rig()
    await rig.status.look()
    await rig.status.look()
    await rig.time.advance(10)
    rig.fill()
    await rig.status.look()
    await rig.status.look()
    rig.pool.release(key(1))
    await rig.status.look()
    await rig.time.advance(30)
    rig.pool.state.warm_up(rig.now_s())
    await rig.status.look()

    assert rig.conditions == [
        ("True", "SufficientIP", "2026-01-01T00:00:00Z"),
        ("False", "InsufficientIP", "2026-01-01T00:00:10Z"),
        ("True", "SufficientIP", "2026-01-01T00:00:40Z"),
    ]
    assert rig.told.messages == [
        "no address for new pods: all 2 of 2 addresses of this node are in use",
        "there are addresses for new pods again",
    ]


async def test_the_capacity_is_written_once():
    rig = Rig()
    await rig.status.look()
    rig.fill()
    await rig.status.look()

    assert [patch for _, patch, of_status in rig.server.patches if not of_status] == [
        {"metadata": {"annotations": {"k8s.aliyun.com/max-available-ip": "2"}}}
    ]


async def test_the_condition_is_renewed_when_nothing_changes():
    rig = Rig()
    await rig.status.look()
    await rig.time.advance(601)
    await rig.status.look()

    assert [each[2] for each in rig.conditions] == ["2026-01-01T00:00:00Z"] * 2


async def test_a_restart_does_not_change_since_when_it_is_so():
    rig = Rig()
    since = "2025-12-31T00:00:00Z"
    shown = {"type": "SufficientIP", "status": "True", "lastTransitionTime": since}
    rig.server.objects[NODE] = {"status": {"conditions": [shown]}}

    await rig.another().look()

    assert rig.conditions == [("True", "SufficientIP", since)]


async def test_a_node_that_is_made_anew_is_told_at_the_next_look():
    rig = Rig()
    rig.seen.take({"uid": "u1", "labels": {}})
    await rig.status.look()
    rig.seen.take(None)
    await rig.status.look()
    await rig.time.advance(5)
    assert len(rig.conditions) == 1

    rig.seen.take({"uid": "u2", "labels": {}})
    await rig.status.look()
    await rig.status.look()

    assert [each[2] for each in rig.conditions] == ["2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"]
    assert len([patch for _, patch, of_status in rig.server.patches if not of_status]) == 2
    assert rig.told.messages == []


async def test_a_node_that_comes_late_is_told_when_it_comes():
    rig = Rig()
    rig.seen.take(None)
    task = asyncio.create_task(rig.status.run())
    try:
        await rig.time.advance(60)
        assert rig.server.patches == []
        rig.seen.take({"uid": "u1", "labels": {}})
        await rig.time.advance(5)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert [each[0] for each in rig.conditions] == ["True"]


async def test_a_change_of_the_past_that_is_in_the_future_is_not_believed():
    rig = Rig()
    shown = {"type": "SufficientIP", "status": "True", "lastTransitionTime": "2030-01-01T00:00:00Z"}
    rig.server.objects[NODE] = {"status": {"conditions": [shown]}}

    await rig.another().look()

    assert rig.conditions == [("True", "SufficientIP", "2026-01-01T00:00:00Z")]


async def test_what_the_api_server_missed_is_shown_when_it_is_back():
    rig = Rig()
    rig.server.fault = errors.Unavailable("away")
    rig.fill()
    with pytest.raises(errors.Unavailable):
        await rig.status.look()
    with pytest.raises(errors.Unavailable):
        await rig.status.look()
    rig.server.fault = None
    await rig.status.look()

    assert [each[0] for each in rig.conditions] == ["False"]
    assert len(rig.told.messages) == 1


async def test_an_answer_that_makes_no_sense_does_not_end_the_showing():
    rig = Rig()
    rig.server.objects[NODE] = {"status": {"conditions": "none"}}
    task = asyncio.create_task(rig.status.run())
    await virtual_clock.settle()
    assert not task.done()
    assert rig.conditions == []

    rig.server.objects[NODE] = {}
    await rig.time.advance(31)

    assert len(rig.conditions) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_blocked_pool_says_why_only_when_nothing_is_free():
    rig = Rig()
    rig.pool._work.why = "the vSwitch is dry"

    assert node_object.judge(rig.pool) == ""
    rig.fill()
    assert node_object.judge(rig.pool) == "the vSwitch is dry"


async def test_addresses_of_an_interface_without_a_link_are_not_sufficient():
    rig = Rig()
    rig.pool._work.why = "the vSwitch is dry"
    rig.pool.state.enis["eni-1"].link = None

    assert node_object.judge(rig.pool) == "the vSwitch is dry"


async def test_a_machine_is_known_by_its_node():
    rig = Rig()
    rig.server.objects[NODE] = {
        "metadata": {"labels": {"topology.kubernetes.io/zone": "z-1"}},
        "spec": {"providerID": "r-1.i-1"},
    }
    provider = node_object.NodeProvider(rig.server, "node-1")
    chain = metadata.Metadata([provider], clock.SystemClock())

    assert await chain.get(metadata.Key.INSTANCE_ID) == "i-1"
    assert await chain.get(metadata.Key.ZONE_ID) == "z-1"
    assert len(rig.server.reads) == 1
    assert await provider.read(metadata.Key.INSTANCE_TYPE, {}) is None


async def test_a_node_that_is_not_there_is_named():
    provider = node_object.NodeProvider(fake_kubernetes.FakeKubernetes(), "node-9")

    with pytest.raises(errors.NotFound, match="no Node node-9"):
        await provider.read(metadata.Key.ZONE_ID, {})


def test_every_reason_has_a_name_that_kubernetes_takes():
    assert all(reason.value.isalpha() and reason.value[0].isupper() for reason in events.Reason)
