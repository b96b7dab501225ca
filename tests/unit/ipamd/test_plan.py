import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipamd import model
from ipamd.datapath import model as datapath_model
from ipamd.model import AddressState, EniState
from ipamd.pool import limits, plan

OLD_S = 1000.0


def targets(**changes):
    values = {"max_enis": 3, "addresses_per_eni": 10, "min_free": 2, "max_free": 5, **changes}
    return limits.Targets(**values)


def eni(number, *, warm=0, leased=0, cooling=0, busy=False, assigning=0, vswitch_id="vsw-1"):
    states = (
        [AddressState.WARM] * warm
        + [AddressState.LEASED] * leased
        + [AddressState.COOLING] * cooling
    )
    addresses = {}
    for n, state in enumerate(states):
        ipv4 = ipaddress.IPv4Address(f"10.0.{number}.{n + 1}")
        key = model.AttachmentKey(network="n", container_id=str(n), ifname="e")
        addresses[ipv4] = model.Address(
            ipv4=ipv4, state=state, since_s=n, key=key if state is AddressState.LEASED else None
        )
    return model.PoolEni(
        eni_id=f"eni-{number}",
        mac="",
        vswitch_id=vswitch_id,
        gateway=ipaddress.IPv4Address("10.0.0.253"),
        primary=ipaddress.IPv4Address(f"10.0.{number}.1"),
        created_at=0.0,
        link=datapath_model.EniLink(mac="", ifname="", index=1, table=1001),
        addresses=addresses,
        busy=busy,
        assigning=assigning,
    )


def grow(enis, waiting=0, creating=(), **changes):
    return plan.plan_growth(
        enis, plan.Demand(waiting=waiting, creating=creating), targets(**changes)
    )


def shrink(enis, waiting=0, now_s=OLD_S, **changes):
    return plan.plan_shrink(enis, plan.Demand(waiting=waiting), targets(**changes), now_s=now_s)


def test_a_node_without_interfaces_gets_one_with_the_free_minimum():
    assert grow([]) == [plan.CreateEni(count=2)]


def test_who_waits_is_added_to_the_free_minimum():
    assert grow([eni(1, warm=0, leased=3)], waiting=4) == [plan.Assign(eni_id="eni-1", count=6)]


def test_a_burst_is_one_call_for_each_interface_that_is_needed():
    actions = grow([eni(1, leased=1)], waiting=25)

    assert actions == [
        plan.Assign(eni_id="eni-1", count=9),
        plan.CreateEni(count=10),
        plan.CreateEni(count=8),
    ]


def test_what_is_on_its_way_is_not_asked_for_again():
    assert grow([eni(1, warm=1, busy=True, assigning=1)]) == []
    assert grow([], creating=(2,)) == []


def test_an_interface_at_work_is_waited_for_before_another_is_made():
    assert grow([eni(1, leased=3, busy=True, assigning=2)], waiting=5) == []
    assert grow([], waiting=8, creating=(1,)) == []
    assert grow([], waiting=12, creating=(1,)) == [plan.CreateEni(count=4)]


def test_cooling_addresses_are_no_free_ones_but_count_for_the_capacity():
    full = eni(1, leased=5, cooling=5)

    assert grow([full], waiting=1, max_enis=1) == []
    assert grow([eni(1, leased=5, cooling=3)], waiting=1) == [
        plan.Assign(eni_id="eni-1", count=2),
        plan.CreateEni(count=1),
    ]


def test_nothing_is_asked_beyond_the_capacity():
    enis = [eni(n, leased=10) for n in (1, 2, 3)]

    assert grow(enis, waiting=50) == []


def test_an_interface_in_a_dry_vswitch_is_left_alone():
    actions = plan.plan_growth(
        [eni(1, leased=1)],
        plan.Demand(waiting=1),
        targets(),
        dry_vswitch_ids={"vsw-1"},
    )

    assert actions == [plan.CreateEni(count=3)]


def test_the_minimum_total_is_held_however_few_pods_there_are():
    assert grow([eni(1, warm=5)], minimum_total=9) == [plan.Assign(eni_id="eni-1", count=4)]


