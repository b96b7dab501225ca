import ipaddress

from ipamd import model
from ipamd.datapath import model as datapath_model
from ipamd.model import AddressState
from ipamd.pool import drift
from ipamd.recovery import recovery
from tests.unit.ipamd import test_pool_state as pools

A, B = ipaddress.IPv4Address("10.0.1.5"), ipaddress.IPv4Address("10.0.1.6")
ENI_OF = {A: "eni-1", B: "eni-1"}


def key(number):
    return model.AttachmentKey(network="net", container_id=f"c{number}", ifname="eth0")


def lease(number, ipv4, host_ifname="", netns="/gone"):
    return model.Lease(
        key=key(number),
        ipv4=ipv4,
        eni_id="eni-1",
        host_ifname=host_ifname or f"cali{number}",
        created_at=0.0,
        netns=netns,
    )


def host(*links, rules=(), routes=()):
    return datapath_model.HostState(
        links=tuple(
            datapath_model.HostLink(ifname=n, index=i, alias=a, up=True) for n, i, a in links
        ),
        rules=tuple(datapath_model.HostRule(priority=p, address=a, table=t) for p, a, t in rules),
        routes=tuple(datapath_model.HostRoute(address=a, index=i) for a, i in routes),
    )


def recover(stored, state, *, netns=(), eni_of=ENI_OF, tables=None):
    return recovery.recover(
        stored,
        state,
        eni_of,
        eni_by_table=tables or {},
        netns_exists=lambda path: path in netns,
        now_s=100.0,
    )


def test_a_lease_whose_link_is_there_goes_on():
    found = recover([lease(1, A)], host(("cali1", 7, "net/c1/eth0"), routes=[(A, 7)]))

    assert [each.key for each in found.leases] == [key(1)]
    assert found.ended == ()


def test_a_lease_without_link_is_kept_while_its_namespace_is_there():
    found = recover([lease(1, A, netns="/run/netns/x")], host(), netns={"/run/netns/x"})

    assert [each.key for each in found.leases] == [key(1)]


def test_a_lease_without_link_and_namespace_ends():
    found = recover([lease(1, A)], host())

    assert found.leases == ()
    assert [each.key for each in found.ended] == [key(1)]


def test_a_lost_database_is_rebuilt_from_the_marks_in_the_kernel():
    found = recover([], host(("cali9", 7, "net/c1/eth0"), routes=[(A, 7)]))

    assert [(each.key, each.ipv4, each.host_ifname) for each in found.leases] == [
        (key(1), A, "cali9")
    ]
    assert "10.0.1.5 is in use by net/c1/eth0" in found.notes[0]


def test_a_pod_of_a_stock_terway_keeps_its_address():
    found = recover([], host(("cali9", 7, ""), routes=[(A, 7)]))

    assert found.leases[0].key.network == model.ADOPTED
    assert found.leases[0].ipv4 == A
    assert found.leases[0].alias == ""


def test_a_link_of_another_plug_in_is_none_of_ours():
    other = ipaddress.IPv4Address("192.168.7.7")

    assert recover([], host(("cali9", 7, ""), routes=[(other, 7)])).leases == ()


def test_an_address_its_interface_has_lost_is_found_by_the_table():
    lost = ipaddress.IPv4Address("10.0.1.77")
    state = host(("cali9", 7, "net/c1/eth0"), routes=[(lost, 7)], rules=[(2048, lost, 1003)])

    found = recover([], state, tables={1003: "eni-1"})

    assert [(each.ipv4, each.eni_id) for each in found.leases] == [(lost, "eni-1")]


def test_the_kernel_is_right_about_who_uses_an_address():
    state = host(("cali2", 7, "net/c2/eth0"), routes=[(A, 7)])

    found = recover([lease(1, A, netns="/here")], state, netns={"/here"})

    assert [each.key for each in found.leases] == [key(2)]
    assert [each.key for each in found.ended] == [key(1)]


