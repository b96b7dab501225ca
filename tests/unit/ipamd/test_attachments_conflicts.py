"""Two that want one thing: an address on two interfaces, a link's name of two pods."""

import ipaddress

from ipamd.model import AddressState
from tests.unit.ipamd.test_attachments_pods import Rig
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

    assert rig.served.wiring(lease).eni.ifname == "eth2"
    await rig.served.follow()

    assert rig.served.leases[lease.key].eni_id == "eni-2"
    assert rig.worker.stored[-1] == rig.served.leases[lease.key]
    assert rig.served.leases[lease.key].ipv4 == ipaddress.IPv4Address("10.0.1.1")
