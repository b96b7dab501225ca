"""What our cloud code makes of an instance that was released."""

import asyncio

import pytest

from cloud import client, ecs_model, eni_model
from cloud import errors as cloud_errors
from tests.contract import test_contract_disks as disks
from tests.contract import test_contract_network as network
from tests.support import instances, processes

GONE = processes.NODE_2


async def release(rig: processes.Rig) -> None:
    await asyncio.to_thread(instances.release, f"127.0.0.1:{rig.port}", rig.control, GONE)


async def test_its_disk_is_available_and_its_interface_is_gone(
    alibaba: client.Alibaba, rig: processes.Rig
) -> None:
    disk_id = await alibaba.disks.create(disks.NEW, client_token=None)
    made = await alibaba.enis.create(network.NEW, client_token="t-released")
    await alibaba.disks.wait(disk_id, disks.is_(ecs_model.DiskState.AVAILABLE), what="it is made")
    await alibaba.disks.attach(disk_id, GONE)
    await alibaba.disks.wait(disk_id, disks.is_(ecs_model.DiskState.IN_USE), what="it is there")
    await network.until(alibaba, made.eni_id, eni_model.EniStatus.AVAILABLE)
    await alibaba.enis.attach(made.eni_id, GONE)
    await network.until(alibaba, made.eni_id, eni_model.EniStatus.IN_USE)
    other = await alibaba.enis.create(network.NEW, client_token="t-other")
    await network.until(alibaba, other.eni_id, eni_model.EniStatus.AVAILABLE)

    await release(rig)

    left = await alibaba.disks.wait(
        disk_id, disks.is_(ecs_model.DiskState.AVAILABLE), what="it is free"
    )
    assert left is not None
    assert (left.instance_id, left.attached_instance_ids) == ("", ())
    assert await alibaba.instances.read(GONE) is None
    assert await alibaba.enis.find(instance_id=GONE) == []
    assert await alibaba.enis.find(eni_ids=[made.eni_id]) == []
    await alibaba.enis.delete(made.eni_id)
    for refused in (
        alibaba.disks.attach(disk_id, GONE),
        alibaba.disks.detach(disk_id, GONE),
        alibaba.enis.attach(other.eni_id, GONE),
    ):
        with pytest.raises(cloud_errors.CloudNotFound):
            await refused
