"""What attachments make of what pods ask for; kernel and database are stand-ins."""

import asyncio
import dataclasses
import ipaddress
import pathlib

import pytest

from core import errors, metrics
from ipamd import counters, events, model
from ipamd.attachments import attachment_errors, attachments, leases, pod_interfaces, upkeep
from ipamd.cni import cni_config
from ipamd.datapath import model as datapath_model
from ipamd.datapath import names
from ipamd.kube import pod_wishes
from ipamd.pool import limits, pool, pool_state, waiting
from tests.fakes import fake_enis, virtual_clock
from tests.unit.ipamd.test_pool_state import eni

NETNS = pathlib.Path("/run/netns/x")
LIMIT = datapath_model.Bandwidth(ingress_bytes_per_s=1000)
STATEFUL = pod_wishes.Wishes(keep_s=300.0)


class FakePods:
    """told: by name of pod; fault and delay are not its business."""

    def __init__(self):
        self.told = {}
        self.shown = []

    def owner_of(self, host_ifname, ifname):
        found = [
            name for name in self.told if host_ifname == names.host_ifname("shop", name, ifname)
        ]
        return model.Pod(namespace="shop", name=found[0], uid="u") if found else model.NO_POD

    def show(self, lease):
        self.shown.append((lease.pod.name, str(lease.ipv4)))

    async def wishes(self, pod):
        return self.known(pod)

    def known(self, pod):
        return self.told.get(pod.name)

    async def is_gone(self, pod):
        return False


class FakeWorker:
    """wired: what the kernel was asked for. kept: of each lease that ended, whether to keep."""

    def __init__(self):
        self.wired = []
        self.stored = []
        self.kept = []
        self.fault = None

    async def wire(self, lease, wiring):
        if self.fault is not None:
            raise self.fault
        self.wired.append(wiring)
        host, pod = (datapath_model.MadeLink(ifname="", index=n, mac="") for n in (1, 2))
        return datapath_model.Wired(host=host, pod=pod, addresses=(), routes=())

    async def put_lease(self, lease):
        self.stored.append(lease)

    async def unwire(self, unwiring):
        return

    async def end_lease(self, key, ipv4, released_at, *, keep=False):
        self.kept.append(keep)


class Told:
    """told: pod ("" = the node), reason and message of each event."""

    def __init__(self):
        self.told = []

    @property
    def reasons(self):
        return [reason for _, reason, _ in self.told]

    def node(self, reason, message, *, warning=True):
        self.told.append(("", reason, message))

    def pod(self, pod, reason, message, *, warning=True):
        self.told.append((str(pod), reason, message))


async def nothing():
    return


class Rig:
    def __init__(self, count=3):
        self.time = virtual_clock.VirtualClock()
        self.pods, self.worker, self.told = FakePods(), FakeWorker(), Told()
        self.pool = pool.Pool(
            pool_state.PoolState(cool_down_s=0.0),
            self.time,
            self.told,
            pack=True,
            sync_period_s=600.0,
            changed=nothing,
            counted=counters.Counters(metrics.Metrics()),
        )
        maker = fake_enis.FakeMaker()
        targets = limits.Targets(max_enis=1, addresses_per_eni=count, min_free=0, max_free=9)
        self.pool.configure(targets, maker, maker)
        self.pool.state.add_eni(eni(1, count=count))
        self.leases = leases.Leases()
        self.interfaces = pod_interfaces.PodInterfaces(self.pool, self.worker)
        self.served = attachments.Attachments(
            self.leases,
            self.interfaces,
            self.pool,
            self.worker,
            pods=self.pods,
            time=self.time,
            tell=self.told,
            mtu=1500,
        )
        self.upkeep = upkeep.Upkeep(
            self.leases, self.interfaces, self.pool, self.worker, pods=self.pods, tell=self.told
        )

    async def add(self, name, container="c1", bandwidth=datapath_model.UNLIMITED):
        config = cni_config.NetworkConfig(cni_version="1.0.0", name="net", bandwidth=bandwidth)
        return (await self.served.add(config, asked(name, container))).lease

    async def end(self, container="c1"):
        return await self.served.end(asked("", container).key)


