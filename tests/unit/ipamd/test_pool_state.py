import ipaddress

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core import errors
from ipamd import model
from ipamd.datapath import model as datapath_model
from ipamd.model import AddressState
from ipamd.pool import pool_state

COOL_S = 30.0


def key(number):
    return model.AttachmentKey(network="net", container_id=f"c{number}", ifname="eth0")


def eni(number, count=3, now_s=0.0):
    addresses = [ipaddress.IPv4Address(f"10.0.{number}.{n + 1}") for n in range(count)]
    return model.PoolEni(
        eni_id=f"eni-{number}",
        mac=f"00:16:3e:00:00:{number:02x}",
        vswitch_id="vsw-1",
        gateway=ipaddress.IPv4Address(f"10.0.{number}.253"),
        primary=addresses[0],
        created_at=now_s,
        link=datapath_model.EniLink(mac="", ifname=f"eth{number}", index=number, table=1000),
        addresses={
            a: model.Address(ipv4=a, state=AddressState.WARM, since_s=now_s) for a in addresses
        },
    )


def kept_for(number):
    holder = model.Holder(namespace="default", name=f"web-{number}", ifname="eth0")
    return model.Kept(holder=holder, keep_s=60.0)


def pool_of(*enis):
    state = pool_state.PoolState(cool_down_s=COOL_S)
    for each in enis:
        state.add_eni(each)
    return state


def test_the_address_that_was_idle_longest_is_given_first():
    state = pool_of(eni(1), eni(2))
    state.enis["eni-2"].addresses[ipaddress.IPv4Address("10.0.2.2")].since_s = -5.0

    _, address = state.allocate(key(1), 100.0)

    assert str(address.ipv4) == "10.0.2.2"


def test_an_address_that_the_metadata_service_lacks_is_given_last():
    state = pool_of(eni(1, count=2))
    doubted, listed = state.enis["eni-1"].addresses.values()
    doubted.since_s, doubted.unseen = -99.0, 1

    given = [state.allocate(key(number), 100.0)[1] for number in (1, 2)]

    assert given == [listed, doubted]


def test_the_end_of_an_older_keeping_leaves_the_newer_one():
    state = pool_of(eni(1, count=2))
    holder, older = kept_for(1).holder, kept_for(1)
    for number, kept in ((1, older), (2, model.Kept(holder=holder, keep_s=500.0))):
        state.allocate(key(number), 0.0)
        state.release(key(number), 0.0, kept)

    state.warm_up(100.0)

    assert state.take_kept(holder, key(3), 100.0)[1].ipv4 == ipaddress.IPv4Address("10.0.1.2")


@pytest.mark.parametrize(("doubt", "unseen"), [(AddressState.RELEASING, 0), (AddressState.WARM, 1)])
def test_an_interface_that_loses_an_address_takes_it_from_none_that_has_it(doubt, unseen):
    state = pool_of(eni(1, count=1), eni(2, count=1))
    _, leased = state.allocate(key(1), 0.0)
    losing = state.enis["eni-2"]
    losing.addresses[leased.ipv4] = model.Address(
        ipv4=leased.ipv4, state=doubt, since_s=0.0, unseen=unseen
    )

    state.take_over(losing)
    assert state.find(key(1))[0].eni_id == "eni-1"
    losing.addresses.pop(leased.ipv4)  # the call that gives it back ends

    assert state.find(key(1)) == (state.enis["eni-1"], leased)


def test_an_interface_that_comes_with_an_address_it_gives_back_takes_it_from_none():
    state = pool_of(eni(1, count=1))
    _, leased = state.allocate(key(1), 0.0)
    coming = eni(2, count=1)
    coming.addresses[leased.ipv4] = model.Address(
        ipv4=leased.ipv4, state=AddressState.RELEASING, since_s=0.0
    )

    state.add_eni(coming)

    assert state.find(key(1))[0].eni_id == "eni-1"


def test_the_same_attachment_gets_the_same_address_again():
    state = pool_of(eni(1))

    first = state.allocate(key(1), 0.0)

    assert state.allocate(key(1), 50.0) == first


def test_a_released_address_rests_before_it_is_given_again():
    state = pool_of(eni(1, count=1))
    state.allocate(key(1), 0.0)
    state.release(key(1), 10.0)

    assert state.allocate(key(2), 10.0 + COOL_S - 0.1) is None
    assert state.allocate(key(2), 10.0 + COOL_S) is not None


