"""Storage channels: one primary for each node, whoever makes it."""

import asyncio

import pytest

from cloud import errors as cloud_errors
from cloud import nas_model
from core import errors
from csi.cpfs.controller import channels
from tests.fakes import fake_refusals, virtual_clock


class Cloud:
    """`channels.ChannelApi` that makes none. other: looks until another replica's is seen."""

    def __init__(self, other: int | None, status: str = "In_use") -> None:
        self.other = other
        self.status = status
        self.looks = 0

    async def find(self, instance_id: str) -> list[nas_model.Vsc]:
        self.looks += 1
        if self.other is None or self.looks <= self.other:
            return []
        told = {"type": "Primary", "status": self.status}
        return [nas_model.Vsc(vsc_id="vsc-1", instance_id=instance_id, **told)]

    async def create(self, instance_id: str, *, client_token: str) -> str:
        raise fake_refusals.refusal("CreateVsc", "OperationDenied.SomeCodeOfTheCloud")


@pytest.fixture
def time() -> virtual_clock.VirtualClock:
    return virtual_clock.VirtualClock()


async def ensured(cloud: Cloud, time: virtual_clock.VirtualClock) -> str:
    made = channels.Channels(cloud, time)
    running = asyncio.create_task(made.ensure("i-1"))
    await time.advance(20.0)
    made.close()
    return await running


async def test_a_channel_that_another_replica_made_meanwhile_is_the_nodes(
    time: virtual_clock.VirtualClock,
) -> None:
    assert await ensured(Cloud(other=2), time) == "vsc-1"


async def test_a_node_that_may_have_none_is_told_the_clouds_word(
    time: virtual_clock.VirtualClock,
) -> None:
    with pytest.raises(cloud_errors.CloudError, match="SomeCodeOfTheCloud"):
        await ensured(Cloud(other=None), time)


@pytest.mark.parametrize("status", ["Attaching", "AttachFailed"])
async def test_g43_a_channel_that_never_is_ready_is_told_with_its_state(
    time: virtual_clock.VirtualClock, status: str
) -> None:
    with pytest.raises(errors.Unavailable, match=f"is {status}, not ready"):
        await ensured(Cloud(other=0, status=status), time)


async def test_a_channel_is_known_for_three_minutes_or_until_it_is_forgotten(
    time: virtual_clock.VirtualClock,
) -> None:
    cloud = Cloud(other=0)
    made = channels.Channels(cloud, time)
    looks = []
    for pause_s in (0.0, 179.0, 2.0):
        await time.advance(pause_s)
        await made.ensure("i-1")
        looks.append(cloud.looks)
    made.forget("i-1")
    await made.ensure("i-1")
    made.close()

    assert looks == [1, 1, 2]
    assert cloud.looks == 3


async def test_g43_nodes_that_ask_at_once_share_a_look(time: virtual_clock.VirtualClock) -> None:
    cloud = Cloud(other=0)
    made = channels.Channels(cloud, time)
    told = await asyncio.gather(*(made.ensure("i-1") for _ in range(5)))
    made.close()

    assert (told, cloud.looks) == (["vsc-1"] * 5, 1)