def asked(name, container):
    key = model.AttachmentKey(network="net", container_id=container, ifname="eth0")
    pod = model.Pod(namespace="shop", name=name) if name else model.NO_POD
    return cni_config.Attachment(key=key, netns_path=NETNS, pod=pod)


async def test_a_stateful_pod_gets_its_address_back():
    rig = Rig()
    rig.pods.told["web-0"] = STATEFUL
    first = await rig.add("web-0", "c1")
    await rig.end("c1")
    await rig.add("other", "c2")

    again = await rig.add("web-0", "c3")

    assert again.ipv4 == first.ipv4
    assert rig.worker.kept == [True]


async def test_an_unknown_pod_gets_its_kept_address_and_keeps_it_again():
    rig = Rig()
    rig.pods.told["web-0"] = STATEFUL
    first = await rig.add("web-0", "c1")
    await rig.end("c1")
    rig.pods.told.clear()

    again = await rig.add("web-0", "c2")

    assert (again.ipv4, again.keep_s) == (first.ipv4, 300.0)


async def test_an_old_sandbox_of_a_pod_keeps_no_address_from_the_new_one():
    rig = Rig()
    rig.pods.told["web-0"] = STATEFUL
    await rig.add("web-0", "c1")
    new = await rig.add("web-0", "c2")
    await rig.end("c1")
    await rig.end("c2")

    assert rig.worker.kept == [False, True]
    assert (await rig.add("web-0", "c3")).ipv4 == new.ipv4


async def test_another_interface_of_a_pod_has_its_own_kept_address():
    rig = Rig()
    rig.pods.told["web-0"] = STATEFUL
    lease = await rig.add("web-0", "c1")

    assert dataclasses.replace(lease, keep_s=0.0).kept is None
    assert lease.kept.holder == model.Holder(namespace="shop", name="web-0", ifname="eth0")


async def test_a_full_node_says_how_many_addresses_are_kept():
    rig = Rig(count=1)
    rig.pods.told["web-0"] = STATEFUL
    await rig.add("web-0", "c1")
    await rig.end("c1")
    task = asyncio.create_task(rig.pool.run())
    try:
        adding = asyncio.create_task(rig.add("other", "c2"))
        await rig.time.advance(2)
        with pytest.raises(waiting.NoAddress, match="1 of them kept for pods of StatefulSets"):
            await adding
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert rig.told.reasons[-1] is events.Reason.ALLOC_IP_FAILED


async def test_a_limit_that_was_not_known_at_add_is_made_up_for():
    rig = Rig()
    await rig.add("web-0")
    await rig.upkeep.learn()
    assert len(rig.worker.wired) == 1

    rig.pods.told["web-0"] = pod_wishes.Wishes(bandwidth=LIMIT, keep_s=300.0)
    await rig.upkeep.learn()
    await rig.upkeep.learn()

    assert [wiring.bandwidth for wiring in rig.worker.wired] == [datapath_model.UNLIMITED, LIMIT]
    [lease] = rig.leases.values()
    assert (lease.bandwidth, lease.keep_s) == (LIMIT, 300.0)


async def test_what_cannot_be_made_up_for_now_is_tried_again():
    rig = Rig()
    await rig.add("web-0")
    rig.pods.told["web-0"] = pod_wishes.Wishes(bandwidth=LIMIT)
    rig.worker.fault = errors.Unavailable("busy kernel")
    await rig.upkeep.learn()

    rig.worker.fault = None
    await rig.upkeep.learn()

    assert rig.worker.wired[-1].bandwidth == LIMIT


async def test_a_known_pod_is_not_looked_up_again():
    rig = Rig()
    rig.pods.told["web-0"] = pod_wishes.Wishes()
    await rig.add("web-0")
    rig.pods.told["web-0"] = pod_wishes.Wishes(bandwidth=LIMIT)

    await rig.upkeep.learn()

    assert len(rig.worker.wired) == 1


async def test_what_was_not_known_at_add_is_looked_up_after_a_restart_too():
    before, after = Rig(), Rig()
    lease = await before.add("web-0")
    assert not lease.learned
    after.leases[lease.key] = lease
    after.pods.told["web-0"] = pod_wishes.Wishes(bandwidth=LIMIT, keep_s=300.0)

    await after.upkeep.learn()

    [learned] = after.leases.values()
    assert (learned.bandwidth, learned.keep_s, learned.learned) == (LIMIT, 300.0, True)


