"""Storage channels: one primary for each node, whoever makes it."""

import asyncio

import pytest

from cloud import errors as cloud_errors
from cloud import nas_model
from csi.cpfs.controller import channels
from tests.fakes import fake_refusals, virtual_clock


class Cloud:
    """`channels.ChannelApi` that makes none. other: looks until another replica's is seen."""

    def __init__(self, other: int | None) -> None:
        self.other = other
        self.looks = 0

    async def find(self, instance_id: str) -> list[nas_model.Vsc]:
        self.looks += 1
        if self.other is None or self.looks <= self.other:
            return []
        told = {"type": "Primary", "status": "In_use"}
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
