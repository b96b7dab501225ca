"""Interfaces that the kernel loses, has again under another index, or refuses to make ready."""

import asyncio
import dataclasses
import ipaddress
import pathlib

import pytest

from cloud import eni_model, imds_network
from core import errors
from ipamd import eni_conf, eni_upkeep, janitor, model
from ipamd.cni import pending_dels
from ipamd.datapath import model as datapath_model
from ipamd.model import AddressState, EniState
from ipamd.pool import limits, plan
from ipamd.recovery import startup
from tests.unit.ipamd.test_attachments_pods import Rig, nothing
from tests.unit.ipamd.test_pool import Told
from tests.unit.ipamd.test_pool_state import eni

ONE, TWO, THREE = (f"00:16:3e:00:00:0{n}" for n in (1, 2, 3))


def link(index, mac=ONE):
    return datapath_model.EniLink(mac=mac, ifname="eth1", index=index, table=1000 + index)


class Kernel:
    """links: by MAC, or what it refuses with."""

    def __init__(self, links):
        self.links = links
        self.also = {}
        self.listed = None  # as links

    async def prepare_eni(self, eni):
        found = self.links.get(eni.mac)
        if isinstance(found, Exception):
            raise found
        return found

    async def read_addresses(self, mac):
        return ()

    async def read_host_state(self):
        return datapath_model.HostState(links=(), rules=(), routes=())

    async def read_primary_mac(self):
        return "00:16:3e:00:00:00"

    async def read_macs(self):
        return tuple(self.links) if self.listed is None else self.listed

    async def read_interface(self, mac):
        number = int(mac[-1])
        return imds_network.Interface(
            mac=mac,
            eni_id=f"eni-{number}",
            vswitch_id="vsw-1",
            cidr_block=None,
            gateway=ipaddress.IPv4Address(f"10.0.{number}.253"),
            ipv4=(ipaddress.IPv4Address(f"10.0.{number}.1"), *self.also.get(mac, ())),
        )


class Making:
    def is_making(self, eni_id):
        return False


class NothingLeft:
    orphans = ()

    async def sweep(self):
        return 0


def interfaces(rig, kernel, managed=nothing):
    return eni_upkeep.EniUpkeep(
        rig.pool,
        rig.leases,
        kernel,
        Making(),
        time=rig.time,
        tell=rig.told,
        managed=managed,
        changed=nothing,
    )


def rounds(rig, upkeep):
    return janitor.Janitor(
        addresses=rig.pool,
        held=rig.leases,
        served=rig.served,
        lease_upkeep=rig.upkeep,
        interface_upkeep=upkeep,
        left_behind=NothingLeft(),
        worker=upkeep._worker,
        time=rig.time,
        tell=rig.told,
        period_s=60.0,
        pending=pending_dels.PendingDels(pathlib.Path("/nonexistent"), None, rig.time),
    )


async def test_an_interface_that_was_plugged_in_again_is_used_by_its_new_index():
    rig = Rig()
    lease = await rig.add("web", "c1")

    await interfaces(rig, Kernel({ONE: link(77)})).prepare()

    assert rig.interfaces.wiring(lease).eni.table == 1077