async def test_a_pod_that_asks_for_nothing_is_remembered_as_looked_up():
    rig = Rig()
    await rig.add("web-0")
    rig.pods.told["web-0"] = pod_wishes.Wishes()

    await rig.upkeep.learn()

    assert [lease.learned for lease in rig.worker.stored] == [True]
    assert len(rig.worker.wired) == 1


async def test_the_pod_of_a_lease_that_was_found_in_the_kernel_is_known_by_its_link():
    rig = Rig()
    lease = await rig.add("web-0")
    found = dataclasses.replace(lease, pod=model.NO_POD, netns="", learned=True)
    rig.leases[lease.key] = found
    await rig.upkeep.learn()
    assert rig.leases == {lease.key: found}

    rig.pods.told["web-0"] = pod_wishes.Wishes(bandwidth=LIMIT, keep_s=300.0)
    await rig.upkeep.learn()
    await rig.upkeep.learn()

    [learned] = rig.leases.values()
    assert learned.pod == model.Pod(namespace="shop", name="web-0", uid="u")
    assert (learned.keep_s, learned.learned) == (300.0, True)
    assert len(rig.worker.wired) == 1  # where its namespace is, nobody knows
    assert rig.worker.stored == [learned]


async def test_an_attachment_without_a_pod_has_nothing_to_look_up():
    rig = Rig()

    assert (await rig.add("")).learned


async def test_a_keeping_that_is_learned_late_is_stored_without_touching_the_kernel():
    rig = Rig()
    await rig.add("web-0")
    rig.pods.told["web-0"] = STATEFUL

    await rig.upkeep.learn()

    assert [lease.keep_s for lease in rig.worker.stored] == [300.0]
    assert len(rig.worker.wired) == 1


async def test_a_repeated_add_of_an_unknown_pod_keeps_its_limit():
    rig = Rig()
    rig.pods.told["web-0"] = pod_wishes.Wishes(bandwidth=LIMIT, keep_s=300.0)
    await rig.add("web-0")
    rig.pods.told.clear()

    again = await rig.add("web-0")

    assert (again.bandwidth, again.keep_s) == (LIMIT, 300.0)


async def test_a_refused_pod_takes_no_address_and_is_told():
    rig = Rig()
    rig.pods.told["web-0"] = pod_wishes.Wishes(refusal="the pod asks for too much")

    with pytest.raises(attachment_errors.PodRefused, match="asks for too much"):
        await rig.add("web-0")

    assert rig.leases == {}
    assert rig.told.reasons == [events.Reason.ALLOC_IP_FAILED]


async def test_nothing_is_remembered_of_attachments_that_ended():
    rig = Rig()
    await rig.add("web-0")
    await rig.end()
    rig.worker.fault = errors.Unavailable("no")
    with pytest.raises(errors.Unavailable):
        await rig.add("web-1", "c2")

    await rig.upkeep.learn()

    assert rig.leases == {}
    assert rig.worker.stored == []


async def test_each_pod_is_shown_its_address_and_again_by_the_janitor_its_newest():
    rig = Rig()
    first = await rig.add("web-0", "c1")
    await rig.time.advance(1)
    second = await rig.add("web-0", "c2")
    assert rig.pods.shown == [("web-0", str(first.ipv4)), ("web-0", str(second.ipv4))]

    rig.pods.shown.clear()
    await rig.upkeep.show_addresses()
    assert rig.pods.shown == [("web-0", str(second.ipv4))]


async def test_the_stock_executable_is_told_the_limits():
    rig = Rig()
    rig.pods.told["web-0"] = pod_wishes.Wishes(bandwidth=LIMIT, keep_s=300.0)

    lease = await rig.served.lease_only(asked("web-0", "c1"))

    assert (lease.bandwidth, lease.keep_s, lease.owner) == (LIMIT, 300.0, model.Owner.CALLER)
    assert isinstance(lease.ipv4, ipaddress.IPv4Address)