@pytest.mark.parametrize(("pack", "first"), [(True, "eni-2"), (False, "eni-1")])
def test_the_policy_says_which_interface_grows_first(pack, first):
    enis = [eni(1, leased=1), eni(2, leased=4)]

    actions = plan.plan_growth(enis, plan.Demand(waiting=1), targets(), pack=pack)

    assert actions[0].eni_id == first


def test_too_many_free_addresses_are_given_back_but_never_the_primary_one():
    actions = shrink([eni(1, warm=8, leased=1)])

    assert len(actions) == 1
    assert len(actions[0].addresses) == 3
    assert ipaddress.IPv4Address("10.0.1.1") not in actions[0].addresses


def test_an_idle_interface_is_deleted_as_a_whole():
    assert shrink([eni(1, leased=5), eni(2, warm=9)], max_free=0) == [
        plan.DeleteEni(eni_id="eni-2")
    ]


def test_an_interface_that_others_made_is_never_given_back():
    theirs = eni(1, warm=9)
    theirs.ours = False

    assert shrink([theirs], max_free=0) == []


def test_a_young_interface_is_not_deleted():
    assert not any(
        isinstance(action, plan.DeleteEni) for action in shrink([eni(1, warm=9)], now_s=30.0)
    )


def test_an_interface_with_a_cooling_address_is_not_deleted():
    assert not any(
        isinstance(action, plan.DeleteEni)
        for action in shrink([eni(1, warm=8, cooling=1)], max_free=0)
    )


def test_what_an_interface_without_a_link_has_is_neither_free_nor_given_back():
    lost, good = eni(1, warm=6, leased=2), eni(2, warm=3)
    lost.link = None

    assert shrink([lost, good], min_free=3) == []
    assert shrink([lost, eni(2, leased=1, warm=7)], min_free=3)[0].eni_id == "eni-2"


def test_nothing_shrinks_while_anybody_waits():
    assert shrink([eni(1, warm=9)], waiting=1) == []


counts = st.integers(0, 3)  # of each kind, so that no interface is fuller than it can be
some_enis = st.lists(st.tuples(counts, counts, counts, st.booleans()), max_size=3).map(
    lambda rows: [
        eni(n, warm=w, leased=k, cooling=c, busy=b) for n, (w, k, c, b) in enumerate(rows)
    ]
)


@given(some_enis, st.integers(0, 60), st.integers(0, 8), st.integers(0, 8))
def test_growth_never_passes_a_limit_and_shrinking_never_takes_what_is_used(
    enis, waiting, min_free, extra
):
    goals = targets(min_free=min_free, max_free=min_free + extra)
    demand = plan.Demand(waiting=waiting)

    grown = plan.plan_growth(enis, demand, goals)
    shrunk = plan.plan_shrink(enis, demand, goals, now_s=OLD_S)

    total = sum(len(e.addresses) for e in enis) + sum(a.count for a in grown)
    assert total <= max(goals.capacity, sum(len(e.addresses) for e in enis))
    created = sum(isinstance(a, plan.CreateEni) for a in grown)
    assert len(enis) + created <= max(goals.max_enis, len(enis))
    by_id = {e.eni_id: e for e in enis}
    for action in grown:
        if isinstance(action, plan.Assign):
            assert len(by_id[action.eni_id].addresses) + action.count <= goals.addresses_per_eni
    given_back = 0
    for action in shrunk:
        owner = by_id[action.eni_id]
        assert not owner.busy
        assert owner.state is EniState.IN_USE
        if isinstance(action, plan.DeleteEni):
            assert owner.count(AddressState.WARM) == len(owner.addresses)
            given_back += len(owner.addresses)
        else:
            states = {owner.addresses[ipv4].state for ipv4 in action.addresses}
            assert states <= {AddressState.WARM}
            assert owner.primary not in action.addresses
            given_back += len(action.addresses)
    warm = sum(e.count(AddressState.WARM) for e in enis)
    if shrunk:
        assert warm - given_back >= goals.max_free
