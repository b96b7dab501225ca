"""When the API server's word ends a lease: only with the kernel's, and never in doubt."""

import dataclasses

import pytest

from ipamd import janitor, model
from ipamd.datapath import model as datapath_model
from tests.unit.ipamd.test_attachments_pods import Rig, asked


class Pods:
    def __init__(self):
        self.gone = True

    async def wishes(self, pod):
        return None

    def known(self, pod):
        return None

    async def is_gone(self, pod):
        return self.gone


class Kernel:
    """links: names on the node. routes: to addresses."""

    def __init__(self):
        self.links = []
        self.routes = ()

    async def read_host_state(self):
        links = tuple(
            datapath_model.HostLink(index=number, ifname=ifname, alias="", up=True)
            for number, ifname in enumerate(self.links)
        )
        return datapath_model.HostState(links=links, rules=(), routes=self.routes)


@pytest.fixture
async def rig():
    made = Rig()
    made.lease = await made.served.lease_only(asked("web-0", "c1"))
    assert made.lease.owner is model.Owner.CALLER
    made.kernel, made.says = Kernel(), Pods()
    made.rounds = janitor.Janitor(
        addresses=made.pool,
        held=made.leases,
        served=made.served,
        lease_upkeep=made.upkeep,
        interface_upkeep=None,
        worker=made.kernel,
        left_behind=None,
        time=made.time,
        tell=made.told,
        period_s=60.0,
        pending=None,
        pods=made.says,
    )
    await made.time.advance(60)
    return made


async def rounds(rig, count):
    for _ in range(count):
        await rig.rounds.collect_leases()


async def test_a_lease_of_the_stock_executable_ends_when_kernel_and_server_lack_its_pod(rig):
    await rounds(rig, 1)
    assert rig.lease.key in rig.leases

    await rounds(rig, 2)

    assert rig.leases == {}


@pytest.mark.parametrize("shown", ["link", "route"])
async def test_what_the_kernel_shows_stays_whatever_the_server_says(rig, shown):
    if shown == "link":
        rig.kernel.links = [rig.lease.host_ifname]
    else:
        rig.kernel.routes = (datapath_model.HostRoute(address=rig.lease.ipv4, index=7),)

    await rounds(rig, 5)

    assert rig.lease.key in rig.leases


async def test_a_lease_stays_while_it_is_not_certain_that_its_pod_is_gone(rig):
    rig.says.gone = False

    await rounds(rig, 5)

    assert rig.lease.key in rig.leases


async def test_a_lease_of_a_clock_that_was_ahead_is_collected_too(rig):
    ahead = dataclasses.replace(rig.lease, created_at=rig.lease.created_at + 1e9)
    rig.leases[ahead.key] = ahead

    await rounds(rig, 2)

    assert rig.leases == {}


async def test_one_doubt_begins_the_count_anew(rig):
    await rounds(rig, 1)
    rig.says.gone = False
    await rounds(rig, 1)
    rig.says.gone = True
    await rounds(rig, 1)

    assert rig.lease.key in rig.leases