def test_a_clock_that_goes_back_does_not_cool_for_ever():
    state = pool_of(eni(1, count=1))
    state.allocate(key(1), 1_000_000.0)
    state.release(key(1), 1_000_000.0)

    assert state.allocate(key(2), 100.0) is None
    assert state.allocate(key(2), 100.0 + COOL_S) is not None


def test_an_interface_without_link_gives_no_address():
    absent = eni(1)
    absent.link = None

    assert pool_of(absent).allocate(key(1), 0.0) is None


def test_a_restored_lease_keeps_an_address_the_interface_has_lost():
    state = pool_of(eni(1, count=1))
    lost = ipaddress.IPv4Address("10.0.1.99")

    state.restore(key(1), lost, "eni-1", 0.0)

    assert state.find(key(1))[1].state is AddressState.MISSING
    assert state.release(key(1), 1.0) == lost
    assert lost not in state.enis["eni-1"].addresses


def test_restoring_the_address_of_another_is_refused():
    state = pool_of(eni(1, count=1))
    state.restore(key(1), ipaddress.IPv4Address("10.0.1.1"), "eni-1", 0.0)

    with pytest.raises(errors.Exists, match=r"10\.0\.1\.1 belongs to net/c1/eth0"):
        state.restore(key(2), ipaddress.IPv4Address("10.0.1.1"), "eni-1", 0.0)


WEB = model.Kept(
    holder=model.Holder(namespace="default", name="web-0", ifname="eth0"), keep_s=300.0
)


def test_a_kept_address_goes_to_the_successor_only():
    state = pool_of(eni(1, count=1))
    _, address = state.allocate(key(1), 0.0)
    state.release(key(1), 10.0, WEB)

    assert state.allocate(key(2), 200.0) is None
    other = model.Holder(namespace="default", name="web-1", ifname="eth0")
    assert state.take_kept(other, key(2), 200.0) is None
    _, again, kept = state.take_kept(WEB.holder, key(3), 200.0)

    assert (again.ipv4, kept) == (address.ipv4, WEB)
    assert state.find(key(3)) is not None
    assert state.take_kept(WEB.holder, key(4), 200.0) is None


def test_a_kept_address_is_free_when_its_time_is_up():
    state = pool_of(eni(1, count=1))
    state.allocate(key(1), 0.0)
    state.release(key(1), 10.0, WEB)

    assert state.next_warm_s(10.0) == 300.0
    assert state.allocate(key(2), 309.0) is None
    state.warm_up(310.0)

    assert state.take_kept(WEB.holder, key(3), 310.0) is None
    assert state.allocate(key(2), 310.0) is not None


def test_a_clock_that_goes_back_does_not_keep_for_ever():
    state = pool_of(eni(1, count=1))
    state.allocate(key(1), 1_000_000.0)
    state.release(key(1), 1_000_000.0, WEB)

    state.warm_up(100.0)
    state.warm_up(400.0)

    assert state.count(AddressState.WARM) == 1


def test_keeping_goes_on_after_a_restart_but_not_for_an_address_in_use():
    state = pool_of(eni(1, count=2))
    first, second = (a.ipv4 for _, a in state.addresses())
    state.restore(key(1), first, "eni-1", 0.0)

    state.keep(first, WEB, 10.0, 20.0)
    assert state.take_kept(WEB.holder, key(2), 20.0) is None
    state.keep(second, WEB, 10.0, 20.0)

    assert state.take_kept(WEB.holder, key(2), 20.0)[1].ipv4 == second


def test_a_kept_address_whose_interface_is_gone_is_not_given():
    state = pool_of(eni(1, count=1))
    state.allocate(key(1), 0.0)
    state.release(key(1), 10.0, WEB)
    state.enis["eni-1"].link = None
    assert state.take_kept(WEB.holder, key(2), 20.0) is None

    state.remove_eni("eni-1")

    assert state.take_kept(WEB.holder, key(2), 20.0) is None


