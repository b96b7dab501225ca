"""Two that want one thing: an address on two interfaces, a link's name of two pods."""

import asyncio
import dataclasses
import ipaddress

import pytest

from ipamd import model
from ipamd.attachments import attachment_errors
from ipamd.cni import cni_config
from ipamd.model import AddressState
from tests.unit.ipamd.test_attachments_pods import Rig, asked
from tests.unit.ipamd.test_pool_state import eni


def take_away_and_bring_elsewhere(rig, ipv4):
    """Somebody unassigns it, the comparison sees that, and the next call for eni-2 brings it."""
    rig.pool.state.enis["eni-1"].addresses[ipv4].state = AddressState.MISSING
    rig.pool.state.add_eni(eni(2, count=1))
    rig.pool.state.add_addresses("eni-2", (ipv4,), 0.0)


async def test_an_address_that_comes_to_another_interface_stays_with_its_pod():
    rig = Rig(count=1)
    lease = await rig.add("web", "c1")

    take_away_and_bring_elsewhere(rig, lease.ipv4)
    other = await rig.add("other", "c2")

    assert other.ipv4 != lease.ipv4
    assert rig.pool.state.find(lease.key)[1].state is AddressState.LEASED


async def test_a_pod_follows_its_address_to_the_other_interface():
    rig = Rig(count=1)
    lease = await rig.add("web", "c1")
    take_away_and_bring_elsewhere(rig, lease.ipv4)

    assert rig.interfaces.wiring(lease).eni.ifname == "eth2"
    await rig.upkeep.follow()

    assert rig.leases[lease.key].eni_id == "eni-2"
    assert rig.worker.stored[-1] == rig.leases[lease.key]
    assert rig.leases[lease.key].ipv4 == ipaddress.IPv4Address("10.0.1.1")


async def test_check_tells_of_an_address_that_the_cloud_took_away():
    rig = Rig()
    lease = await rig.add("web", "c1")
    told = cni_config.NetworkConfig(
        cni_version="1.0.0", name="net", previous={"ips": [{"address": f"{lease.ipv4}/32"}]}
    )

    async def nothing_differs(_):
        return []

    rig.worker.check = nothing_differs
    await rig.served.check(told, asked("web", "c1"))
    rig.pool.state.find(lease.key)[1].state = AddressState.MISSING

    with pytest.raises(attachment_errors.CheckFailed, match="taken away by somebody"):
        await rig.served.check(told, asked("web", "c1"))


CONFIG = cni_config.NetworkConfig(cni_version="1.0.0", name="net")


def of_interface(name, container, ifname):
    told = asked(name, container)
    return dataclasses.replace(told, key=dataclasses.replace(told.key, ifname=ifname))


# `shop.foo` with interface net1 is named from the same text as `shop.foonet1` with eth0.
SECOND = ("foo", "c2", "net1")


async def test_a_pod_whose_link_has_the_name_of_another_s_gets_another_name():
    rig = Rig()
    first = await rig.add("foonet1", "c1")

    second = (await rig.served.add(CONFIG, of_interface(*SECOND))).lease
    again = (await rig.served.add(CONFIG, of_interface(*SECOND))).lease

    assert second.host_ifname != first.host_ifname
    assert again.host_ifname == second.host_ifname
    assert rig.leases[first.key] == first


async def test_the_stock_executable_which_names_the_link_itself_is_refused():
    rig = Rig()
    first = await rig.add("foonet1", "c1")

    with pytest.raises(attachment_errors.LinkTaken, match="shop/foonet1 has on this node"):
        await rig.served.lease_only(of_interface(*SECOND))

    assert rig.leases == {first.key: first}
    assert rig.told.reasons[-1] == "AllocIPFailed"


async def test_two_such_pods_at_once_have_two_names():
    rig = Rig()
    both = [rig.add("foonet1", "c1"), rig.served.add(CONFIG, of_interface(*SECOND))]

    await asyncio.gather(*both)

    assert len({lease.host_ifname for lease in rig.leases.values()}) == 2


async def test_a_sandbox_whose_add_hangs_does_not_hold_up_the_next_one_of_its_pod():
    rig = Rig(count=1)
    await rig.add("first", "c0")  # no address is left, so the next two wait
    waiting = [asyncio.create_task(rig.add("web", container)) for container in ("c1", "c2")]
    while rig.pool.waiting < 2 and not any(each.done() for each in waiting):
        await asyncio.sleep(0)

    for each in waiting:
        each.cancel()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in ended] == [asyncio.CancelledError] * 2


@pytest.mark.parametrize("pod", [model.Pod(namespace="shop", name="web"), model.NO_POD])
async def test_a_new_sandbox_takes_its_own_pod_s_name_of_the_link(pod):
    rig = Rig()
    lease = await rig.add("web", "c1")
    rig.leases[lease.key] = dataclasses.replace(lease, pod=pod)  # as it was recovered

    again = await rig.add("web", "c2")

    assert again.host_ifname == lease.host_ifname
