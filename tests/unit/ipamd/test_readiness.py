import pytest

from core import errors
from ipamd import model, readiness
from ipamd.cni import cni_error
from ipamd.pool import limits, pool_state
from ipamd.readiness import Phase
from tests.unit.ipamd.test_pool_state import eni, kept_for, key

TWO = limits.Targets(max_enis=1, addresses_per_eni=2, min_free=0, max_free=0)


class FakePool:
    def __init__(self, *enis, blocked=""):
        self.state = pool_state.PoolState(cool_down_s=30.0)
        self.targets = TWO
        self.growth_blocked = blocked
        for each in enis:
            self.state.add_eni(each)


def ready_with(pool):
    ready = readiness.Readiness(pool)
    ready.phase = Phase.READY
    return ready


def refusal(ready):
    with pytest.raises(cni_error.CniError) as caught:
        ready.require_addresses()
    assert caught.value.code == cni_error.NOT_AVAILABLE
    return str(caught.value)


def test_a_node_that_is_full_is_ready_for_its_runtime():
    pool = FakePool(eni(1, count=2), blocked="the vSwitch is dry")
    for number in (1, 2):
        pool.state.allocate(key(number), 0.0)

    ready = ready_with(pool)
    ready.require_addresses()
    assert ready.shortage() == "the vSwitch is dry"


def test_an_address_that_rests_is_one():
    pool = FakePool(eni(1, count=1), blocked="the vSwitch is dry")
    pool.state.allocate(key(1), 0.0)
    pool.state.release(key(1), 1.0)

    ready_with(pool).require_addresses()


def test_a_node_without_any_address_is_not_ready_once_the_cloud_refuses():
    assert "Forbidden" in refusal(ready_with(FakePool(blocked="Forbidden.RAM")))


def test_a_node_whose_addresses_all_wait_for_their_pods_is_ready_for_those():
    pool = FakePool(eni(1, count=2))
    for number in (1, 2):
        pool.state.allocate(key(number), 0.0)
        pool.state.release(key(number), 1.0, kept_for(number))

    ready = ready_with(pool)
    ready.require_addresses()
    assert "none of the 2 addresses" in ready.shortage()


def test_an_address_of_an_interface_without_a_link_is_no_free_one():
    lost = eni(1, count=2)
    lost.link = None

    ready = ready_with(FakePool(lost, blocked="the vSwitch is dry"))

    assert ready.shortage() == "the vSwitch is dry"
    ready.require_addresses()  # its link may come: no reason to evict pods


def test_an_interface_that_somebody_took_away_leaves_its_place_to_another():
    pool = FakePool(eni(1, count=2))
    (taken,) = pool.state.enis.values()
    taken.state, taken.link = model.EniState.DRAINING, None
    for address in taken.addresses.values():
        address.state = model.AddressState.MISSING

    ready_with(pool).require_addresses()


def test_a_node_that_can_still_grow_is_ready():
    ready_with(FakePool()).require_addresses()


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.RECOVERED, Phase.DRAINING])
def test_a_daemon_that_does_not_serve_is_not_ready(phase):
    ready = readiness.Readiness(FakePool(eni(1)))
    ready.phase = phase

    assert "ipamd is" in refusal(ready)
    with pytest.raises(errors.Unavailable):
        ready.require_serving()


def test_a_daemon_that_cannot_start_says_what_it_waits_for():
    ready = readiness.Readiness(FakePool())
    ready.waits_for = "Forbidden.RAM: DescribeNetworkInterfaces"

    assert "ipamd is starting: Forbidden.RAM: DescribeNetworkInterfaces; retry" in refusal(ready)
    with pytest.raises(errors.Unavailable, match="starting: Forbidden"):
        ready.require_recovered()
