"""Interfaces left behind, on the simulator through the real SDK: which go, and which stay."""

import asyncio
import dataclasses
import datetime

from cloud import client, eni_model
from core import clock
from ipamd.pool import eni_maker, leftovers
from tests.contract import test_contract_network
from tests.support import processes

CLUSTER = "c-contract"
GONE = "i-bp1simneverwas00001"


class LaterClock(clock.SystemClock):
    """Two hours ahead: what was just made is old."""

    def now(self) -> datetime.datetime:
        return super().now() + datetime.timedelta(hours=2)


async def make(alibaba: client.Alibaba, owner: str, cluster: str) -> str:
    """Id of an interface as an ipamd on *owner* would leave it behind."""
    tags = {**eni_maker.CREATOR_TAGS, eni_maker.INSTANCE_TAG: owner}
    tags |= {leftovers.CLUSTER_TAG: cluster} if cluster else {}
    new = dataclasses.replace(test_contract_network.NEW, ipv4_count=1, tags=tags)
    made = await alibaba.enis.create(new, client_token=f"t-left-{owner}-{cluster}")
    await test_contract_network.until(alibaba, made.eni_id, eni_model.EniStatus.AVAILABLE)
    return made.eni_id


async def test_what_nobody_will_attach_goes_and_what_others_may_want_stays(
    alibaba: client.Alibaba,
) -> None:
    own = await make(alibaba, processes.NODE_1, "")
    gone = await make(alibaba, GONE, CLUSTER)
    alive = await make(alibaba, processes.NODE_2, CLUSTER)
    orphan = await make(alibaba, GONE, "c-other")
    swept = leftovers.Leftovers(
        alibaba.enis,
        alibaba.instances,
        LaterClock(),
        instance_id=processes.NODE_1,
        cluster=CLUSTER,
        is_wanted=lambda _: False,
    )

    assert await swept.sweep() == 0
    assert await swept.sweep() == 2

    async with asyncio.timeout(10):
        while await alibaba.enis.find(eni_ids=[own, gone]):
            await asyncio.sleep(0.02)
    assert {eni.eni_id for eni in await alibaba.enis.find(eni_ids=[alive, orphan])} == {
        alive,
        orphan,
    }
    assert swept.orphans == (orphan,)
