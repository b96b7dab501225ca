"""Interfaces and vSwitches on the simulator, through the real SDK."""

import asyncio
import ipaddress

import pytest

from cloud import client, eni_model
from tests.support import control, processes

Status = eni_model.EniStatus

VSWITCH = "vsw-bp1sim000000000003"
BLOCK = ipaddress.IPv4Network("192.168.2.0/24")
NEW = eni_model.NewEni(
    vswitch_id=VSWITCH,
    security_group_ids=("sg-bp1sim000000000001",),
    ipv4_count=3,
    tags={"creator": "terway", "b": "two words & more"},
    description="made by a test",
)


async def until(alibaba: client.Alibaba, eni_id: str, status: Status) -> eni_model.Eni:
    async with asyncio.timeout(10):
        while True:
            found = await alibaba.enis.find(eni_ids=[eni_id])
            if found and found[0].status is status:
                return found[0]
            await asyncio.sleep(0.02)


async def test_a_new_interface_is_what_was_asked_for(alibaba: client.Alibaba) -> None:
    made = await alibaba.enis.create(NEW, client_token="t-eni-1")
    again = await alibaba.enis.create(NEW, client_token="t-eni-1")
    ready = await until(alibaba, made.eni_id, Status.AVAILABLE)

    assert made.eni_id == again.eni_id
    assert (ready.vswitch_id, ready.zone_id) == (VSWITCH, "cn-hangzhou-k")
    assert len(ready.ipv4) == 3
    assert all(address in BLOCK for address in ready.ipv4)
    assert ready.ipv4[0] == made.ipv4[0]
    assert ready.security_group_ids == NEW.security_group_ids
    assert ready.tags == NEW.tags
    assert (ready.type, ready.instance_id) == (eni_model.EniType.SECONDARY, "")
    assert ready.mac == ready.mac.lower()
    assert ready.creation_time is not None


async def test_an_interface_comes_and_goes(alibaba: client.Alibaba) -> None:
    made = await alibaba.enis.create(NEW, client_token="t-eni-2")
    await until(alibaba, made.eni_id, Status.AVAILABLE)

    await alibaba.enis.attach(made.eni_id, processes.NODE_1)
    there = await until(alibaba, made.eni_id, Status.IN_USE)
    of_node = await alibaba.enis.find(instance_id=processes.NODE_1, tags={"creator": "terway"})
    await alibaba.enis.detach(made.eni_id, processes.NODE_1)
    await until(alibaba, made.eni_id, Status.AVAILABLE)
    await alibaba.enis.delete(made.eni_id)

    assert there.instance_id == processes.NODE_1
    assert made.eni_id in [eni.eni_id for eni in of_node]
    async with asyncio.timeout(10):
        while await alibaba.enis.find(eni_ids=[made.eni_id]):
            await asyncio.sleep(0.02)
    await alibaba.enis.delete(made.eni_id)
    await alibaba.enis.detach(made.eni_id, processes.NODE_1)


async def test_addresses_come_and_go(alibaba: client.Alibaba) -> None:
    made = await alibaba.enis.create(NEW, client_token="t-eni-3")
    await until(alibaba, made.eni_id, Status.AVAILABLE)

    more = await alibaba.enis.assign(made.eni_id, 2, client_token="t-assign-3")
    again = await alibaba.enis.assign(made.eni_id, 2, client_token="t-assign-3")
    gone = [*more, ipaddress.IPv4Address("192.168.2.200")]
    await alibaba.enis.unassign(made.eni_id, gone)
    left = await until(alibaba, made.eni_id, Status.AVAILABLE)

    assert more == again
    assert len(more) == 2
    assert set(left.ipv4) == set(made.ipv4)


async def test_a_vswitch_tells_its_zone_its_block_and_what_is_left(alibaba: client.Alibaba) -> None:
    found = await alibaba.vswitches.read(VSWITCH)

    assert found is not None
    assert (found.vswitch_id, found.zone_id) == (VSWITCH, "cn-hangzhou-k")
    assert found.cidr_block == BLOCK
    assert found.gateway == ipaddress.IPv4Address("192.168.2.253")
    assert 0 < found.free_addresses <= 252
    assert await alibaba.vswitches.read("vsw-nowhere") is None


@pytest.mark.parametrize("action", ["DescribeNetworkInterfaces", "DescribeVSwitches"])
async def test_a_throttled_look_up_is_repeated(
    alibaba: client.Alibaba, sim: control.Control, action: str
) -> None:
    sim.add_fault(action, "error", code="Throttling.User", status=400)

    await alibaba.enis.find(instance_id=processes.NODE_1)
    await alibaba.vswitches.read(VSWITCH)

    assert sim.actions().count(action) == 2