def test_only_rules_and_links_that_nobody_explains_are_stale():
    mine = lease(1, A)
    state = host(
        ("cali1", 7, "net/c1/eth0"),
        ("cali8", 8, "net/c8/eth0"),
        ("cali9", 9, ""),
        rules=[(512, A, 254), (512, B, 254), (2048, B, 1003)],
        routes=[(A, 7)],
    )

    stale = recovery.find_stale(state, [mine], frozenset({A, B}))

    assert [link.ifname for link in stale.links] == ["cali8"]
    assert {(rule.priority, rule.address) for rule in stale.rules} == {(512, B), (2048, B)}


def test_a_rule_of_an_address_that_is_not_ours_stays():
    state = host(rules=[(512, ipaddress.IPv4Address("192.168.7.7"), 254)])

    assert recovery.find_stale(state, [], frozenset({A})).rules == ()


def test_an_address_that_vanished_is_believed_at_the_second_look():
    eni = pools.eni(1)
    listed = [a for a in eni.addresses if str(a) != "10.0.1.3"]
    compare = drift.Compare()

    compare.addresses(eni, listed, 1.0)
    assert len(eni.addresses) == 3
    compare.addresses(eni, listed, 2.0)

    assert list(eni.addresses) == listed


def test_a_leased_address_that_vanished_is_told_and_never_given_again():
    state = pools.pool_of(pools.eni(1, count=1))
    _, address = state.allocate(key(1), 0.0)
    compare = drift.Compare()

    compare.addresses(state.enis["eni-1"], [], 1.0)
    found = compare.addresses(state.enis["eni-1"], [], 2.0)

    assert address.state is AddressState.MISSING
    assert found.taken == [address]
    assert state.release(key(1), 3.0) is not None
    assert state.enis["eni-1"].addresses == {}


def test_an_unknown_address_is_taken_up_at_the_second_look():
    eni = pools.eni(1, count=1)
    listed = [*eni.addresses, A]
    compare = drift.Compare()

    compare.addresses(eni, listed, 1.0)
    assert A not in eni.addresses
    compare.addresses(eni, listed, 2.0)

    assert eni.addresses[A].state is AddressState.WARM


def test_an_address_that_was_not_given_back_is_kept_and_rests():
    eni = pools.eni(1, count=1)
    (address,) = eni.addresses.values()
    address.state = AddressState.RELEASING

    compare = drift.Compare()
    compare.addresses(eni, list(eni.addresses), 4.0)
    assert address.state is AddressState.RELEASING
    compare.addresses(eni, list(eni.addresses), 5.0)

    assert (address.state, address.since_s) == (AddressState.COOLING, 5.0)


def test_looks_count_only_in_a_row():
    eni = pools.eni(1, count=1)
    compare = drift.Compare()

    compare.addresses(eni, [*eni.addresses, A], 1.0)
    compare.addresses(eni, list(eni.addresses), 2.0)
    compare.addresses(eni, [*eni.addresses, A], 3.0)

    assert A not in eni.addresses


def test_a_dual_stack_pod_of_a_stock_terway_keeps_its_ipv4_address():
    state = host(("cali9", 7, ""), routes=[(A, 7), (ipaddress.IPv6Address("fd00::5"), 7)])

    assert [each.ipv4 for each in recover([], state).leases] == [A]


def test_the_lease_of_an_earlier_sandbox_ends_though_a_later_one_has_its_link_s_name():
    state = host(("cali1", 7, "net/c2/eth0"), routes=[(B, 7)])

    found = recover([lease(1, A, "cali1"), lease(2, B, "cali1")], state)

    assert [each.key for each in found.leases] == [key(2)]
    assert [each.key for each in found.ended] == [key(1)]


def test_a_later_sandbox_that_is_not_stored_is_taken_up_though_its_link_s_name_is():
    state = host(("cali1", 7, "net/c2/eth0"), routes=[(B, 7)])

    found = recover([lease(1, A, "cali1", netns="/here")], state, netns={"/here"})

    assert {each.key for each in found.leases} == {key(1), key(2)}