async def test_links_that_come_late_after_a_boot_are_used_within_seconds():
    rig = Rig()
    one = rig.pool.state.enis["eni-1"]
    one.link = None
    kernel = Kernel({})
    task = asyncio.create_task(rounds(rig, interfaces(rig, kernel)).run())
    await rig.time.advance(6)
    kernel.links[ONE] = link(7)
    assert one.link is None

    await rig.time.advance(5)

    assert one.link == link(7)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_link_that_never_comes_does_not_put_the_first_round_off():
    rig = Rig()
    rig.pool.state.enis["eni-1"].link = None
    started = []
    made = rounds(rig, interfaces(rig, Kernel({})))

    async def note(*, sweep):
        started.append((rig.time.monotonic_s(), sweep))

    made.round = note
    begin_s = rig.time.monotonic_s()
    task = asyncio.create_task(made.run())
    await rig.time.advance(121)

    assert [(at_s - begin_s, sweep) for at_s, sweep in started] == [(60.0, True), (120.0, False)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_interface_that_keeps_its_mtu_is_used_and_told_of_once():
    rig = Rig()
    kept = dataclasses.replace(link(1), kept_mtu=1500)
    made = interfaces(rig, Kernel({ONE: kept}))

    await made.prepare()
    await made.prepare()

    assert rig.pool.state.enis["eni-1"].link is not None
    assert rig.told.reasons == ["ResourceInvalid"]


async def test_no_address_of_an_interface_that_the_kernel_lost_is_given_out():
    rig = Rig()

    await interfaces(rig, Kernel({})).prepare()

    assert rig.pool.state.allocate(model.AttachmentKey.parse("net/c1/eth0"), 1e9) is None
    assert rig.told.reasons == ["ResourceInvalid"]


async def test_an_interface_that_cannot_be_made_ready_keeps_no_other_from_it():
    rig = Rig()
    rig.pool.state.add_eni(eni(2))
    kernel = Kernel({ONE: errors.Internal("mtu: invalid"), TWO: link(99, TWO)})

    await interfaces(rig, kernel).prepare()

    assert rig.pool.state.enis["eni-2"].link == link(99, TWO)
    assert rig.pool.state.enis["eni-1"].link.index == 1  # as it was


async def test_an_unlisted_interface_that_cannot_be_made_ready_stays_and_holds_up_no_other():
    rig = Rig()
    rig.pool.state.add_eni(eni(2))
    kernel = Kernel({ONE: errors.Internal("no"), TWO: None, THREE: link(9, THREE)})
    kernel.listed = (THREE,)

    async def managed():
        return {"eni-3": True}

    made = interfaces(rig, kernel, managed)
    for _ in range(2):
        await made.compare()

    assert sorted(rig.pool.state.enis) == ["eni-1", "eni-3"]


async def test_pods_of_an_interface_that_somebody_detached_are_told_with_the_node():
    rig = Rig()
    for name in ("web", "db"):
        await rig.add(name, f"c-{name}")
    kernel = Kernel({ONE: None})
    kernel.listed = ()
    made, before = interfaces(rig, kernel), len(rig.told.told)

    for _ in range(4):
        await made.compare()

    why = (
        "interface eni-1 was removed from this node by somebody else: attach it again, or delete "
        "the pod"
    )
    assert rig.told.told[before:] == [
        ("", "ResourceInvalid", f"{why}; pods without network, 2: shop/web, shop/db"),
        ("shop/web", "ResourceInvalid", f"no network: {why}"),
        ("shop/db", "ResourceInvalid", f"no network: {why}"),
    ]


async def test_a_pod_whose_address_somebody_took_is_told_with_the_node():
    rig = Rig()
    lease = await rig.add("web", "c1")
    kernel = Kernel({ONE: link(1)})

    async def others(mac):
        return [ipv4 for ipv4 in rig.pool.state.enis["eni-1"].addresses if ipv4 != lease.ipv4]

    kernel.read_addresses = others
    made, before = interfaces(rig, kernel), len(rig.told.told)

    for _ in range(3):
        await made.compare()

    node, pod = rig.told.told[before:]
    assert node[:2] == ("", "ResourceInvalid")
    assert node[2].startswith(f"{lease.ipv4} is no longer on eni-1: ")
    assert node[2].endswith("; pods without network, 1: shop/web")
    assert pod[:2] == ("shop/web", "ResourceInvalid")


async def test_an_add_that_finds_the_interface_gone_is_the_last_one_to_be_given_to_it():
    rig = Rig()
    rig.worker.fault = datapath_model.EniGone(link(1))

    with pytest.raises(errors.Unavailable, match="is not on this node any more"):
        await rig.add("web", "c1")

    assert rig.pool.state.enis["eni-1"].link is None
    assert rig.leases == {}


async def test_an_interface_whose_making_was_not_answered_is_ours_to_give_back_once_known():
    rig, told = Rig(), {}
    kernel = Kernel({ONE: link(1), TWO: link(99, TWO)})

    async def managed():
        return dict(told)

    made = interfaces(rig, kernel, managed)
    await made.compare()
    told["eni-2"] = True  # the cloud is late with it
    await made.compare()
    assert "eni-2" not in rig.pool.state.enis

    await rounds(rig, made).round(sweep=True)

    assert rig.pool.state.enis["eni-2"].ours


async def test_interfaces_of_a_start_without_the_cloud_are_ours_to_give_back_once_it_tells():
    kernel, rig = Kernel({ONE: link(1), TWO: link(99, TWO)}), Rig()
    rig.pool.state.clear()
    for each in (await find(kernel))[0]:
        rig.pool.state.add_eni(each)
    asked = []

    async def managed():
        asked.append(1)
        return {"eni-1": True, "eni-2": False}

    made = rounds(rig, interfaces(rig, kernel, managed))
    assert [each.ours for each in rig.pool.state.enis.values()] == [False, False]

    await made.round()
    assert asked == []
    await made.round(sweep=True)
    assert [each.ours for each in rig.pool.state.enis.values()] == [True, False]

    rig.pool.state.remove_eni("eni-2")
    kernel.listed = (ONE,)
    await made.round(sweep=True)
    assert asked == [1]


async def find(kernel):
    stored = model.StoredState(
        enis=tuple(
            model.EniRecord(
                eni_id=f"eni-{n}",
                mac=mac,
                vswitch_id="vsw-1",
                gateway=ipaddress.IPv4Address(f"10.0.{n}.253"),
                primary=ipaddress.IPv4Address(f"10.0.{n}.1"),
                created_at=0.0,
                addresses=(ipaddress.IPv4Address(f"10.0.{n}.1"),),
            )
            for n, mac in ((1, ONE), (2, TWO))
        )
    )
    sources = startup.Sources(stored=stored, attached=None, rebuilt=False)
    told = Told()
    found = await startup.find_enis(kernel, sources, eni_conf.EniConf(), 0.0, told)
    return found, told.messages


async def test_a_start_goes_on_without_an_interface_that_cannot_be_made_ready():
    kernel = Kernel({ONE: errors.Precondition("it is the primary"), TWO: link(5, TWO)})

    found, told = await find(kernel)

    assert [each.link for each in found] == [None, link(5, TWO)]
    assert told == ["pods cannot use interface eni-1: it is the primary"]


async def test_a_start_doubts_addresses_that_the_last_run_was_giving_back():
    kernel = Kernel({ONE: link(4), TWO: link(5, TWO)})
    kernel.also = {ONE: (ipaddress.IPv4Address("10.0.1.9"),)}

    found, _ = await find(kernel)

    states = {str(each.ipv4): each.state for each in found[0].addresses.values()}
    assert states == {"10.0.1.1": AddressState.WARM, "10.0.1.9": AddressState.RELEASING}


@pytest.mark.parametrize("status", [eni_model.EniStatus.DETACHING, eni_model.EniStatus.DELETING])
def test_an_interface_on_its_way_off_the_node_is_no_pod_s_and_takes_no_place(status):
    leaving = eni_model.Eni(
        eni_id="eni-1", mac=ONE, status=status, type=eni_model.EniType.SECONDARY
    )

    assert not startup.is_managed(leaving, eni_conf.EniConf())
    assert startup.count_others([leaving], eni_conf.EniConf()) == 0


async def test_a_start_that_can_make_none_ready_says_why():
    refusal = errors.Precondition("/proc/sys cannot be written")

    with pytest.raises(errors.Precondition, match="cannot be written"):
        await find(Kernel({ONE: refusal, TWO: refusal}))


def test_addresses_that_cannot_be_given_are_no_reason_not_to_grow():
    lost = eni(1, count=3)
    lost.link = None
    targets = limits.Targets(max_enis=2, addresses_per_eni=3, min_free=1, max_free=3)

    actions = plan.plan_growth([lost], plan.Demand(waiting=1), targets)

    assert actions == [plan.CreateEni(count=2)]
    assert lost.count(AddressState.WARM) == 3


def test_an_interface_that_somebody_took_away_holds_no_place_of_the_node():
    away = eni(1, count=3)
    away.state, away.link = EniState.DRAINING, None
    for address in away.addresses.values():
        address.state = AddressState.MISSING
    targets = limits.Targets(max_enis=1, addresses_per_eni=3, min_free=1, max_free=3)

    assert plan.plan_growth([away], plan.Demand(waiting=1), targets) == [plan.CreateEni(count=2)]

    leaving = eni(2, count=3)
    leaving.state = EniState.DRAINING  # it could not be detached
    assert plan.plan_growth([leaving], plan.Demand(waiting=1), targets) == []