class PoolMachine(RuleBasedStateMachine):
    """Any sequence of events, against the rules of `pool_state`."""

    def __init__(self):
        super().__init__()
        self.state = pool_state.PoolState(cool_down_s=COOL_S)
        self.now_s = 1000.0
        self.number = 0
        self.given = {}
        self.released_at = {}
        self.kept = {}

    @rule(count=st.integers(1, 4))
    def an_interface_comes(self, count):
        if self.number < 5:
            self.number += 1
            self.state.add_eni(eni(self.number, count, self.now_s))

    @rule(pick=st.integers(0, 30), to=st.integers(0, 4))
    def the_cloud_moves_an_address(self, pick, to):
        """Somebody takes it away, and the next call for an interface brings it again."""
        there = [(e.eni_id, a.ipv4) for e, a in self.state.addresses()]
        ids = sorted(self.state.enis)
        if ids:
            _, ipv4 = there[pick % len(there)] if there else (None, None)
            if ipv4 is not None:
                self.state.add_addresses(ids[to % len(ids)], (ipv4,), self.now_s)

    @rule(pick=st.integers(0, 4))
    def an_interface_goes(self, pick):
        ids = sorted(self.state.enis)
        if ids:
            gone = self.state.remove_eni(ids[pick % len(ids)])
            for address in gone.addresses.values():
                self.given = {k: v for k, v in self.given.items() if v != address.ipv4}
                self.released_at.pop(address.ipv4, None)
                self.kept = {h: k for h, k in self.kept.items() if k[0] != address.ipv4}

    @rule(number=st.integers(0, 9))
    def a_pod_asks(self, number):
        found = self.state.allocate(key(number), self.now_s)
        if found is None:
            return
        ipv4 = found[1].ipv4
        if key(number) in self.given:
            assert self.given[key(number)] == ipv4
        else:
            assert ipv4 not in self.given.values()
            assert self.now_s - self.released_at.get(ipv4, -1e9) >= COOL_S
            keeping = {k[0] for k in self.kept.values() if self.now_s < k[1]}
            assert ipv4 not in keeping
        self.given[key(number)] = ipv4

    @rule(number=st.integers(0, 9))
    def a_pod_goes(self, number):
        ipv4 = self.state.release(key(number), self.now_s)
        assert ipv4 == self.given.pop(key(number), None)
        if ipv4 is not None:
            self.released_at[ipv4] = self.now_s

    @rule(number=st.integers(0, 9), name=st.integers(0, 3))
    def a_stateful_pod_goes(self, number, name):
        kept = kept_for(name)
        ipv4 = self.state.release(key(number), self.now_s, kept)
        assert ipv4 == self.given.pop(key(number), None)
        if ipv4 is not None:
            self.released_at[ipv4] = self.now_s
            self.kept[kept.holder] = (ipv4, self.now_s + kept.keep_s)

    @rule(number=st.integers(0, 9), name=st.integers(0, 3))
    def a_stateful_pod_comes(self, number, name):
        holder = kept_for(name).holder
        self.state.warm_up(self.now_s)
        found = self.state.take_kept(holder, key(number), self.now_s)
        if key(number) in self.given:
            assert found is None
            return
        ipv4, until_s = self.kept.pop(holder, (None, 0.0))
        assert (found is not None) == (ipv4 is not None and self.now_s < until_s)
        if found is not None:
            assert found[1].ipv4 == ipv4
            self.given[key(number)] = ipv4

    @rule(seconds=st.floats(0, 40))
    def time_passes(self, seconds):
        self.now_s += seconds

    @invariant()
    def each_lease_has_one_address_and_each_address_one_lease(self):
        leased = {a.key: a.ipv4 for _, a in self.state.addresses() if a.key is not None}
        assert leased == self.given

    @invariant()
    def no_address_is_on_two_interfaces(self):
        all_of_them = [a.ipv4 for _, a in self.state.addresses()]
        assert len(all_of_them) == len(set(all_of_them))

    @invariant()
    def a_lease_is_found_where_its_address_is(self):
        for number in range(10):
            found = self.state.find(key(number))
            if found is not None:
                assert found[0].addresses[found[1].ipv4] is found[1]
                assert found[1].key == key(number)

    @invariant()
    def a_leased_address_is_marked_so_and_no_other(self):
        for _, address in self.state.addresses():
            held = address.state in (AddressState.LEASED, AddressState.MISSING)
            assert held == (address.key is not None)


TestPoolMachine = PoolMachine.TestCase
