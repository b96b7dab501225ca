"""What a start makes of what it finds, where that contradicts itself."""

import pytest

from core import errors
from ipamd import model
from ipamd.datapath import model as datapath_model
from ipamd.recovery import startup
from tests.unit.ipamd.test_attachments_pods import Rig
from tests.unit.ipamd.test_pool_state import eni


class Kernel:
    def __init__(self, host):
        self.host = host
        self.stored = []

    async def read_host_state(self):
        return self.host

    async def put_lease(self, lease):
        self.stored.append(lease)

    async def remove_stale(self, *, rules, links):
        assert links == ()


def links_to(*addresses):
    """A link of ours to each address."""
    numbered = list(enumerate(addresses, 1))
    return datapath_model.HostState(
        links=tuple(
            datapath_model.HostLink(ifname=f"cali{n}", index=n, alias=f"net/c{n}/eth0", up=True)
            for n, _ in numbered
        ),
        rules=(),
        routes=tuple(datapath_model.HostRoute(address=a, index=n) for n, a in numbered),
    )


def link_of(lease):
    """The link that *lease* has on the node."""
    link = datapath_model.HostLink(ifname=lease.host_ifname, index=9, alias=lease.alias, up=True)
    route = datapath_model.HostRoute(address=lease.ipv4, index=9)
    return datapath_model.HostState(links=(link,), rules=(), routes=(route,))


async def restore(rig, kernel, stored=()):
    await startup.restore(
        startup.Sources(stored=model.StoredState(leases=stored), attached=None, rebuilt=False),
        worker=kernel,
        state=rig.pool.state,
        held=rig.leases,
        time=rig.time,
        tell=rig.told,
    )


async def test_two_links_with_one_address_do_not_keep_the_node_from_starting():
    rig = Rig()
    address = rig.pool.state.enis["eni-1"].primary
    kernel = Kernel(links_to(address, address))

    await restore(rig, kernel)

    assert [lease.key.container_id for lease in rig.leases.values()] == ["c1"]
    assert len(kernel.stored) == 1
    assert "ResourceInvalid" in rig.told.reasons


async def test_a_lease_is_found_on_the_interface_that_has_its_address_now():
    rig = Rig(count=1)
    before = await rig.add("web", "c1")
    rig.pool.state.clear()
    moved = eni(2, count=1)
    moved.addresses = {
        before.ipv4: model.Address(ipv4=before.ipv4, state=model.AddressState.WARM, since_s=0.0)
    }
    for each in (eni(1, count=1), moved):
        each.addresses = each.addresses if each is moved else {}
        rig.pool.state.add_eni(each)
    rig.leases.clear()

    await restore(rig, Kernel(link_of(before)), stored=(before,))

    assert rig.leases[before.key].eni_id == "eni-2"
    assert rig.pool.state.find(before.key)[1].state is model.AddressState.LEASED


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_a_lease_is_not_put_on_the_interface_that_gives_its_address_back(order):
    rig = Rig(count=1)
    before = await rig.add("web", "c1")
    rig.pool.state.clear()
    rig.leases.clear()
    ipv4 = before.ipv4
    has, leaves = eni(1, count=1), eni(2, count=1)
    leaves.addresses = {
        ipv4: model.Address(ipv4=ipv4, state=model.AddressState.RELEASING, since_s=0.0)
    }
    for number in order:
        rig.pool.state.add_eni({1: has, 2: leaves}[number])

    await restore(rig, Kernel(link_of(before)), stored=(before,))

    assert rig.leases[before.key].eni_id == "eni-1"
    assert rig.pool.state.find(before.key)[0] is has


async def test_a_full_disk_keeps_the_node_from_nothing_but_new_pods():
    rig = Rig(count=2)
    web, gone = await rig.add("web", "c1"), await rig.add("gone", "c2")
    rig.pool.state.clear()
    rig.leases.clear()
    rig.pool.state.add_eni(eni(1, count=2))
    kernel = Kernel(link_of(web))

    async def full(*_, **__):
        raise errors.Unavailable("database or disk is full")

    async def unwired(unwiring):
        assert unwiring.host_ifname == gone.host_ifname

    kernel.put_lease = kernel.end_lease = full
    kernel.unwire = unwired

    await restore(rig, kernel, stored=(web, gone))

    assert list(rig.leases) == [web.key]
    assert rig.told.reasons[-2:] == ["ResourceInvalid", "ResourceInvalid"]


async def test_a_pod_whose_interface_is_gone_at_the_start_is_told_with_the_node():
    rig = Rig()
    lease = await rig.add("web", "c1")
    rig.pool.state.clear()
    rig.leases.clear()

    await restore(rig, Kernel(link_of(lease)), stored=(lease,))

    assert rig.leases == {lease.key: lease}
    node, pod = rig.told.told[-2:]
    assert node[0] == ""
    assert node[2].endswith(f"delete the pod shop/web ({lease.ipv4})")
    assert pod[:2] == ("shop/web", "ResourceInvalid")
    assert "eni-1 is not on this node any more" in pod[2]
